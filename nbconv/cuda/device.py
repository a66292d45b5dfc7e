"""Memory and execution of GPUs: the first one, or the one that ``unit(index)`` names."""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple

import numpy as np

from . import simulator
from .simulator import DeviceArray


class Fetched(NamedTuple):
    """Arrays on their way to the host."""

    hosts: list

    def ready(self):
        """Whether they have come, so that nobody has to wait."""
        return True

    def arrays(self):
        """Wait for them, and return NumPy arrays."""
        return self.hosts


def available() -> str | None:
    """Why this device cannot be used, if so."""


def unit(index: int):
    """The device with this number."""
    return __import__(__name__, fromlist=["device"])


def empty(shape, dtype):
    """Return an array with arbitrary content."""
    return DeviceArray(np.empty(shape, dtype))


def put(array):
    """Return a contiguous copy of a NumPy array on this device."""
    return DeviceArray(np.array(array, order="C"))


def get(array):
    """Return a NumPy copy of an array of this device."""
    return np.array(array.memory)


def write(target, array):
    """Copy a NumPy array into an array of this device."""
    target.memory[...] = array


def fill(target, value):
    """Set all elements of an array of this device."""
    target.memory[...] = value


def copy(target, source):
    """Copy one array of this device into another."""
    target.memory[...] = source.memory


def fetch(arrays):
    """Begin to bring arrays to the host, as they are when all that was asked for before is done."""
    return Fetched([get(array) for array in arrays])


def adopt(array):
    """Return an array of this device that shares memory with somebody else's, or ``None`` if it lies elsewhere."""
    return array if isinstance(array, DeviceArray) else None


def take(target, samples, rows):
    """Copy ``samples[rows]`` of a NumPy array (rows: an index array or a slice) into an array of this device."""
    target.memory[...] = samples[rows]


def synchronize():
    """Wait until everything asked for is done."""


def sequence(calls, threads=None):
    """Return one call that runs launches (or lists of them) in order."""
    launches = list(_flat(calls))

    def run():
        for launch in launches:
            simulator.run(launch)

    return run


def _flat(calls):
    for call in calls:
        if isinstance(call, list):
            yield from _flat(call)
        else:
            yield call


def on_compile(report):
    """Return a context that calls ``report(name)`` before a kernel is compiled."""
    return nullcontext()


def describe():
    """What there is to say about this device, by name."""
    return {}
