"""Pooling. Arrays are (N, H, W, C).

Forward, a thread has an element of the result and looks at its window. Backward, a thread has a pixel and looks at the
windows that see it, so that no two threads write to the same place where windows overlap.
"""

from __future__ import annotations

import numpy as np
from numba import cuda

from .kernel import device_function, kernel
from .windows import position, window_at


@kernel
def _max_pool2d(x, kernel_h, kernel_w, step_h, step_w, dilation_h, dilation_w, top, left, out, argmax):
    index = cuda.grid(1)
    if index >= out.size:
        return
    n, i, j, c = position(index, out.shape)
    largest, winner = out.dtype.type(-np.inf), -1
    for r in range(kernel_h):
        h = i * step_h + r * dilation_h - top
        if h < 0 or h >= x.shape[1]:
            continue
        for s in range(kernel_w):
            w = j * step_w + s * dilation_w - left
            if 0 <= w < x.shape[2]:
                value = x[n, h, w, c]
                if winner < 0 or _is_larger(value, largest):
                    largest, winner = value, r * kernel_w + s
    out[n, i, j, c], argmax[n, i, j, c] = largest, max(winner, 0)


@device_function
def _is_larger(value, largest):
    """Whether a value takes the place of the largest so far; nothing is larger than NaN."""
    return not value <= largest and largest == largest


@kernel
def _max_pool2d_backward(dy, argmax, kernel_h, kernel_w, step_h, step_w, dilation_h, dilation_w, top, left, dx):
    index = cuda.grid(1)
    if index >= dx.size:
        return
    n, h, w, c = position(index, dx.shape)
    total = dx.dtype.type(0)
    for r in range(kernel_h):
        i = window_at(h + top - r * dilation_h, step_h, dy.shape[1])
        if i < 0:
            continue
        for s in range(kernel_w):
            j = window_at(w + left - s * dilation_w, step_w, dy.shape[2])
            if j >= 0 and argmax[n, i, j, c] == r * kernel_w + s:
                total += dy[n, i, j, c]
    dx[n, h, w, c] = total


@kernel
def _at_winner(x, argmax, kernel_w, step_h, step_w, dilation_h, dilation_w, top, left, out):
    index = cuda.grid(1)
    if index >= out.size:
        return
    n, i, j, c = position(index, out.shape)
    winner = np.int64(argmax[n, i, j, c])
    r, s = winner // kernel_w, winner % kernel_w
    out[n, i, j, c] = x[n, i * step_h + r * dilation_h - top, j * step_w + s * dilation_w - left, c]


@kernel
def _avg_pool2d(x, kernel_h, kernel_w, step_h, step_w, top, left, above, below, before, after, divisor, out):
    index = cuda.grid(1)
    if index >= out.size:
        return
    n, i, j, c = position(index, out.shape)
    first_h, first_w = i * step_h - top, j * step_w - left
    total = np.float64(0)
    for h in range(max(first_h, 0), min(first_h + kernel_h, x.shape[1])):
        for w in range(max(first_w, 0), min(first_w + kernel_w, x.shape[2])):
            total += x[n, h, w, c]
    rows = _covered(first_h, kernel_h, above, x.shape[1], below)
    columns = _covered(first_w, kernel_w, before, x.shape[2], after)
    out[n, i, j, c] = total / _divisor(rows, columns, divisor)


@kernel
def _avg_pool2d_backward(dy, kernel_h, kernel_w, step_h, step_w, top, left, above, below, before, after, divisor, dx):
    index = cuda.grid(1)
    if index >= dx.size:
        return
    n, h, w, c = position(index, dx.shape)
    total = np.float64(0)
    for r in range(kernel_h):
        i = window_at(h + top - r, step_h, dy.shape[1])
        if i < 0:
            continue
        rows = _covered(i * step_h - top, kernel_h, above, dx.shape[1], below)
        for s in range(kernel_w):
            j = window_at(w + left - s, step_w, dy.shape[2])
            if j >= 0:
                columns = _covered(j * step_w - left, kernel_w, before, dx.shape[2], after)
                total += dy[n, i, j, c] / dx.dtype.type(_divisor(rows, columns, divisor))
    dx[n, h, w, c] = total


