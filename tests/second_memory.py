"""A second kind of memory, for tests of the engine: arrays that the host cannot look into, and numbers that come late.

device = late_device()                 # the reference's kernels, three steps behind
device = small_device(100_000)         # the reference's kernels, in so many bytes
"""

from __future__ import annotations

from types import SimpleNamespace
from weakref import ref

import numpy as np

from nbconv import reference
from nbconv.engine.registry import Device
from nbconv.errors import OutOfDeviceMemory


class Late:
    """What was fetched and has not come until it is waited for, or ``behind`` other things were fetched."""

    def __init__(self, unit, arrays):
        self._unit, self._arrays, self._number = unit, [np.array(a) for a in arrays], unit.fetched

    def ready(self):
        return self._unit.fetched - self._number > self._unit.behind

    def arrays(self):
        self._unit.waited += not self.ready()
        return self._arrays


class LateUnit:
    """The reference's functions, but for ``fetch``; ``written`` are the arrays that the host wrote to."""

    def __init__(self, behind: int, steps_at_once: int):
        self.behind, self.steps_at_once, self.fetched, self.waited = behind, steps_at_once, 0, 0
        self.written: list = []

    def fetch(self, arrays):
        self.fetched += 1
        return Late(self, arrays)

    def write(self, target, array):
        self.written.append(target)
        reference.device.write(target, array)

    def __getattr__(self, name):
        return getattr(reference.device, name)


class SmallUnit:
    """The reference's functions, with this many bytes for arrays that are in use."""

    def __init__(self, capacity: int):
        self.capacity, self._arrays = capacity, []

    def empty(self, shape, dtype):
        array = reference.device.empty(shape, dtype)
        free = self.free()
        if array.nbytes > free:
            raise OutOfDeviceMemory("an array", asked=array.nbytes, free=free)
        self._arrays.append((ref(_owner(array)), array.nbytes))
        return array

    def put(self, array):
        array = np.asarray(array)
        copy = self.empty(array.shape, array.dtype)
        copy[...] = array
        return copy

    def free(self) -> int:
        self._arrays = [(alive, size) for alive, size in self._arrays if alive() is not None]
        return self.capacity - sum(size for _, size in self._arrays)

    def __getattr__(self, name):
        return getattr(reference.device, name)


def _owner(array):
    """The array whose memory this one shares: it lives as long as any view of it."""
    while array.base is not None:
        array = array.base
    return array


def device_of(unit) -> Device:
    """A device with the reference's kernels, and memory of its own."""
    tables = {name: getattr(reference, name) for name in ("KERNELS", "SCRATCH", "PREPARE")}
    return Device("second", 0, SimpleNamespace(device=SimpleNamespace(unit=lambda index: unit), **tables))


def late_device(behind: int = 3, steps_at_once: int = 1) -> Device:
    """The reference, whose numbers come when ``behind`` more were asked for, and of several steps at once."""
    return device_of(LateUnit(behind, steps_at_once))


def small_device(capacity: int) -> Device:
    """The reference with so many bytes of memory."""
    return device_of(SmallUnit(capacity))
