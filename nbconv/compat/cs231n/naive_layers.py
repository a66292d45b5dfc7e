"""Convolution and max pooling as the course asks students to write them first: four loops over plain NumPy.

They are slow on purpose, and what ``python -m bench naive`` measures the fast ones against.
"""

from __future__ import annotations

import numpy as np

from .arrays import gradient
from .windows import conv_arrays, conv_cache, pool_arrays, pool_cache


def conv_forward_naive(x, w, b, conv_param):
    """Slide each filter over each image: x (N, C, H, W), w (F, C, HH, WW), b (F,) give (N, F, H', W').

    ``conv_param`` has ``stride`` and ``pad``, in pixels; H' = 1 + (H + 2 * pad - HH) // stride. The cache is
    (x, w, b, conv_param).
    """
    x, w, b, (stride, pad), shape = conv_arrays(x, w, b, conv_param)
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = np.zeros(shape, x.dtype)
    convolve(padded, w, b, stride, out)
    return out, (x, w, b, conv_param)


def convolve(padded, w, b, stride, out):
    """Fill ``out``. The arrays may be any library's that are indexed as NumPy's."""
    images, filters, down, across = out.shape
    height, width = w.shape[2:]
    for n in range(images):
        for f in range(filters):
            for i in range(down):
                for j in range(across):
                    top, left = i * stride, j * stride
                    window = padded[n, :, top : top + height, left : left + width]
                    out[n, f, i, j] = (window * w[f]).sum() + b[f]


def conv_backward_naive(dout, cache):
    """Return dx, dw, db of ``conv_forward_naive``."""
    x, w, b, (stride, pad), shape = conv_arrays(*conv_cache(cache, "conv_forward_naive")[:4])
    dout = gradient(dout, shape, x.dtype)
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dpadded, dw, db = np.zeros_like(padded), np.zeros_like(w), np.zeros_like(b)
    convolve_back(dout, padded, w, stride, dpadded, dw, db)
    return dpadded[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]], dw, db


def convolve_back(dout, padded, w, stride, dpadded, dw, db):
    """Add to ``dpadded``, ``dw`` and ``db``, which are zero, what each number of ``dout`` gives them."""
    images, filters, down, across = dout.shape
    height, width = w.shape[2:]
    for n in range(images):
        for f in range(filters):
            for i in range(down):
                for j in range(across):
                    top, left, d = i * stride, j * stride, dout[n, f, i, j]
                    dpadded[n, :, top : top + height, left : left + width] += d * w[f]
                    dw[f] += d * padded[n, :, top : top + height, left : left + width]
                    db[f] += d


def max_pool_forward_naive(x, pool_param):
    """Take the maximum of each window: x (N, C, H, W) gives (N, C, H', W').

    ``pool_param`` has ``pool_height``, ``pool_width`` and ``stride``; H' = 1 + (H - pool_height) // stride. The cache
    is (x, pool_param).
    """
    x, (height, width, stride), shape = pool_arrays(x, pool_param)
    out = np.zeros(shape, x.dtype)
    for n in range(shape[0]):
        for c in range(shape[1]):
            for i in range(shape[2]):
                for j in range(shape[3]):
                    top, left = i * stride, j * stride
                    out[n, c, i, j] = x[n, c, top : top + height, left : left + width].max()
    return out, (x, pool_param)


def max_pool_backward_naive(dout, cache):
    """Return dx of ``max_pool_forward_naive``; equal maxima of a window share its gradient."""
    x, (height, width, stride), shape = pool_arrays(*pool_cache(cache, "max_pool_forward_naive"))
    dout = gradient(dout, shape, x.dtype)
    dx = np.zeros_like(x)
    for n in range(shape[0]):
        for c in range(shape[1]):
            for i in range(shape[2]):
                for j in range(shape[3]):
                    top, left = i * stride, j * stride
                    window = x[n, c, top : top + height, left : left + width]
                    largest = window == window.max()
                    share = largest / largest.sum() if largest.any() else np.nan
                    dx[n, c, top : top + height, left : left + width] += dout[n, c, i, j] * share
    return dx
