"""What the functions of the course are given: numbers of any kind, images with channels first, labels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...data.checks import as_array, check_labels
from ...engine.registry import Device, kernels, open_device
from ...errors import DataError, DeviceError, ShapeError
from ...ops.reshape import Flatten

KINDS = "biuf"
USABLE = ({np.dtype(np.float32)}, {np.dtype(np.float64)})
FLATTEN = Flatten()


@lru_cache
def device_named(device: str) -> Device:
    """Return a device whose kernels compute on NumPy arrays as they lie; raise ``DeviceError`` for a GPU."""
    opened = open_device("cpu" if device == "auto" else device)
    if opened.name == "cuda":
        raise DeviceError(
            f"the functions of the course compute on NumPy arrays where they lie, which {str(opened)!r} cannot reach; "
            f'use device="cpu", or nbconv.functional and models, which copy them'
        )
    return opened


def floats(**arrays) -> list[np.ndarray]:
    """Return arrays of one dtype, float32 or float64, as NumPy would promote them; integers become float64.

    ``x, w = floats(x=x, w=w)``. An array that is usable as it is is not copied.
    """
    found = [as_array(values, name) for name, values in arrays.items()]
    if {array.dtype for array in found} in USABLE and all(array.size for array in found):
        return found
    for name, array in zip(arrays, found, strict=True):
        if array.dtype.kind not in KINDS:
            raise DataError(f"{name} must hold real numbers, got dtype {array.dtype}; convert it with .astype(float)")
        if not array.size:
            raise DataError(f"{name} is empty: it has shape {array.shape}")
    dtype = np.result_type(*{array.dtype for array in found})
    dtype = np.dtype(np.float32 if dtype in (np.float16, np.float32) else np.float64)
    return [array if array.dtype == dtype and array.dtype.isnative else array.astype(dtype) for array in found]


def dense(array: np.ndarray) -> np.ndarray:
    """Return the array in C order, in memory that kernels can use: a copy only where it is not."""
    array = np.ascontiguousarray(array)
    return array if array.flags.behaved else array.copy()


def images(x: np.ndarray, name: str = "x") -> np.ndarray:
    """Return (N, C, H, W) as it is, or raise ``ShapeError``."""
    if x.ndim != 4:
        raise ShapeError(f"{name} must be images of shape (N, C, H, W), got {x.shape}")
    return x


def channels_last(x: np.ndarray, device: str) -> np.ndarray:
    """Return (N, C, H, W) as a dense (N, H, W, C): a view, where it lies in memory like that."""
    view = x.transpose(0, 2, 3, 1)
    if view.flags.c_contiguous or not x.flags.c_contiguous:
        return dense(view)
    opened = device_named(device)
    last = np.empty(view.shape, x.dtype)
    _, transpose = kernels(Flatten, opened)
    opened.memory.sequence([transpose(FLATTEN, dense(x).reshape(len(x), -1), dx=last)])()
    return last


def channels_first(x: np.ndarray) -> np.ndarray:
    """View (N, H, W, C) as (N, C, H, W)."""
    return x.transpose(0, 3, 1, 2)


def gradient(dout, out_shape, dtype) -> np.ndarray:
    """Return the gradient of a result of this shape and dtype as an array, or raise ``ShapeError``."""
    (dout,) = floats(dout=dout)
    if dout.shape != tuple(out_shape):
        raise ShapeError(f"dout must have the shape of what forward returned, {tuple(out_shape)}, got {dout.shape}")
    return dout.astype(dtype, copy=False)


def needs_shape(array: np.ndarray, name: str, shape, because: str) -> None:
    """Raise ``ShapeError`` unless an array has this shape."""
    if array.shape != tuple(shape):
        raise ShapeError(f"{name} must have shape {tuple(shape)}, {because}, got {array.shape}")


def scores_and_labels(x, y) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (N, C) and labels (N,) as int64, or raise."""
    (x,) = floats(x=x)
    if x.ndim != 2:
        raise ShapeError(f"x must be scores of shape (N, C), got {x.shape}")
    return dense(x), check_labels(y, x.shape[1], x.shape[0])


def parameter(given: dict, name: str, where: str):
    """Return a required entry of one of the course's parameter dicts, or raise ``DataError``."""
    given = parameters(given, where)
    try:
        return given[name]
    except KeyError:
        raise DataError(f'{where} has no "{name}"; it has {", ".join(map(repr, given)) or "nothing"}') from None


def parameters(given, where: str) -> dict:
    """Return one of the course's parameter dicts, or raise ``DataError`` for what is none."""
    if not isinstance(given, dict):
        raise DataError(f"{where} must be a dict, got {given!r:.60}")
    return given


def parts_of(cache, made_by: str, *counts: int) -> tuple:
    """Return a cache of so many parts, or raise ``DataError`` that says which function makes the right one."""
    if not isinstance(cache, (tuple, list)) or len(cache) not in counts:
        raise foreign_cache(cache, made_by)
    return tuple(cache)


def foreign_cache(cache, made_by: str) -> DataError:
    """The error for a cache that another function made."""
    parts = f"a tuple of {len(cache)}" if isinstance(cache, (tuple, list)) else type(cache).__name__
    return DataError(f"cache must be what {made_by} returned beside out, got {parts} of another kind")


def layer_cache(cache, kind: type, made_by: str, ndim: int):
    """Return the op and the arrays that a normalisation kept, or raise ``DataError``."""
    op, arrays = parts_of(cache, made_by, 2)
    if not isinstance(op, kind) or not isinstance(arrays, dict) or arrays["x"].ndim != ndim:
        raise foreign_cache(cache, made_by)
    return op, arrays
