"""Pooling on the CPU. Arrays are (N, H, W, C): inner loops run over channels, which are contiguous.

A kernel gets its window as one tuple, (KH, KW, stride, stride, dilation, dilation, top, left). Backward gathers by rows
of the input: a row belongs to one thread, so that nothing races where windows overlap. Each pixel gets its shares in
the order of the taps that saw it: columns of windows come from the last to the first.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .channel_lines import add_rows, block_columns, fold_line, line_width, stretch, stretch_count
from .chunks import build, flat
from .compile import helper, kernel
from .device import empty
from .fused_pool import pool_record, pool_strip
from .unpool import bind_unpool
from .vector import lanes


@kernel
def _max_pool2d(x, pool, images, lanes, out, argmax):
    for row in prange(images * pool[0].height):
        p = pool[0]
        n, i = row // p.height, row % p.height
        size = p.image_height * p.image_width * p.channels
        image, rows, channels = x[n * size : (n + 1) * size], (0, p.image_height), (0, p.channels)
        pool_strip(p, image, (n, n + 1), rows, (i, i + 1), channels, out, argmax, lanes)


@kernel
def _avg_pool2d(x, window, rows, columns, out):
    n_out, h_out, w_out, channels = out.shape
    height, width = x.shape[1], x.shape[2]
    kh, kw, sh, sw, _, _, top, left = window
    for row in prange(n_out * h_out):
        n, i = row // h_out, row % h_out
        _zero_row(out, n, i)
        for j in range(w_out):
            for h in range(max(0, i * sh - top), min(height, i * sh - top + kh)):
                for w in range(max(0, j * sw - left), min(width, j * sw - left + kw)):
                    for c in range(channels):
                        out[n, i, j, c] += x[n, h, w, c]
            divisor = rows[i] * columns[j]
            for c in range(channels):
                out[n, i, j, c] /= divisor


@kernel
def _avg_pool2d_backward(dy, window, rows, columns, dx):
    h_out, w_out = dy.shape[1], dy.shape[2]
    n_in, height, width, channels = dx.shape
    kh, kw, sh, sw, dh, _, top, left = window
    for row in prange(n_in * height):
        n, h = row // height, row % height
        _zero_row(dx, n, h)
        for a in range(kh):
            i = _window_seeing(h, a, sh, dh, top, h_out)
            if i < 0:
                continue
            for j in range(w_out - 1, -1, -1):
                divisor = rows[i] * columns[j]
                for w in range(max(0, j * sw - left), min(width, j * sw - left + kw)):
                    for c in range(channels):
                        dx[n, h, w, c] += dy[n, i, j, c] / divisor


@helper
def _zero_row(array, n, h):
    for w in range(array.shape[2]):
        for c in range(array.shape[3]):
            array[n, h, w, c] = 0


@helper
def _window_seeing(h, tap, stride, dilation, before, count):
    """The window whose ``tap`` sees pixel ``h`` on this axis, or -1."""
    start = h + before - tap * dilation
    return start // stride if start >= 0 and start % stride == 0 and start // stride < count else -1


@kernel
def _global_avg_pool2d(x, pixels, block, sums, out):
    """Sums in float64 of each image, line by line (``channel_lines.py``)."""
    for n in prange(len(out)):
        channels, width, size = out.shape[1], sums.shape[1], pixels * out.shape[1]
        for c in range(width):
            sums[n, c] = 0
        for i in range(stretch_count(size, width)):
            first, rows, end = stretch(i, size, width)
            for at in range(0, end, block):
                add_rows(x, n * size + first + at, width, rows, min(block, end - at), at, sums[n])
        fold_line(sums[n], channels)
        for c in range(channels):
            out[n, c] = sums[n, c] / pixels


@kernel
def _global_avg_pool2d_backward(dy, dx):
    n_in, pixels, channels = dx.shape
    divisor = dx.dtype.type(pixels)
    for n in prange(n_in):
        for pixel in range(pixels):
            for c in range(channels):
                dx[n, pixel, c] = dy[n, c] / divisor


def max_pool2d(op, x, *, out, argmax):
    call, record, images, width = build(_max_pool2d, 4 * x.size), pool_record(op, x.shape), len(x), lanes(x.dtype)
    x, out, argmax = flat(x), flat(out), flat(argmax)

    def run():
        call(x, record, images, width, out, argmax)

    return run


def max_pool2d_backward(op, dy, argmax, *, dx):
    return bind_unpool(op, False, dy, None, argmax, dx)


def avg_pool2d(op, x, *, out):
    call, window, divisors = build(_avg_pool2d, 2 * x.size), _window(op, x.shape), _divisors(op, x, out)

    def run():
        call(x, window, *divisors, out)

    return run


def avg_pool2d_backward(op, dy, *, dx):
    call, window, divisors = build(_avg_pool2d_backward, 2 * dx.size), _window(op, dx.shape), _divisors(op, dx, dy)

    def run():
        call(dy, window, *divisors, dx)

    return run


def global_avg_pool2d(op, x, *, out):
    n, height, width, channels = x.shape
    call, sums = build(_global_avg_pool2d, 2 * x.size), empty((n, line_width(channels, x.dtype)), "float64")
    operands = flat(x), height * width, block_columns(x.dtype), sums, out
    return lambda: call(*operands)


def global_avg_pool2d_backward(op, dy, *, dx):
    call, dx = build(_global_avg_pool2d_backward, dx.size), _pixels(dx)

    def run():
        call(dy, dx)

    return run


def global_max_pool2d(op, x, *, out, argmax):
    return max_pool2d(op.as_window(x.shape), x, out=_as_images(out), argmax=_as_images(argmax))


def global_max_pool2d_backward(op, dy, argmax, *, dx):
    return max_pool2d_backward(op.as_window(dx.shape), _as_images(dy), _as_images(argmax), dx=dx)


def _as_images(features):
    """View (N, C) as (N, 1, 1, C)."""
    return features[:, None, None, :]


def _pixels(x):
    """View (N, H, W, C) as (N, H * W, C)."""
    n, height, width, channels = x.shape
    return x.reshape(n, height * width, channels)


def _window(op, shape):
    top, _, left, _ = op.pads(shape)
    return (*op.kernel_size, *op.stride, *getattr(op, "dilation", (1, 1)), top, left)


def _divisors(op, x, out):
    """What a window's sum is divided by, as a factor for its row and one for its column, in the plan's dtype."""
    _, h_out, w_out, _ = out.shape
    if op.divisor_override is not None:
        return np.full(h_out, op.divisor_override, x.dtype), np.ones(w_out, x.dtype)
    top, bottom, left, right = op.pads(x.shape)
    return tuple(
        _counted(count, size, k, s, before, after, op.count_include_pad).astype(x.dtype)
        for count, size, k, s, before, after in (
            (h_out, x.shape[1], op.kernel_size[0], op.stride[0], top, bottom),
            (w_out, x.shape[2], op.kernel_size[1], op.stride[1], left, right),
        )
    )


def _counted(count, size, kernel, stride, before, after, include_pad):
    """How many pixels each window of one axis covers, of the image or of the image with its border."""
    start = np.arange(count) * stride - before
    first, last = (-before, size + after) if include_pad else (0, size)
    return np.minimum(start + kernel, last) - np.maximum(start, first)
