"""Dropout: a thread draws four words and decides on four elements. Backward is forward on dy, with the same words."""

from __future__ import annotations

from math import prod

import numpy as np
from numba import cuda

from ..ops.base import Buffer
from .kernel import device_function, kernel
from .philox import philox


@kernel
def _dropout(x, rng, threshold, scale, out):
    """Scale what is kept; of ones, where ``x`` is ``None``."""
    quad = cuda.grid(1)
    if 4 * quad < out.size:
        w0, w1, w2, w3 = philox(quad, rng)
        _decide(x, 4 * quad, w0 >= threshold, scale, out)
        _decide(x, 4 * quad + 1, w1 >= threshold, scale, out)
        _decide(x, 4 * quad + 2, w2 >= threshold, scale, out)
        _decide(x, 4 * quad + 3, w3 >= threshold, scale, out)


@device_function
def _decide(x, i, is_kept, scale, out):
    if i < out.size:
        value = out.dtype.type(0)  # a dropped NaN is zero, too
        if is_kept:
            value = scale
            if x is not None:
                value = x[i] * scale
        out[i] = value


@kernel
def _scale_channels(x, factors, pixels, out):
    i = cuda.grid(1)
    if i < out.size:
        channels = factors.shape[1]
        factor = factors[i // (pixels * channels), i % channels]
        out[i] = x[i] * factor if factor > 0 else out.dtype.type(0)


def dropout(op, x, rng, *, out):
    return _draw(op, x.reshape(-1), rng, out)


def dropout_backward(op, dy, rng, *, dx):
    return dropout(op, dy, rng, out=dx)


def dropout2d(op, x, rng, *, out, scratch):
    factors = scratch["factors"]
    scaled = _scale_channels.over(x.size)(x.reshape(-1), factors, prod(x.shape[1:-1]), out.reshape(-1))
    return [_draw(op, None, rng, factors), scaled]


def dropout2d_backward(op, dy, rng, *, dx, scratch):
    return dropout2d(op, dy, rng, out=dx, scratch=scratch)


def _draw(op, x, rng, out):
    threshold, scale = np.uint64(op.threshold), out.dtype.type(op.scale)
    return _dropout.over(-(-out.size // 4))(x, rng, threshold, scale, out.reshape(-1))


def channel_scratch(op, dtype, x):
    """What each channel of each image is multiplied by."""
    return {"factors": Buffer((x[0], x[-1]), dtype)}
