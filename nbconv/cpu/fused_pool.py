"""Max-pools: strips of images are pooled, by themselves or while a convolution has them in the cache; and the way back.

Backward, images are cut into *bands* of rows, each done by one thread, so that nothing races: it prepares its rows, then
adds to them what comes back from all windows that see them, be it with some of their taps.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .channel_lines import block_columns, map_stretches
from .chunks import build
from .compile import helper, kernel
from .memory import clear
from .pool_tiles import find_winner, return_gradient
from .records import POOL, one
from .vector import lanes


def pool_record(pool, conv_shape):
    """Return the record of a ``MaxPool2d`` over images of shape ``conv_shape``, or of no pool."""
    if pool is None:
        return one(POOL)
    _, height, width, _ = pool.out_shape(conv_shape)
    top, _, left, _ = pool.pads(conv_shape)
    values = (1, height, width, *conv_shape[1:], *pool.kernel_size, *pool.stride, top, left, *pool.dilation)
    return one(POOL, zip(POOL.names, values, strict=True))


def grid_rows(pool, rows):
    """Return how many rows of the convolution ``rows`` rows of its result need."""
    p = pool[0]
    return (rows - 1) * p["step_h"] + (p["kernel_h"] - 1) * p["dilation_h"] + 1 if p["fused"] else rows


@helper
def rows_to_pool(p, rows):
    """Return the rows of the convolution (first, end) that rows (first, end) of the result need."""
    if not p.fused:
        return rows
    first = max(0, rows[0] * p.step_h - p.pad_top)
    end = (rows[1] - 1) * p.step_h - p.pad_top + (p.kernel_h - 1) * p.dilation_h + 1
    return first, max(first, min(p.image_height, end))


@helper
def taps_inside(first_pixel, kernel, dilation, size):
    """Return the taps of a window (first, end) that lie in the image, on one axis."""
    if first_pixel >= 0 and first_pixel + (kernel - 1) * dilation < size:
        return 0, kernel
    first = min(kernel, max(0, (dilation - 1 - first_pixel) // dilation))
    return first, max(first, min(kernel, (size - 1 - first_pixel) // dilation + 1))


@helper
def whole_windows(p):
    """Return which columns of windows (first, end) have all their taps in the image."""
    reach = (p.kernel_w - 1) * p.dilation_w
    first = min(p.width, (p.pad_left + p.step_w - 1) // p.step_w)
    room = p.image_width - 1 - reach + p.pad_left
    return first, max(first, min(p.width, room // p.step_w + 1 if room >= 0 else 0))


@helper
def pool_strip(p, strip, images, rows, result_rows, channels, out, argmax, lanes):
    """Pool a strip of convolution rows into ``out``, and the position of each winner in its window into ``argmax``.

    ``images``, ``rows``, ``result_rows`` and ``channels`` are pairs (first, end); the strip has nothing else in it.
    """
    size = channels[1] - channels[0]
    line = p.image_width * size
    kernel_w, step, width, places = p.kernel_w, p.step_w * size, p.width, p.channels
    steps, (first_whole, end_whole) = (p.dilation_h * line, p.dilation_w * size), whole_windows(p)
    for n in range(images[0], images[1]):
        image = ((n - images[0]) * (rows[1] - rows[0]) - rows[0]) * line
        for i in range(result_rows[0], result_rows[1]):
            top = i * p.step_h - p.pad_top
            r = taps_inside(top, p.kernel_h, p.dilation_h, p.image_height)
            first, place = image + top * line - p.pad_left * size, (n * p.height + i) * width * places + channels[0]
            for c in range(0, size, lanes):
                count = min(lanes, size - c)
                for j in range(width):
                    start, at, s = first + j * step + c, place + j * places + c, (0, kernel_w)
                    if j < first_whole or j >= end_whole:
                        s = taps_inside(j * p.step_w - p.pad_left, kernel_w, p.dilation_w, p.image_width)
                    find_winner(strip, start, r, s, steps, kernel_w, count, out, argmax, at)


BANDS = 64
"""Into how many bands to cut the images where windows overlap, if that leaves them large enough."""


def bind_unpool(pool, relu, dy, out, argmax, gradient):
    """Return the call that computes the gradient of the images that were pooled, through a ReLU where there is one."""
    return bind_return(pool, relu, dy, out, argmax, np.ones(gradient.shape[3], gradient.dtype), None, None, gradient)


def bind_return(pool, relu, dy, out, argmax, scale, x, maps, gradient):
    """Return the call that gives ``dy * scale`` back to winners, on top of ``(x - centre) * slope + shift``.

    ``maps`` are centre, slope and shift along a line of pixels (``channel_lines.py``); ``None`` stands for zeros.
    """
    images, record, follows_x, dtype = gradient.shape[0], pool_record(pool, gradient.shape), x is not None, gradient.dtype
    sizes = images, _band(record[0], images), lanes(dtype), block_columns(dtype)
    call, dy, gradient = build(unpool, 4 * gradient.size), dy.reshape(-1), gradient.reshape(-1)
    out, x, maps = out.reshape(-1) if relu else dy, x.reshape(-1) if follows_x else dy, maps or (scale,) * 3
    operands = record, sizes, relu, follows_x, dy, out, argmax.reshape(-1), scale, x, maps, gradient
    return lambda: call(*operands)


def _band(p, images):
    """Return how many rows of windows begin in one band; where bands overlap, they have to be worth it."""
    earlier = earlier_windows.py_func(p["step_h"], p["kernel_h"], p["dilation_h"])
    return int(max(4 * earlier, p["height"] * images // BANDS)) if earlier else 1


@helper
def earlier_windows(step, kernel, dilation):
    """Return how many windows that begin before another one may see where it begins, on one axis."""
    return (kernel - 1) * dilation // step


@kernel
def unpool(pool, sizes, relu, follows_x, dy, out, argmax, scale, x, maps, gradient):
    """Prepare each band of rows, then return gradients to winners among them."""
    bands = (pool[0].height + sizes[1] - 1) // sizes[1]
    for unit in prange(sizes[0] * bands):
        p, band, lanes, block = pool[0], sizes[1], sizes[2], sizes[3]
        n, first_window = unit // bands, unit % bands * band
        last_window = min(p.height, first_window + band)
        first = max(0, first_window * p.step_h - p.pad_top) if first_window > 0 else 0
        end = max(0, last_window * p.step_h - p.pad_top) if last_window < p.height else p.image_height
        prepare_rows(p, n, first, end, follows_x, x, block, maps, gradient)
        earlier = earlier_windows(p.step_h, p.kernel_h, p.dilation_h)
        add = follows_x or earlier > 0 or earlier_windows(p.step_w, p.kernel_w, p.dilation_w) > 0
        for i in range(max(0, first_window - earlier), last_window):
            r = taps_inside(i * p.step_h - p.pad_top - first, p.kernel_h, p.dilation_h, end - first)
            return_row(p, n, i, r, relu, lanes, dy, out, argmax, scale, gradient, add)


@helper
def prepare_rows(p, n, first, end, follows_x, x, block, maps, gradient):
    """Fill rows (first, end) of an image with what depends on x, or with zeros."""
    line = p.image_width * p.channels
    start, size = (n * p.image_height + first) * line, (end - first) * line
    if follows_x:
        map_stretches(x, start, size, block, maps, False, gradient)
    else:
        clear(gradient, start, size)


@helper
def return_row(p, n, i, r, relu, lanes, dy, out, argmax, scale, gradient, add):
    """Return the gradients of one row of windows to winners in rows (first, end) ``r`` of their taps."""
    size, line, kernel_w, width = p.channels, p.image_width * p.channels, p.kernel_w, p.width
    step, steps, (first_whole, end_whole) = p.step_w * size, (p.dilation_h * line, p.dilation_w * size), whole_windows(p)
    first = (n * p.image_height + i * p.step_h - p.pad_top) * line - p.pad_left * size
    place = (n * p.height + i) * width * size
    for c in range(0, size, lanes):
        count = min(lanes, size - c)
        for j in range(width):
            start, at, s = first + j * step + c, place + j * size + c, (0, kernel_w)
            if j < first_whole or j >= end_whole:
                s = taps_inside(j * p.step_w - p.pad_left, kernel_w, p.dilation_w, p.image_width)
            return_gradient(dy, out, argmax, at, relu, scale, c, start, r, s, steps, kernel_w, count, gradient, add)
