"""Copies between the host and a GPU that nobody waits for, through pinned memory of the host.

In, through a ring: what is copied is put there at once, so that the caller may change the array, and the GPU fetches it
in its turn. Out, through blocks that are used again: a ``Fetched`` has one until its arrays were read.
"""

from __future__ import annotations

import ctypes
from collections import defaultdict
from collections.abc import Callable
from weakref import finalize

import numpy as np
from cuda.bindings import driver as api

from .driver import Driver

DONE, RUNNING = api.CUresult.CUDA_SUCCESS, api.CUresult.CUDA_ERROR_NOT_READY

SEGMENT = 1 << 20
SEGMENTS = 8
"""The ring: so many bytes, so many times. The host is at most this far ahead of the GPU."""

ALIGNMENT = 64
SMALL, PLACES = 1 << 16, 8
"""A batch of at most so many bytes is put together at one of twice so many places that the plan has for it."""

SMALLEST, KEPT = 256, 16 << 20
"""Sizes of blocks for results; larger ones are freed after use."""


class Pinned:
    """Memory of the host that a GPU copies from and to by itself, with an event to be recorded behind such a copy."""

    def __init__(self, driver: Driver, nbytes: int):
        self._driver = driver
        with driver.turn:
            self.address = int(driver.call(api.cuMemHostAlloc, nbytes, 0))
            self.event = driver.call(api.cuEventCreate, api.CUevent_flags.CU_EVENT_DISABLE_TIMING)
        self.nbytes = nbytes
        self.bytes = memoryview((ctypes.c_byte * nbytes).from_address(self.address))
        finalize(self, _release, driver, self.address, self.event)

    def record(self) -> None:
        """Note that all that was asked for until now has to be waited for; the caller has the turn."""
        (status,) = api.cuEventRecord(self.event, self._driver.stream)
        if status:
            raise self._driver.failure(status, "a copy")

    def ready(self) -> bool:
        """Whether ``wait`` would return at once."""
        with self._driver.turn.waiting():
            (status,) = api.cuEventQuery(self.event)
        if status not in (DONE, RUNNING):
            raise self._driver.failure(status, "what was asked for earlier")
        return status == DONE

    def wait(self) -> None:
        """Wait for what was asked for before ``record``, if it ever was called."""
        with self._driver.turn.waiting():
            (status,) = api.cuEventSynchronize(self.event)
        if status:
            raise self._driver.failure(status, "what was asked for earlier")


def _release(driver: Driver, address: int, event) -> None:
    with driver.turn.waiting():  # but take no turn: Python may come here in the middle of anything
        api.cuEventSynchronize(event)
        api.cuEventDestroy(event)
        api.cuMemFreeHost(address)


class Ring:
    """Copies into arrays of a GPU."""

    def __init__(self, driver: Driver):
        self._driver, self._turn, self._stream = driver, driver.turn, driver.stream
        self._segments: list[Pinned] = []
        self._current = -1
        self._used = SEGMENT
        self._address = 0

    def write(self, target, array) -> None:
        """Copy a NumPy array, or what broadcasts to the target's shape, into an array of the GPU."""
        nbytes = target.nbytes
        if nbytes > SEGMENT:
            array = np.broadcast_to(array, target.shape)
            for piece in _pieces(target):
                self.write(target[piece], array[piece])
            return
        with self._turn:
            self._room(target, nbytes)[...] = array
            self._send(target, nbytes)

    def take(self, target, samples: np.ndarray, rows) -> None:
        """Copy ``samples[rows]``, in which rows are an index array or a slice, into an array of the GPU."""
        nbytes = target.nbytes
        if isinstance(rows, slice):
            self.write(target, samples[rows])
        elif nbytes <= SEGMENT:
            with self._turn:
                host = self._room(target, nbytes)
                if samples.dtype == host.dtype and len(rows):
                    samples.take(rows, 0, host, "clip")  # any other mode copies once more
                else:
                    host[...] = samples[rows]
                self._send(target, nbytes)
        elif len(target) == 1:
            self.write(target, samples[rows])
        else:
            for piece in _pieces(target):
                self.take(target[piece], samples, rows[piece])

    def _room(self, target, nbytes: int) -> np.ndarray:
        """Memory in the ring for the content of an array, which ``_send`` copies."""
        offset = self._used
        if offset + nbytes > SEGMENT:
            self._go_on()
            offset = 0
        self._used = _aligned(offset + nbytes)
        segment = self._segments[self._current]
        self._address = segment.address + offset
        return np.ndarray(target.shape, target.dtype, segment.bytes, offset)

    def _send(self, target, nbytes: int) -> None:
        if not nbytes:
            return
        (status,) = api.cuMemcpyHtoDAsync(target.data.ptr, self._address, nbytes, self._stream)
        if status:
            raise self._driver.failure(status, "a copy to the GPU")

    def _go_on(self) -> None:
        """Turn to the next segment, once the GPU has read what was put there last time round."""
        if self._segments:
            self._segments[self._current].record()
        following = (self._current + 1) % SEGMENTS
        if following == len(self._segments):
            self._segments.append(Pinned(self._driver, SEGMENT))
        else:
            self._segments[following].wait()
        self._current = following


