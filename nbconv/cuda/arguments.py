"""The types of a launch's arguments: what a kernel is compiled for.

types_of((x, None, 3, x.dtype.type(0.1)))     # (array(float32, 4d, C), none, int32, float32)
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numba import from_dtype, types
from numba.types import Type

_INT32 = np.iinfo(np.int32)


def types_of(arguments: Iterable) -> tuple[Type, ...]:
    """Return Numba's types of a launch's arguments.

    ``None`` is an operand not in use. An int is an int32, or an int64 where it must be; a float is a float64; a NumPy
    scalar has its dtype. Whatever has a shape and a dtype is a C-contiguous array. Raises ``TypeError`` for all else.
    """
    return tuple(_type_of(argument) for argument in arguments)


def _type_of(argument) -> Type:
    if argument is None:
        return types.none
    if isinstance(argument, (bool, np.bool_)):
        return types.boolean
    if isinstance(argument, np.generic):
        return from_dtype(argument.dtype)
    if isinstance(argument, int):
        return types.int32 if _INT32.min <= argument <= _INT32.max else types.int64
    if isinstance(argument, float):
        return types.float64
    if hasattr(argument, "shape") and hasattr(argument, "dtype"):
        return types.Array(from_dtype(np.dtype(argument.dtype)), len(argument.shape), "C")
    raise TypeError(f"a kernel takes arrays, numbers and None, not {argument!r}")
