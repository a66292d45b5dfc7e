"""Memory of the host, for the devices whose arrays are NumPy's: they have these functions for their own."""

from __future__ import annotations

from math import prod

import numpy as np

ALIGNMENT = 64
"""A cache line, and the widest vector."""

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
    """Copy ``samples[rows]`` of a NumPy array (rows: an index array or a slice) into an array of this device.

    Nothing is allocated if ``samples`` has the dtype of ``target``.
    """
    if isinstance(rows, slice):
        target[...] = samples[rows]
    else:
        samples.take(rows, 0, target, "clip")  # any other mode copies once more


def intake(targets):
    """Return a call that copies ``array[rows]`` of NumPy arrays into these arrays of this device, one for each."""

    def run(arrays, rows):
        for target, samples in zip(targets, arrays, strict=True):
            take(target, samples, rows)

    return run
