"""The hardware: a GPU as the house uses it."""

from __future__ import annotations

from functools import cached_property
from threading import Lock
from typing import NamedTuple

import numpy as np
from cuda.bindings import driver as api

from .. import requirements
from ..io.kernel_files import watch
from .driver import Driver
from .foreign import adopt
from .graph import LaunchSequence
from .kernel import flat
from .memory import Memory
from .staging import Fetched, Results, Ring, intake


class Hardware(NamedTuple):
    """What a GPU that is open consists of."""

    driver: Driver
    memory: Memory
    ring: Ring
    results: Results


class GPU:
    """One of the machine's GPUs, by number; it is opened when it is first used.

    All work is asked for in order on one stream, and nothing but ``get``, ``synchronize`` and ``Fetched.arrays``
    waits for it. Several Python threads may use it; they take turns.
    """

    steps_at_once = 4
    """Of how many training steps the numbers come to the host in one copy."""

    def __init__(self, index: int):
        self.index = index
        self._opening = Lock()
        self._opened: Hardware | None = None

    @cached_property
    def _hardware(self) -> Hardware:
        with self._opening:
            if self._opened is None:
                driver = Driver(self.index)
                self._opened = Hardware(driver, Memory(driver), Ring(driver), Results(driver))
            return self._opened

    @property
    def _driver(self) -> Driver:
        return self._hardware.driver

    def empty(self, shape, dtype):
        """Return an array with arbitrary content; raise ``OutOfDeviceMemory``."""
        return self._hardware.memory.empty(shape, dtype)

    def put(self, array):
        """Return a contiguous copy of a NumPy array on this device."""
        array = np.asarray(array)
        copy = self.empty(array.shape, array.dtype)
        self.write(copy, array)
        return copy

    def get(self, array):
        """Return a NumPy copy of an array of this device."""
        driver = self._driver
        host = np.empty(array.shape, array.dtype)
        driver.synchronize()  # and not in the turn, so that other threads may go on
        if host.nbytes:
            with driver.turn:
                driver.call(api.cuMemcpyDtoHAsync, host.ctypes.data, array.data.ptr, host.nbytes, driver.stream)
            driver.synchronize()
        return host

    def write(self, target, array):
        """Copy a NumPy array into an array of this device; the NumPy array may be changed at once."""
        self._hardware.ring.write(target, array)

    def take(self, target, samples, rows):
        """Copy ``samples[rows]`` of a NumPy array (rows: an index array or a slice) into an array of this device."""
        self._hardware.ring.take(target, samples, rows)

    def intake(self, targets):
        """Return a call that copies ``array[rows]`` of NumPy arrays into these arrays of this device, one for each."""
        return intake(self._driver, self._hardware.ring, targets)

    def fill(self, target, value):
        """Set all elements of an array of this device."""
        driver, pointer = self._driver, target.data.ptr
        pattern = np.array(value, target.dtype)
        if not target.size:
            return
        with driver.turn:
            if pattern.itemsize < 8:
                function, bits = _FILLS[pattern.itemsize]
                driver.call(function, pointer, int(pattern.view(bits)), target.size, driver.stream)
            else:  # the driver fills with four bytes at most: low halves, then high halves
                for half, word in enumerate(pattern.reshape(1).view(np.uint32)):
                    at = pointer + 4 * half
                    driver.call(api.cuMemsetD2D32Async, at, 8, int(word), 1, target.size, driver.stream)

    def copy(self, target, source):
        """Copy one array of this device into another of its shape and dtype."""
        driver = self._driver
        if not target.nbytes:
            return
        with driver.turn:
            driver.call(api.cuMemcpyDtoDAsync, target.data.ptr, source.data.ptr, target.nbytes, driver.stream)

    def fetch(self, arrays) -> Fetched:
        """Begin to bring arrays to the host; ``.arrays()`` of the result waits and returns NumPy copies."""
        return self._hardware.results.fetch(arrays)

    def adopt(self, array):
        """Return an array that shares memory with a foreign one on this GPU; ``None`` if it is not of this device."""
        return adopt(self._driver, array)

    def synchronize(self):
        """Wait until everything asked for is done; raise ``KernelFault`` if a kernel failed."""
        self._driver.synchronize()

    def sequence(self, calls, threads=None):
        """Return one call that runs launches (or lists of them) in order, as one launch of a CUDA graph."""
        return LaunchSequence(self._driver, list(flat(calls)), self.put)

    def on_compile(self, report):
        """Return a context that calls ``report(name)`` before a kernel is compiled, and ``report(None)`` after."""
        return watch(report)

    def available(self) -> str | None:
        """Why this device cannot be used, if so."""
        return requirements.problem(self.index)

    def describe(self) -> dict[str, str]:
        """What there is to say about this device, by name."""
        driver = self._driver
        free, total = driver.memory()
        major, minor, *_ = driver.capability
        version = driver.call(api.cuDriverGetVersion)
        return {
            "gpu": f"{driver.device.name} (compute capability {major}.{minor})",
            "memory": f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free",
            "driver": f"for CUDA {version // 1000}.{version % 1000 // 10}",
        }


_FILLS = {
    1: (api.cuMemsetD8Async, np.uint8),
    2: (api.cuMemsetD16Async, np.uint16),
    4: (api.cuMemsetD32Async, np.uint32),
}
"""By the size of an element, how memory is filled, and what the pattern is read as."""
