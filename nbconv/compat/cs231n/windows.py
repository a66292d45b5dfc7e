"""What ``conv_param`` and ``pool_param`` say, and whether the arrays fit it."""

from __future__ import annotations

from typing import NamedTuple

from ...errors import ShapeError
from ...ops.options import integer
from .arrays import floats, images, needs_shape, parameter


class ConvParam(NamedTuple):
    """The course's ``{"stride": 1, "pad": 1}``."""

    stride: int
    pad: int

    @classmethod
    def of(cls, conv_param: dict) -> ConvParam:
        stride = integer(parameter(conv_param, "stride", "conv_param"), "stride")
        return cls(stride, integer(parameter(conv_param, "pad", "conv_param"), "pad", least=0))


class PoolParam(NamedTuple):
    """The course's ``{"pool_height": 2, "pool_width": 2, "stride": 2}``."""

    height: int
    width: int
    stride: int

    @classmethod
    def of(cls, pool_param: dict) -> PoolParam:
        names = ("pool_height", "pool_width", "stride")
        return cls(*(integer(parameter(pool_param, name, "pool_param"), name) for name in names))


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
