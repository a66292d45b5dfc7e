"""Memory and execution of the NumPy device."""

import sys
from contextlib import nullcontext
from math import prod

import numpy as np

ALIGNMENT = 64

steps_at_once = 1
"""Of how many training steps the numbers come to the host in one copy."""


class Fetched:
    """Arrays on their way to the host: here they have come at once."""

    __slots__ = ("_arrays",)

    def __init__(self, arrays):
        self._arrays = [array.copy() for array in arrays]

    def ready(self):
        """Whether they have come, so that nobody has to wait."""
        return True

    def arrays(self):
        """Wait for them, and return NumPy arrays."""
        return self._arrays


def available() -> str | None:
    """Why this device cannot be used: ``None``, it always can."""


def unit(index):
    """The one device of this kind."""
    return sys.modules[__name__]


def empty(shape, dtype):
    """Return an array with arbitrary content that starts at a multiple of 64 bytes."""
    size = prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def put(array):
    """Return a contiguous copy of a NumPy array on this device."""
    array = np.asarray(array)
    copy = empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def get(array):
    """Return a NumPy copy of an array of this device."""
    return np.array(array)


def write(target, array):
    """Copy a NumPy array into an array of this device."""
    target[...] = array


def fill(target, value):
    """Set all elements of an array of this device."""
    target[...] = value


def copy(target, source):
    """Copy one array of this device into another."""
    target[...] = source


def fetch(arrays):
    """Begin to bring arrays to the host, as they are when all that was asked for before is done."""
    return Fetched(arrays)


def adopt(array):
    """Return an array of this device that shares memory with somebody else's, or ``None`` if it lies elsewhere.

    Here it is always ``None``: what lies on the host is taken as NumPy takes it, and needs no adoption.
    """


def take(target, samples, rows):
    """Copy ``samples[rows]`` of a NumPy array (rows: an index array or a slice) into an array of this device."""
    target[...] = samples[rows]


def intake(targets):
    """Return a call that copies ``array[rows]`` of NumPy arrays into these arrays of this device, one for each."""

    def run(arrays, rows):
        for target, samples in zip(targets, arrays, strict=True):
            take(target, samples, rows)

    return run


def synchronize():
    """Wait until everything asked for is done: on this device it always is."""


def sequence(calls, threads=None):
    """Return one call that runs ``calls`` in order; NumPy's warnings about NaN and infinity are silenced in it.

    ``threads`` is accepted for the other devices' sake: NumPy decides on its own.
    """
    calls = tuple(calls)

    def run():
        with np.errstate(all="ignore"):
            for call in calls:
                call()

    return run


def on_compile(report):
    """Return a context that calls ``report(name)`` before a kernel is compiled: there are none here."""
    return nullcontext()


def describe():
    """What there is to say about this device, by name."""
    return {"numpy": np.__version__}
