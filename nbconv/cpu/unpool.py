"""The way back of a max-pool's gradient, alone or on top of what a batch norm before it adds.

Where windows do not overlap, each row of windows has rows of pixels of its own, prepares them, and gives its winners
their gradients. Where they do, pixels gather from all windows that see them: no two threads write to one, and each is
written once. Pixels that lie a stride apart are seen by the same taps of windows next to each other; a *run* of rows
and one of columns make a patch of pixels that are all treated alike.
"""

from __future__ import annotations

from math import gcd

import numpy as np
from numba import prange

from .channel_lines import block_columns, map_stretches
from .chunks import build
from .compile import helper, kernel
from .fused_pool import pool_record, taps_inside, whole_windows
from .memory import clear
from .pool_tiles import gather_patch, return_gradient
from .vector import lanes

ROWS = 8
"""Rows of a run at most: the rows of few images are shared by many threads."""


def bind_unpool(pool, relu, dy, out, argmax, gradient):
    """Return the call that computes the gradient of the images that were pooled, through a ReLU where there is one."""
    return bind_return(pool, relu, dy, out, argmax, np.ones(gradient.shape[3], gradient.dtype), None, None, gradient)


def bind_return(pool, relu, dy, out, argmax, scale, x, maps, gradient):
    """Return the call that gives ``dy * scale`` back to winners, on top of ``(x - centre) * slope + shift``.

    ``maps`` are centre, slope and shift along a line of pixels (``channel_lines.py``); ``None`` stands for zeros.
    """
    record, shape, follows_x = pool_record(pool, gradient.shape), gradient.shape, x is not None
    sizes = shape[0], lanes(gradient.dtype), block_columns(gradient.dtype)
    dy, gradient = dy.reshape(-1), gradient.reshape(-1)
    out, x, maps = out.reshape(-1) if relu else dy, x.reshape(-1) if follows_x else dy, maps or (scale,) * 3
    operands = relu, follows_x, dy, out, argmax.reshape(-1), scale, x, maps, gradient
    if not _overlaps(pool):
        call = build(return_to_winners, 2 * gradient.size)
        return lambda: call(record, sizes, *operands)
    rows, columns, steps = _sights(pool, shape)
    call = build(gather_from_windows, 4 * gradient.size)
    return lambda: call(record, sizes, rows, columns, steps, *operands)


def _overlaps(pool):
    spans = (dilation * (k - 1) + 1 for k, dilation in zip(pool.kernel_size, pool.dilation, strict=True))
    return any(span > step for span, step in zip(spans, pool.stride, strict=True))


