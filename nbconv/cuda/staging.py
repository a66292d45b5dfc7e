"""Copies between the host and a GPU that nobody waits for, through pinned memory of the host.

In, through a ring: what is copied is put there at once, so that the caller may change the array, and the GPU fetches it in its
turn. Out, through blocks that are used again: a ``Fetched`` has one until its arrays were read.
"""

from __future__ import annotations

import ctypes
from collections import defaultdict
from weakref import finalize

import numpy as np
from cuda.bindings import driver as api

from .driver import Driver

SEGMENT = 1 << 20
SEGMENTS = 8
"""The ring: so many bytes, so many times. The host is at most this far ahead of the GPU."""

ALIGNMENT = 64
KEPT = 16 << 20
"""Blocks for results larger than this are given back after use."""


class Pinned:
    """Memory of the host that a GPU copies from and to by itself, with an event to be recorded behind such a copy."""

    def __init__(self, driver: Driver, nbytes: int):
        self._driver = driver
        with driver.turn:
            self.address = int(driver.call(api.cuMemHostAlloc, nbytes, 0))
            self.event = driver.call(api.cuEventCreate, api.CUevent_flags.CU_EVENT_DISABLE_TIMING)
        self.nbytes = nbytes
        self.bytes = (ctypes.c_byte * nbytes).from_address(self.address)
        finalize(self, _release, self.address, self.event)

    def record(self) -> None:
        """Note that all that was asked for until now has to be waited for; the caller has the turn."""
        (status,) = api.cuEventRecord(self.event, self._driver.stream)
        if status:
            raise self._driver.failure(status, "a copy")

    def wait(self) -> None:
        """Wait for what was asked for before ``record``, if it ever was called."""
        (status,) = api.cuEventSynchronize(self.event)
        if status:
            raise self._driver.failure(status, "what was asked for earlier")


def _release(address: int, event) -> None:
    api.cuEventDestroy(event)
    api.cuMemFreeHost(address)


class Ring:
    """Copies into arrays of a GPU."""

    def __init__(self, driver: Driver):
        self._driver, self._turn, self._stream = driver, driver.turn, driver.stream
        self._segments: list[Pinned] = []
        self._current = -1
        self._used = SEGMENT

    def write(self, target, array) -> None:
        """Copy a NumPy array, or what broadcasts to the target's shape, into an array of the GPU."""
        if target.nbytes <= SEGMENT:
            with self._turn:
                host, address = self._room(target)
                host[...] = array
                self._send(target, address)
            return
        array = np.broadcast_to(array, target.shape)
        for piece in _pieces(target):
            self.write(target[piece], array[piece])

    def take(self, target, samples: np.ndarray, rows) -> None:
        """Copy ``samples[rows]``, in which rows are an index array or a slice, into an array of the GPU."""
        if isinstance(rows, slice):
            self.write(target, samples[rows])
        elif target.nbytes <= SEGMENT:
            with self._turn:
                host, address = self._room(target)
                if samples.dtype == host.dtype and len(rows):
                    samples.take(rows, 0, host, "clip")  # any other mode copies once more
                else:
                    host[...] = samples[rows]
                self._send(target, address)
        elif len(target) == 1:
            self.write(target, samples[rows])
        else:
            for piece in _pieces(target):
                self.take(target[piece], samples, rows[piece])

    def _room(self, target) -> tuple[np.ndarray, int]:
        """Where in the ring the content of an array can be put, and its address."""
        offset, nbytes = self._used, target.nbytes
        if offset + nbytes > SEGMENT:
            self._go_on()
            offset = 0
        self._used = offset + nbytes + -nbytes % ALIGNMENT
        segment = self._segments[self._current]
        return np.ndarray(target.shape, target.dtype, segment.bytes, offset), segment.address + offset

    def _go_on(self) -> None:
        """Turn to the next segment, once the GPU has read what was put there last time round."""
        if self._segments:
            self._segments[self._current].record()
        self._current = (self._current + 1) % SEGMENTS
        if self._current == len(self._segments):
            self._segments.append(Pinned(self._driver, SEGMENT))
        else:
            self._segments[self._current].wait()

    def _send(self, target, address: int) -> None:
        (status,) = api.cuMemcpyHtoDAsync(target.data.ptr, address, target.nbytes, self._stream)
        if status:
            raise self._driver.failure(status, "a copy to the GPU")


def _pieces(target) -> list[slice | int]:
    """Parts of an array along its first axis, each of as many rows as fit a segment, and at least one."""
    if len(target) == 1:
        return [0]
    count = max(1, SEGMENT * len(target) // target.nbytes)
    return [slice(at, at + count) for at in range(0, len(target), count)]


class Fetched:
    """Arrays on their way to the host."""

    def __init__(self, block: Pinned, views: list[np.ndarray], give_back):
        self._block, self._views = block, views
        self._copies: list[np.ndarray] | None = None
        self._give_back = give_back

    def arrays(self) -> list[np.ndarray]:
        """Wait for them; return copies, in the order that was asked for."""
        if self._copies is None:
            self._block.wait()
            self._copies = [view.copy() for view in self._views]
            self._release()
        return self._copies

    def _release(self) -> None:
        if self._views:
            self._views = []
            self._give_back(self._block)

    __del__ = _release


class Results:
    """Copies of arrays of a GPU to the host."""

    def __init__(self, driver: Driver):
        self._driver, self._turn, self._stream = driver, driver.turn, driver.stream
        self._blocks: dict[int, list[Pinned]] = defaultdict(list)
        """Blocks that nobody reads, by size. Copies come in order: one that still runs ends before the next begins."""

    def fetch(self, arrays) -> Fetched:
        """Begin to copy arrays of the GPU to the host."""
        sizes = [array.nbytes + -array.nbytes % ALIGNMENT for array in arrays]
        block = self._block(sum(sizes))
        views, offset = [], 0
        with self._turn:
            for array, size in zip(arrays, sizes, strict=True):
                (status,) = api.cuMemcpyDtoHAsync(block.address + offset, array.data.ptr, array.nbytes, self._stream)
                if status:
                    raise self._driver.failure(status, "a copy from the GPU")
                views.append(np.ndarray(array.shape, array.dtype, block.bytes, offset))
                offset += size
            block.record()
        return Fetched(block, views, self._give_back)

    def _block(self, nbytes: int) -> Pinned:
        size = max(256, 1 << (nbytes - 1).bit_length())
        try:
            return self._blocks[size].pop()
        except IndexError:
            return Pinned(self._driver, size)

    def _give_back(self, block: Pinned) -> None:
        if block.nbytes <= KEPT:
            self._blocks[block.nbytes].append(block)
