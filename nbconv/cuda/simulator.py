"""Kernels in Python, thread by thread, with no GPU: to be read, stepped through in a debugger, and tested.

The threads of a block take turns in a fixed order, and each runs until its next barrier: a kernel that forgets one
reads what nobody has written yet. All memory holds NaN (or 101) until it is written. Within ``strict()`` blocks and
threads take turns from the last to the first, so that what depends on their order is seen, and a negative index raises,
which NumPy would count from the end. What else ``cuda.`` offers in a kernel comes from Numba's own simulator, whose
scheduler, a system thread per thread of the GPU, is not used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from itertools import product

import numpy as np

from ..errors import DeviceError

try:
    from greenlet import getcurrent, greenlet
    from numba.cuda import types
    from numba.cuda.np import numpy_support
    from numba.cuda.simulator.kernelapi import Dim3, FakeCUDAModule
except ImportError as error:
    needs = "the simulator of the cuda device needs numba-cuda and greenlet"
    raise DeviceError(f"{needs} ({error}); pip install nbconv[cudasim]") from None


class DeviceArray:
    """Memory of the simulated device: it has a shape and a dtype, and the host cannot look into it.

    As with a GPU's arrays, only ``device.get`` and ``device.write`` move numbers, so that what the host does by mistake
    is seen without a GPU.
    """

    __slots__ = ("memory",)

    def __init__(self, memory: np.ndarray):
        self.memory = memory

    shape = property(lambda self: self.memory.shape)
    dtype = property(lambda self: self.memory.dtype)
    ndim = property(lambda self: self.memory.ndim)
    size = property(lambda self: self.memory.size)
    nbytes = property(lambda self: self.memory.nbytes)

    def __len__(self):
        return len(self.memory)

    def __getitem__(self, index):
        return DeviceArray(self.memory[index])

    def reshape(self, *shape):
        """The same memory with another shape; the array must be contiguous."""
        if not self.memory.flags.c_contiguous:
            raise ValueError(f"an array of the device that is not contiguous cannot be reshaped to {shape}")
        return DeviceArray(self.memory.reshape(*shape))

    def view(self, dtype):
        """The same memory with another dtype."""
        return DeviceArray(self.memory.view(dtype))

    def __array__(self, *args, **kwargs):
        raise TypeError("an array of the device is not one of the host: use device.get(array)")

    __iter__ = None


class _StrictArray:
    """An array as a kernel sees it that has no negative indices, and is half as fast."""

    __slots__ = ("dtype", "memory", "ndim", "shape", "size")

    def __init__(self, memory: np.ndarray):
        self.memory = memory
        self.shape, self.size, self.ndim, self.dtype = memory.shape, memory.size, memory.ndim, memory.dtype

    def __getitem__(self, index):
        if (min(index) if index.__class__ is tuple else index) < 0:
            raise IndexError(f"index {index} is negative")
        value = self.memory[index]
        return _StrictArray(value) if value.__class__ is np.ndarray else value

    def __setitem__(self, index, value):
        if (min(index) if index.__class__ is tuple else index) < 0:
            raise IndexError(f"index {index} is negative")
        self.memory[index] = value

    def __len__(self):
        return len(self.memory)


def unwritten(shape, dtype) -> np.ndarray:
    """Return memory that nobody has written to: NaN, or 101."""
    dtype = np.dtype(dtype)
    return np.full(shape, np.nan if dtype.kind == "f" else 101, dtype)


def _poisoned(shape, dtype):
    """The same as a kernel sees it."""
    dtype = numpy_support.as_dtype(dtype) if isinstance(dtype, types.Type) else dtype
    return _seen_by_kernels(unwritten(shape, dtype))


class _Shared:
    """Shared memory of the block that runs now: one array per line of code that asks for it."""

    def __init__(self):
        self.arrays: dict = {}

    def array(self, shape, dtype):
        key = sys._getframe(1).f_code, sys._getframe(1).f_lineno
        if key not in self.arrays:
            self.arrays[key] = _poisoned(shape, dtype)
        return self.arrays[key]


class _Local:
    """Memory of one thread."""

    array = staticmethod(_poisoned)


class _Thread:
    """``cuda`` as the thread that runs now sees it."""

    def __init__(self):
        self.threadIdx = self.blockIdx = Dim3(0, 0, 0)
        self.blockDim = self.gridDim = Dim3(1, 1, 1)
        self.shared, self.local = _Shared(), _Local()
        self.alone = False  # no other thread of this block has stopped at a barrier
        self._rest = FakeCUDAModule((1, 1, 1), (1, 1, 1), 0)

    def __getattr__(self, name):
        return getattr(self._rest, name)

    def syncthreads(self):
        """Let the other threads of the block come here, too."""
        if self.alone:
            raise RuntimeError("a thread waits at a barrier that the first thread of its block did not come to")
        getcurrent().parent.switch()

    def grid(self, axes):
        """The position of this thread among all, along each axis."""
        block, size, thread = self.blockIdx, self.blockDim, self.threadIdx
        if axes == 1:
            return block.x * size.x + thread.x
        return tuple(getattr(block, a) * getattr(size, a) + getattr(thread, a) for a in "xyz"[:axes])

    def gridsize(self, axes):
        """How many threads there are, along each axis."""
        size = tuple(getattr(self.gridDim, a) * getattr(self.blockDim, a) for a in "xyz"[:axes])
        return size[0] if axes == 1 else size

    def begin(self, launch) -> None:
        """Run this launch from now on."""
        self.gridDim, self.blockDim = Dim3(*launch.grid), Dim3(*launch.block)

    def enter(self, block: Dim3) -> None:
        """Run this block from now on, in shared memory that nobody has written to."""
        self.blockIdx = block
        self.shared = _Shared()


THREAD = _Thread()
_strict = False


@contextmanager
def strict() -> Iterator[None]:
    """Have blocks, and the threads of each, take turns from the last to the first; refuse negative indices."""
    global _strict
    _strict = True
    try:
        yield
    finally:
        _strict = False


def run(launch) -> None:
    """Run a launch (``kernel.Launch``) to its end."""
    function = launch.kernel.function
    arguments = [_operand(argument) for argument in launch.arguments]
    threads = _positions(launch.block)
    THREAD.begin(launch)
    with np.errstate(all="ignore"):
        for block in _positions(launch.grid):
            THREAD.enter(block)
            first = _Waiting(function, arguments, threads[0])
            if first.dead:
                _run_in_turn(function, arguments, threads[1:])
            else:
                _run_to_barriers(launch, [first, *(_Waiting(function, arguments, t) for t in threads[1:])])


def _operand(argument):
    """What a kernel takes for an argument of its launch; constants cannot be written."""
    if isinstance(argument, DeviceArray):
        return _seen_by_kernels(argument.memory)
    if isinstance(argument, np.ndarray):
        constant = argument.view()
        constant.flags.writeable = False
        return _seen_by_kernels(constant)
    return argument


def _seen_by_kernels(memory: np.ndarray):
    return _StrictArray(memory) if _strict else memory


class _Waiting(greenlet):
    """A thread that has run to its first barrier, or to its end."""

    def __init__(self, function, arguments, index: Dim3):
        super().__init__(function)
        self.gr_context = copy_context()  # NumPy's warnings stay silenced
        self.index = index
        self.go_on(*arguments)

    def go_on(self, *arguments) -> None:
        """Run to the next barrier, or to the end."""
        THREAD.threadIdx = self.index
        self.switch(*arguments)


def _run_in_turn(function, arguments, threads) -> None:
    """Run threads that wait for nobody."""
    THREAD.alone = True
    try:
        for THREAD.threadIdx in threads:
            function(*arguments)
    finally:
        THREAD.alone = False


def _run_to_barriers(launch, threads: list[_Waiting]) -> None:
    while waiting := [thread for thread in threads if not thread.dead]:
        if len(waiting) < len(threads):
            counts = f"{len(waiting)} of {len(threads)}"
            raise RuntimeError(f"{launch.kernel}: {counts} threads wait at a barrier for the rest")
        for thread in waiting:
            thread.go_on()


def _positions(size) -> list[Dim3]:
    """All (x, y, z) below a size in the order of their turns: x changes fastest."""
    positions = [Dim3(x, y, z) for z, y, x in product(*(range(n) for n in reversed(size)))]
    return positions[::-1] if _strict else positions
