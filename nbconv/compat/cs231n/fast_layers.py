"""Convolution and max pooling on nbconv's kernels, under the names of the course's ``fast_layers.py``.

Results are images (N, C, H, W) whose memory lies channels last, as kernels write it: what one function returns the next
one takes as it is. ``np.ascontiguousarray`` gives the other order.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...errors import DataError, ShapeError
from ...ops.conv import Conv2d
from ...ops.pool import AvgPool2d, MaxPool2d
from .arrays import channels_first, channels_last, dense, gradient
from .kernels import backward, forward
from .windows import PoolParam, conv_arrays, conv_cache, pool_arrays, pool_cache


@lru_cache
def convolution(filters, size, stride, pad, algorithm="auto") -> Conv2d:
    return Conv2d(filters, size, stride, pad, algorithm=algorithm)


@lru_cache
def max_pool(param: PoolParam) -> MaxPool2d:
    return MaxPool2d((param.height, param.width), param.stride)


@lru_cache
def sum_pool(size: int) -> AvgPool2d:
    """Sums of windows that tile an image; the gradient of it copies each number to all pixels of its window."""
    return AvgPool2d(size, divisor_override=1)


def conv_forward_fast(x, w, b, conv_param, *, device="cpu"):
    """Return the same as ``conv_forward_naive``: out (N, F, H', W') and a cache for ``conv_backward_fast``.

    The cache is (x, w, b, conv_param, x_last), x_last being x with channels last, where the course keeps its columns.
    """
    return _conv_forward(x, w, b, conv_param, "auto", device)


def conv_backward_fast(dout, cache, *, device="cpu"):
    """Return dx, dw, db of ``conv_forward_fast``, of the shapes of x, w, b."""
    return _conv_backward(dout, cache, "auto", device)


def conv_forward_im2col(x, w, b, conv_param, *, device="cpu"):
    """``conv_forward_fast`` by unrolling windows to a matrix, on devices that have a choice (``Conv2d.algorithm``)."""
    return _conv_forward(x, w, b, conv_param, "im2col", device)


def conv_backward_im2col(dout, cache, *, device="cpu"):
    """``conv_backward_fast`` by unrolling windows to a matrix."""
    return _conv_backward(dout, cache, "im2col", device)


conv_forward_strides, conv_backward_strides = conv_forward_fast, conv_backward_fast


def _conv_forward(x, w, b, conv_param, algorithm, device):
    x, w, b, (stride, pad), _ = conv_arrays(x, w, b, conv_param)
    op, x_last = convolution(len(w), w.shape[2:], stride, pad, algorithm), channels_last(x, device)
    found = forward(op, device, x=x_last, weight=_inside(w), bias=dense(b))
    return channels_first(found["out"]), (x, w, b, conv_param, x_last)


def _conv_backward(dout, cache, algorithm, device):
    cache = conv_cache(cache, "conv_forward_fast")
    x, w, b, (stride, pad), shape = conv_arrays(*cache[:4])
    x_last = cache[4] if len(cache) == 5 and cache[4].dtype == x.dtype else channels_last(x, device)
    dout = channels_last(gradient(dout, shape, x.dtype), device)
    op = convolution(len(w), w.shape[2:], stride, pad, algorithm)
    found = backward(op, device, dout, ("x", "weight", "bias"), x=x_last, weight=_inside(w), bias=b)
    return channels_first(found["x"]), np.ascontiguousarray(found["weight"].transpose(3, 2, 0, 1)), found["bias"]


def _inside(w):
    """A filter (F, C, HH, WW) in the order of kernels, (HH, WW, C, F)."""
    return dense(w.transpose(2, 3, 1, 0))


def max_pool_forward_fast(x, pool_param, *, device="cpu"):
    """Return the same as ``max_pool_forward_naive``: out (N, C, H', W') and a cache for ``max_pool_backward_fast``.

    The cache is a pair: "reshape" where square windows tile the image, else "im2col", and the cache of that method.
    """
    method = "reshape" if _tiles(*pool_arrays(x, pool_param)[:2]) else "im2col"
    out, cache = (max_pool_forward_reshape if method == "reshape" else max_pool_forward_im2col)(
        x, pool_param, device=device
    )
    return out, (method, cache)


def max_pool_backward_fast(dout, cache, *, device="cpu"):
    """Return dx of ``max_pool_forward_fast``, by the method that the cache is of."""
    method, inner = pool_cache(cache, "max_pool_forward_fast")
    if method not in ("reshape", "im2col"):
        raise DataError(f'the cache must be of method "reshape" or "im2col", got {method!r}')
    return (max_pool_backward_reshape if method == "reshape" else max_pool_backward_im2col)(dout, inner, device=device)


def max_pool_forward_im2col(x, pool_param, *, device="cpu"):
    """Max pooling with windows of any size and step."""
    x, param, _ = pool_arrays(x, pool_param)
    found = forward(max_pool(param), device, x=channels_last(x, device))
    return channels_first(found["out"]), (x, found["argmax"], pool_param)


def max_pool_backward_im2col(dout, cache, *, device="cpu"):
    """Return dx of ``max_pool_forward_im2col``: of equal maxima, the first in the window has the whole gradient."""
    x, argmax, pool_param = pool_cache(cache, "max_pool_forward_im2col")
    x, param, shape = pool_arrays(x, pool_param)
    dout = channels_last(gradient(dout, shape, x.dtype), device)
    like_x = x.transpose(0, 2, 3, 1)  # only its shape is looked at
    found = backward(max_pool(param), device, dout, ("x",), x=like_x, argmax=argmax)
    return channels_first(found["x"])


def max_pool_forward_reshape(x, pool_param, *, device="cpu"):
    """Max pooling with square windows that tile the image; raises ``ShapeError`` for others."""
    x, param, _ = pool_arrays(x, pool_param)
    if not _tiles(x, param):
        raise ShapeError(
            f"windows of {param.height}x{param.width} at stride {param.stride} do not tile an image of "
            f"{x.shape[2]}x{x.shape[3]}; use max_pool_forward_fast"
        )
    x_last = channels_last(x, device)
    out = forward(max_pool(param), device, x=x_last)["out"]
    return channels_first(out), (x_last, out, pool_param)


def max_pool_backward_reshape(dout, cache, *, device="cpu"):
    """Return dx of ``max_pool_forward_reshape``: equal maxima of a window share its gradient."""
    x, out, pool_param = pool_cache(cache, "max_pool_forward_reshape")
    op = sum_pool(PoolParam.of(pool_param).stride)
    dout = channels_last(gradient(dout, channels_first(out).shape, x.dtype), device)

    def spread(pooled):
        return backward(op, device, pooled, ("x",), x=x)["x"]

    largest = (x == spread(out)).astype(x.dtype)
    ties = forward(op, device, x=largest)["out"]
    with np.errstate(invalid="ignore", divide="ignore"):  # a window with NaN has no maximum, and its gradient is NaN
        largest *= spread(dout / ties)
    return channels_first(largest)


def _tiles(x, param: PoolParam) -> bool:
    height, width, stride = param
    return height == width == stride and x.shape[2] % height == 0 and x.shape[3] % width == 0