class Intake:
    """A call that copies ``array[rows]`` of NumPy arrays into small arrays that lie in a row on a GPU, in one copy.

    It has a few places of its own to put them together at, made ready when it is first called, so that little is left
    to do then: they are in two blocks, and while the GPU reads one of them the other is filled.
    """

    def __init__(self, driver: Driver, targets):
        self._driver, self._turn, self._stream = driver, driver.turn, driver.stream
        self._targets, self._target = targets, targets[0].data.ptr
        self._nbytes = _in_a_row(targets)
        self._blocks: list[Pinned] = []
        self._places: list[tuple[int, list[np.ndarray]]] = []
        self._used = 2 * PLACES

    def __call__(self, arrays, rows) -> None:
        with self._turn:
            if self._used % PLACES == 0:
                self._go_on()
            address, views = self._places[self._used]
            self._used += 1
            for view, samples in zip(views, arrays, strict=True):
                if samples.dtype is view.dtype and type(rows) is not slice:
                    samples.take(rows, 0, view, "clip")  # any other mode copies once more
                else:
                    view[...] = samples[rows]
            (status,) = api.cuMemcpyHtoDAsync(self._target, address, self._nbytes, self._stream)
            if status:
                raise self._driver.failure(status, "a copy to the GPU")

    def _go_on(self) -> None:
        """Turn to the other block, once the GPU has read what was put there before."""
        if not self._blocks:
            step = _aligned(self._nbytes)
            self._blocks = [Pinned(self._driver, PLACES * step) for _ in range(2)]
            self._places = [self._place(block, i * step) for block in self._blocks for i in range(PLACES)]
        self._used %= 2 * PLACES
        following = self._used // PLACES
        self._blocks[1 - following].record()
        self._blocks[following].wait()

    def _place(self, block: Pinned, offset: int) -> tuple[int, list[np.ndarray]]:
        """An address in a block, and the arrays that begin there."""
        starts = [offset + target.data.ptr - self._target for target in self._targets]
        views = [np.ndarray(t.shape, t.dtype, block.bytes, at) for t, at in zip(self._targets, starts, strict=True)]
        return block.address + offset, views


def intake(driver: Driver, ring: Ring, targets) -> Callable:
    """Return a call that copies ``array[rows]`` of NumPy arrays into arrays of a GPU, one for each."""
    if 0 < _in_a_row(targets) <= SMALL:
        return Intake(driver, targets)

    def take(arrays, rows):
        for target, samples in zip(targets, arrays, strict=True):
            ring.take(target, samples, rows)

    return take


def _in_a_row(targets) -> int:
    """How many bytes arrays take that lie one after the other, or 0 if they do not."""
    start = end = targets[0].data.ptr
    for target in targets:
        if not 0 <= target.data.ptr - end < ALIGNMENT:
            return 0
        end = target.data.ptr + target.nbytes
    return end - start


def _aligned(nbytes: int) -> int:
    return (nbytes + ALIGNMENT - 1) & -ALIGNMENT


def _pieces(target) -> list[slice | int]:
    """Parts of an array along its first axis, each of as many rows as fit a segment, and at least one."""
    if len(target) == 1:
        return [0]
    count = max(1, SEGMENT * len(target) // target.nbytes)
    return [slice(at, at + count) for at in range(0, len(target), count)]


class Fetched:
    """Arrays on their way to the host."""

    __slots__ = "_block", "_copies", "_unused", "_views"

    def __init__(self, block: Pinned, views: list[np.ndarray], unused: list[Pinned]):
        self._block, self._views, self._unused = block, views, unused
        self._copies: list[np.ndarray] | None = None

    def ready(self) -> bool:
        """Whether they have come, so that nobody has to wait."""
        return self._copies is not None or self._block.ready()

    def arrays(self) -> list[np.ndarray]:
        """Wait for them; return copies, in the order that was asked for."""
        if self._copies is None:
            self._block.wait()
            self._copies = [view.copy() for view in self._views]
            self._views = []
            self._unused.append(self._block)
        return self._copies

    def __del__(self):
        if self._copies is None:
            self._unused.append(self._block)


class Results:
    """Copies of arrays of a GPU to the host."""

    def __init__(self, driver: Driver):
        self._driver, self._turn, self._stream = driver, driver.turn, driver.stream
        self._unused: dict[int, list[Pinned]] = defaultdict(list)
        """Blocks that nobody reads, by size. Copies come in order: one that still runs ends before the next begins."""
        self._blocks: list[Pinned] = []  # all: none may be freed with a Fetched that gives it back in that moment

    def fetch(self, arrays) -> Fetched:
        """Begin to copy arrays of the GPU to the host."""
        nbytes = sum([_aligned(array.nbytes) for array in arrays])
        size = 1 << (nbytes - 1).bit_length() if nbytes > SMALLEST else SMALLEST
        unused = self._unused[size] if size <= KEPT else []
        with self._turn:
            block = unused.pop() if unused else self._new(size)
            views = self._copy(arrays, block)
            block.record()
        return Fetched(block, views, unused)

    def _new(self, size: int) -> Pinned:
        block = Pinned(self._driver, size)
        if size <= KEPT:
            self._blocks.append(block)
        return block

    def _copy(self, arrays, block: Pinned) -> list[np.ndarray]:
        """Begin to copy arrays into a block; return where they will be."""
        views, offset = [], 0
        for array in arrays:
            nbytes = array.nbytes
            if nbytes:
                (status,) = api.cuMemcpyDtoHAsync(block.address + offset, array.data.ptr, nbytes, self._stream)
                if status:
                    raise self._driver.failure(status, "a copy from the GPU")
            views.append(np.ndarray(array.shape, array.dtype, block.bytes, offset))
            offset += _aligned(nbytes)
        return views
