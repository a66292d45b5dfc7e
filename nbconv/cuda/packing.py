"""The arguments of a launch as the driver takes them: a row of values, and the address of each.

Machine code that Numba makes takes an array as its fields, one parameter each:

    meminfo, parent     pointers for the garbage collector: null
    nitems, itemsize    int64
    data                pointer
    shape, strides      int64 each, strides in bytes

A number is one parameter of its own size, ``None`` a null pointer. Every value has eight bytes here: all is
little-endian, and the driver reads as many as the parameter has.
"""

from __future__ import annotations

import struct
from ctypes import addressof, c_uint64, c_void_p

import numpy as np


class Parameters:
    """Packed arguments; ``address`` is what ``cuLaunchKernel`` takes, as long as this object lives."""

    def __init__(self, arguments: tuple):
        packed = b"".join(map(pack, arguments))
        self._values = (c_uint64 * (len(packed) // 8)).from_buffer_copy(packed)
        start = addressof(self._values)
        self._addresses = (c_void_p * len(self._values))(*range(start, start + len(packed), 8))
        self.address = addressof(self._addresses)


def pack(argument) -> bytes:
    """Return one argument's values, eight bytes each."""
    if argument is None:
        return bytes(8)
    if isinstance(argument, np.generic):
        return argument.tobytes().ljust(8, b"\0")
    if isinstance(argument, float):
        return struct.pack("<d", argument)
    if isinstance(argument, int):  # True and False as well
        return argument.to_bytes(8, "little", signed=True)
    return _pack_array(argument)


def _pack_array(array) -> bytes:
    shape, itemsize = array.shape, array.itemsize
    strides, stride = [], itemsize
    for size in reversed(shape):
        strides.append(stride)
        stride *= size
    fields = (0, 0, array.size, itemsize, array.data.ptr, *shape, *reversed(strides))
    return struct.pack(f"<{len(fields)}Q", *fields)
