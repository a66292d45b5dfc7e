"""What ``conv_param`` and ``pool_param`` say, and whether the arrays fit it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...errors import DataError, OptionError, ShapeError
from ...ops.options import integer
from .arrays import floats, foreign_cache, images, needs_shape, parameter, parts_of


class ConvParam(NamedTuple):
    """The course's ``{"stride": 1, "pad": 1}``."""

    stride: int
    pad: int

    @classmethod
    def of(cls, conv_param: dict) -> ConvParam:
        stride, pad = (_pixels(conv_param, name, "conv_param") for name in ("stride", "pad"))
        return cls(integer(stride, "stride"), integer(pad, "pad", least=0))


class PoolParam(NamedTuple):
    """The course's ``{"pool_height": 2, "pool_width": 2, "stride": 2}``."""

    height: int
    width: int
    stride: int

    @classmethod
    def of(cls, pool_param: dict) -> PoolParam:
        names = ("pool_height", "pool_width", "stride")
        return cls(*(integer(_pixels(pool_param, name, "pool_param"), name) for name in names))


def _pixels(given: dict, name: str, where: str):
    """Return an entry, which is not a float: ``(3 - 1) / 2`` is one, whatever its value."""
    value = parameter(given, name, where)
    if isinstance(value, (float, np.floating)):
        raise OptionError(f"{name} must be an integer, got {value!r}; if it is a quotient, use // instead of /")
    return value


def conv_cache(cache, made_by: str) -> tuple:
    """Return (x, w, b, conv_param, ...) as any ``conv_forward`` keeps it, or raise ``DataError``."""
    cache = parts_of(cache, made_by, 4, 5)
    if not isinstance(cache[3], dict):
        raise foreign_cache(cache, made_by)
    return cache


def pool_cache(cache, made_by: str) -> tuple:
    """Return the cache of a ``max_pool_forward``, or raise ``DataError`` that says which one made it."""
    maker = _maker_of(cache)
    if maker is None:
        raise foreign_cache(cache, made_by)
    if maker != made_by:
        backward = maker.replace("forward", "backward")
        raise DataError(f"cache must be what {made_by} returned beside out, but {maker} made it: use {backward}")
    return tuple(cache)


def _maker_of(cache) -> str | None:
    if not isinstance(cache, (tuple, list)):
        return None
    if len(cache) == 2 and isinstance(cache[0], str):
        return "max_pool_forward_fast"
    if not cache or not isinstance(cache[-1], dict):
        return None
    if len(cache) == 2:
        return "max_pool_forward_naive"
    if len(cache) != 3 or not isinstance(cache[1], np.ndarray):
        return None
    return "max_pool_forward_im2col" if cache[1].dtype.kind in "iu" else "max_pool_forward_reshape"


def conv_arrays(x, w, b, conv_param):
    """Return x (N, C, H, W), w (F, C, HH, WW), b (F,) as numbers of one dtype, the parameters, and the shape of out."""
    param = ConvParam.of(conv_param)
    x, w, b = floats(x=x, w=w, b=b)
    n, channels, height, width = images(x).shape
    if w.ndim != 4 or w.shape[1] != channels:
        raise ShapeError(f"w must have shape (F, {channels}, HH, WW), for {channels} channels in x, got {w.shape}")
    needs_shape(b, "b", w.shape[:1], "a number per filter")
    sizes = (
        window_count(size, field, param.stride, param.pad, axis)
        for size, field, axis in ((height, w.shape[2], "height"), (width, w.shape[3], "width"))
    )
    return x, w, b, param, (n, len(w), *sizes)


def pool_arrays(x, pool_param):
    """Return x (N, C, H, W) as numbers, the parameters, and the shape of out."""
    param = PoolParam.of(pool_param)
    (x,) = floats(x=x)
    n, channels, height, width = images(x).shape
    down = window_count(height, param.height, param.stride, 0, "height")
    return x, param, (n, channels, down, window_count(width, param.width, param.stride, 0, "width"))


def window_count(size: int, field: int, stride: int, pad: int, axis: str) -> int:
    """1 + (size + 2 * pad - field) // stride: ``window_count(31, 3, 2, 1, "height") == 16``."""
    if field > size + 2 * pad:
        raise ShapeError(f"a window of {field} does not fit {axis} {size} with {pad} pixels of padding on both sides")
    return 1 + (size + 2 * pad - field) // stride
