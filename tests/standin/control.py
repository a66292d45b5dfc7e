"""The stand-in driver as a test in its process sees it: what it was asked for, and how it is made to fail."""

import ctypes
import os
from typing import NamedTuple
from weakref import finalize

import cupy
from cuda.bindings import driver as api

from nbconv.cuda import device
from nbconv.cuda.memory import Memory

LIBRARY = ctypes.CDLL(os.environ["NBCONV_STANDIN"])
LIBRARY.standin_log.restype = ctypes.c_char_p


class Launched(NamedTuple):
    """A launch as the driver got it."""

    kernel: str
    """The kernel's name in the machine code."""
    captured: bool
    grid: tuple
    block: tuple
    shared: int
    arguments: tuple
    """The bytes of each parameter."""


def log(*kinds):
    """What was asked for since ``clear``, as tuples of words; only of these kinds, if any are given."""
    lines = [tuple(line.split(" ")) for line in LIBRARY.standin_log().decode().splitlines()]
    return [line for line in lines if not kinds or line[0] in kinds]


def launches():
    """The launches among them."""
    found = []
    for _, name, how, grid, block, shared, arguments in log("launch"):
        size = (tuple(map(int, text.split(","))) for text in (grid, block))
        values = tuple(map(bytes.fromhex, filter(None, arguments.split(","))))
        found.append(Launched(name, how == "captured", *size, int(shared), values))
    return found


def clear():
    """Forget what was asked for."""
    LIBRARY.standin_clear()


def pause(paused=True):
    """Write nothing down, so that it takes no time."""
    LIBRARY.standin_pause(int(paused))


def fail(function, status, after=0):
    """Let one call of the driver's function fail, once it was let through ``after`` times."""
    LIBRARY.standin_fail(function.encode(), status, after)


def fault(status):
    """Let the next kernel that runs fail, as the real driver has it: for good."""
    LIBRARY.standin_fault(status)


def heal():
    """End all failures, which the real driver cannot."""
    LIBRARY.standin_heal()


def pretend(kernel, parameter, value):
    """Let a kernel with this in its name fill an array of float64, to which one of its parameters is the pointer."""
    LIBRARY.standin_pretend(kernel.encode(), parameter, ctypes.c_double(value))


class _Allocation:
    """Memory of the stand-in driver that is freed when nobody uses it."""


def allocate(memory, nbytes):
    """As ``Memory.allocate``, but not from CuPy's pool: CuPy's runtime needs more of a driver than there is here."""
    with memory._driver.turn:
        status, pointer = api.cuMemAlloc(max(nbytes, 1))
    if status == 2:
        raise cupy.cuda.memory.OutOfMemoryError(nbytes, 0)
    if status:
        raise cupy.cuda.runtime.CUDARuntimeError(int(status))
    owner, pointer = _Allocation(), int(pointer)
    finalize(owner, api.cuMemFree, pointer)
    return cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(pointer, nbytes, owner, 0), 0)


Memory.allocate = allocate


def gpu(index=0):
    """The device under test."""
    return device.unit(index)