def _sights(pool, shape):
    """Return the runs of rows and of columns, and the steps from one window that sees a pixel to the next.

    A run is (first pixel, pixels, first window, windows, tap of the first): the last three are those of its first
    pixel. Steps are those of windows, then of taps, each for rows and for columns.
    """
    (_, *sizes, _), (_, *counts, _), (top, _, left, _) = shape, pool.out_shape(shape), pool.pads(shape)
    axes = zip(
        sizes, counts, pool.kernel_size, pool.stride, pool.dilation, (top, left), (ROWS, max(sizes)), strict=True
    )
    rows, columns = (np.array(_runs(*axis), np.int64) for axis in axes)
    common = [gcd(stride, dilation) for stride, dilation in zip(pool.stride, pool.dilation, strict=True)]
    steps = [length // c for lengths in (pool.dilation, pool.stride) for length, c in zip(lengths, common, strict=True)]
    return rows, columns, tuple(steps)


def _runs(size, count, kernel, stride, dilation, before, longest):
    """Join pixels of an axis, a stride apart, that the same number of windows see with the same taps."""
    runs: list[list[int]] = []
    for phase in range(min(stride, size)):
        for pixel in range(phase, size, stride):
            window, *sight = _sight(pixel, count, kernel, stride, dilation, before)
            if (
                pixel > phase
                and sight == runs[-1][3:]
                and window == runs[-1][2] + runs[-1][1]
                and runs[-1][1] < longest
            ):
                runs[-1][1] += 1
            else:
                runs.append([pixel, 1, window, *sight])
    return runs


def _sight(pixel, count, kernel, stride, dilation, before):
    """Return which windows see a pixel of an axis: the first of them, how many, and the tap with which it does."""
    starts = [(pixel + before - tap * dilation, tap) for tap in reversed(range(kernel))]
    seen = [(start // stride, tap) for start, tap in starts if start % stride == 0 and 0 <= start < count * stride]
    return (seen[0][0], len(seen), seen[0][1]) if seen else (0, 0, 0)


@kernel
def return_to_winners(pool, sizes, relu, follows_x, dy, out, argmax, scale, x, maps, gradient):
    """Give gradients to winners, by rows of windows, which do not overlap."""
    for unit in prange(sizes[0] * pool[0].height):
        p, lanes, block = pool[0], sizes[1], sizes[2]
        n, i = unit // p.height, unit % p.height
        first = max(0, i * p.step_h - p.pad_top) if i > 0 else 0
        end = max(0, (i + 1) * p.step_h - p.pad_top) if i + 1 < p.height else p.image_height
        start, size = (n * p.image_height + first) * p.image_width * p.channels, p.image_width * p.channels
        if follows_x:
            map_stretches(x, start, (end - first) * size, block, maps, False, gradient)
        else:
            clear(gradient, start, (end - first) * size)
        return_row(p, n, i, relu, lanes, dy, out, argmax, scale, gradient, follows_x)


@helper
def return_row(p, n, i, relu, lanes, dy, out, argmax, scale, gradient, add):
    """Return the gradients of one row of windows."""
    size, line, kernel_w, width = p.channels, p.image_width * p.channels, p.kernel_w, p.width
    step, steps, (first_whole, end_whole) = (
        p.step_w * size,
        (p.dilation_h * line, p.dilation_w * size),
        whole_windows(p),
    )
    top, place = i * p.step_h - p.pad_top, (n * p.height + i) * width * size
    first = (n * p.image_height + top) * line - p.pad_left * size
    r = taps_inside(top, p.kernel_h, p.dilation_h, p.image_height)
    for c in range(0, size, lanes):
        count = min(lanes, size - c)
        for j in range(width):
            start, at, s = first + j * step + c, place + j * size + c, (0, kernel_w)
            if j < first_whole or j >= end_whole:
                s = taps_inside(j * p.step_w - p.pad_left, kernel_w, p.dilation_w, p.image_width)
            return_gradient(dy, out, argmax, at, relu, scale, c, start, r, s, steps, kernel_w, count, gradient, add)


@kernel
def gather_from_windows(pool, sizes, rows, columns, steps, relu, follows_x, dy, out, argmax, scale, x, maps, gradient):
    """Let each run of rows gather its gradient from the windows that see it."""
    for unit in prange(sizes[0] * len(rows)):
        p, lanes, block = pool[0], sizes[1], sizes[2]
        n, row, size = unit // len(rows), unit % len(rows), p.channels
        line, windows_line = p.image_width * size, p.width * size
        start, windows = (n * p.image_height + rows[row, 0]) * line, (n * p.height + rows[row, 2]) * windows_line
        pixel_steps, next_place = (p.step_h * line, p.step_w * size), (windows_line, size)
        place_steps, tap_steps = (steps[0] * windows_line, steps[1] * size), (steps[2] * p.kernel_w, steps[3])
        if follows_x:
            for i in range(rows[row, 1]):
                map_stretches(x, start + i * p.step_h * line, line, block, maps, False, gradient)
        for column in range(len(columns)):
            pixels, count = (rows[row, 1], columns[column, 1]), (rows[row, 3], columns[column, 3])
            first, place = start + columns[column, 0] * size, windows + columns[column, 2] * size
            tap = rows[row, 4] * p.kernel_w + columns[column, 4]
            for c in range(0, size, lanes):
                part = min(lanes, size - c)
                gather_patch(
                    dy, out, argmax, relu, scale, c, place + c, count, place_steps, tap, tap_steps, part,
                    gradient, first + c, pixels, pixel_steps, next_place, follows_x,
                )  # fmt: skip