@device_function
def _covered(first, kernel, before, size, after):
    """How many pixels a window covers on one axis: of the image, and of the border as far as it counts."""
    return min(first + kernel, size + after) - max(first, -before)


@device_function
def _divisor(rows, columns, override):
    if override is not None:
        return override
    return rows * columns


@kernel
def _global_avg_pool2d(x, out):
    index = cuda.grid(1)
    if index >= out.size:
        return
    _, pixels, channels = x.shape
    n, c = index // channels, index % channels
    total = np.float64(0)
    for pixel in range(pixels):
        total += x[n, pixel, c]
    out[n, c] = total / pixels


@kernel
def _global_avg_pool2d_backward(dy, dx):
    index = cuda.grid(1)
    if index >= dx.size:
        return
    _, pixels, channels = dx.shape
    pixel, c = index // channels, index % channels
    n = pixel // pixels
    dx[n, pixel % pixels, c] = dy[n, c] / dx.dtype.type(pixels)


@kernel
def _global_max_pool2d(x, out, argmax):
    index = cuda.grid(1)
    if index >= out.size:
        return
    _, pixels, channels = x.shape
    n, c = index // channels, index % channels
    largest, winner = x[n, 0, c], 0
    for pixel in range(1, pixels):
        if _is_larger(x[n, pixel, c], largest):
            largest, winner = x[n, pixel, c], pixel
    out[n, c], argmax[n, c] = largest, winner


@kernel
def _global_max_pool2d_backward(dy, argmax, dx):
    index = cuda.grid(1)
    if index >= dx.size:
        return
    _, pixels, channels = dx.shape
    pixel, c = index // channels, index % channels
    n = pixel // pixels
    dx[n, pixel % pixels, c] = dy[n, c] if argmax[n, c] == pixel % pixels else dx.dtype.type(0)


def max_pool2d(op, x, *, out, argmax):
    return _max_pool2d.over(out.size)(x, *op.kernel_size, *_placement(op, x), out, argmax)


def max_pool2d_backward(op, dy, argmax, *, dx):
    return _max_pool2d_backward.over(dx.size)(dy, argmax, *op.kernel_size, *_placement(op, dx), dx)


def at_winner(op, x, argmax, *, out):
    """Write the pixel of x that won each window; each window must see some pixel."""
    return _at_winner.over(out.size)(x, argmax, op.kernel_size[1], *_placement(op, x), out)


def avg_pool2d(op, x, *, out):
    return _avg_pool2d.over(out.size)(x, *_averaged(op, x), out)


def avg_pool2d_backward(op, dy, *, dx):
    return _avg_pool2d_backward.over(dx.size)(dy, *_averaged(op, dx), dx)


def global_avg_pool2d(op, x, *, out):
    return _global_avg_pool2d.over(out.size)(_pixels(x), out)


def global_avg_pool2d_backward(op, dy, *, dx):
    return _global_avg_pool2d_backward.over(dx.size)(dy, _pixels(dx))


def global_max_pool2d(op, x, *, out, argmax):
    return _global_max_pool2d.over(out.size)(_pixels(x), out, argmax)


def global_max_pool2d_backward(op, dy, argmax, *, dx):
    return _global_max_pool2d_backward.over(dx.size)(dy, argmax, _pixels(dx))


def _placement(op, x):
    """Where the taps of windows are: the steps between windows and between taps, and the border they start in."""
    top, _, left, _ = op.pads(x.shape)
    return (*op.stride, *op.dilation, top, left)


def _averaged(op, x):
    """Where windows are, how much of the border (top, bottom, left, right) counts, and the divisor if it is given."""
    top, _, left, _ = pads = op.pads(x.shape)
    counted = pads if op.count_include_pad else (0, 0, 0, 0)
    return (*op.kernel_size, *op.stride, top, left, *counted, op.divisor_override)


def _pixels(x):
    """View (N, H, W, C) as (N, H * W, C)."""
    n, height, width, channels = x.shape
    return x.reshape(n, height * width, channels)
