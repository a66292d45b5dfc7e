"""What a kernel is here: a Python function for one thread, and a launch of it as a record that can be kept.

    @kernel
    def scale(x, factor, out):
        i = cuda.grid(1)
        if i < out.size:
            out[i] = factor * x[i]

    launch = scale.over(out.size)(x, x.dtype.type(2), out)     # nothing runs yet

Binders return such records. ``device.sequence`` makes one call of a list of them, and that call runs them in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from numba import config, cuda

THREADS = 128
"""Threads of a block, where a kernel has no reason for another number."""

SIMULATED = bool(config.ENABLE_CUDASIM)
"""Whether kernels run in the simulator: ``NUMBA_ENABLE_CUDASIM=1`` was set before Numba was imported."""

Dim = tuple[int, int, int]


class Launch(NamedTuple):
    """A kernel, how many threads run it, and on what."""

    kernel: Kernel
    grid: Dim
    block: Dim
    arguments: tuple
    """Arrays of the device, numbers, and ``None`` for what is not in use.

    A NumPy array is a constant: ``device.sequence`` copies it to the device, once.
    """
    shared: int = 0
    """Bytes of dynamic shared memory of a block."""


class Kernel:
    """A function that each of many threads runs; ``kernel[grid, block](*arguments)`` is a ``Launch`` of it."""

    def __init__(self, function: Callable[..., None]):
        self.function = function
        self.name = function.__name__

    def __getitem__(self, shape: tuple[int | Dim, int | Dim]) -> Callable[..., Launch]:
        grid, block = (_three(size) for size in shape)
        return lambda *arguments: Launch(self, grid, block, arguments)

    def over(self, count: int, block: int = THREADS) -> Callable[..., Launch]:
        """As ``kernel[grid, block]`` with at least ``count`` threads in a row, and at least one block."""
        return self[max(1, -(-count // block)), block]

    def __repr__(self):
        return f"<kernel {self.function.__module__}.{self.name}>"


def kernel(function: Callable[..., None]) -> Kernel:
    """Make a kernel of a function for one thread."""
    if SIMULATED:
        _simulate(function)
    return Kernel(function)


def device_function(function: Callable) -> Any:
    """Make a function that kernels call; it becomes a part of each: Numba compiles others for the GPU there is."""
    if SIMULATED:
        return _simulate(function)
    return cuda.jit(device=True, inline="always")(function)


def flat(calls: Iterable) -> Iterator[Launch]:
    """The launches among ``calls``, in order; a list and a sequence made before stand for the launches in them."""
    for call in calls:
        if isinstance(call, Launch):
            yield call
        else:
            yield from flat(getattr(call, "launches", call))


def _simulate(function):
    """In the function's module, let ``cuda`` mean the simulated thread's."""
    from .simulator import THREAD  # a GPU needs none of it

    function.__globals__["cuda"] = THREAD
    return function


def _three(size: int | Dim) -> Dim:
    return (size, 1, 1) if isinstance(size, int) else (*size, *(1,) * (3 - len(size)))  # type: ignore[return-value]
