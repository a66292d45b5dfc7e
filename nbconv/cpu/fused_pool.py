"""Max-pools: strips of images are pooled, by themselves or while a convolution has them in the cache; and the way back.

Backward, the rows of an image are cut into *bands*, each done by one thread, so that nothing races: it prepares its
rows, then adds to them what comes back from all windows that see them. Where windows do not overlap, that is done by
vectors of channels, one tap after the other; where they do, pixels get their shares one by one, which takes as long for
large windows as for small ones.
"""

from __future__ import annotations

import numpy as np
from numba import prange, uint64

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
def pool_strip(p, strip, images, rows, result_rows, channels, out, argmax, lanes):
    """Pool a strip of convolution rows into ``out``, and the position of each winner in its window into ``argmax``.

    ``images``, ``rows``, ``result_rows`` and ``channels`` are pairs (first, end); the strip has nothing else in it.
    """
    size = channels[1] - channels[0]
    line = p.image_width * size
    for n in range(images[0], images[1]):
        image = ((n - images[0]) * (rows[1] - rows[0]) - rows[0]) * line
        for i in range(result_rows[0], result_rows[1]):
            top = i * p.step_h - p.pad_top
            r = taps_inside(top, p.kernel_h, p.dilation_h, p.image_height)
            for j in range(p.width):
                left = j * p.step_w - p.pad_left
                s = taps_inside(left, p.kernel_w, p.dilation_w, p.image_width)
                start, steps = image + top * line + left * size, (p.dilation_h * line, p.dilation_w * size)
                place = ((n * p.height + i) * p.width + j) * p.channels + channels[0]
                for c in range(0, size, lanes):
                    count = min(lanes, size - c)
                    find_winner(strip, start + c, r, s, steps, p.kernel_w, count, out, argmax, place + c)


BANDS = 64
"""Into how many bands the images are cut where windows overlap, if that leaves them large enough."""


def bind_unpool(pool, relu, dy, out, argmax, gradient):
    """Return the call that computes the gradient of the images that were pooled, through a ReLU where there is one."""
    return bind_return(pool, relu, dy, out, argmax, np.ones(gradient.shape[3], gradient.dtype), None, None, gradient)


def bind_return(pool, relu, dy, out, argmax, scale, x, maps, gradient):
    """Return the call that gives ``dy * scale`` back to winners, on top of ``(x - centre) * slope + shift``.

    ``maps`` are centre, slope and shift along a line of pixels (``channel_lines.py``); ``None`` stands for zeros.
    """
    images, argmax = gradient.shape[0], argmax.reshape(-1)
    record, dtype = pool_record(pool, gradient.shape), gradient.dtype
    band, line, pixel = _band(pool, record[0], images), gradient.shape[2] * gradient.shape[3], gradient.shape[3]
    offsets = [r * line * pool.dilation[0] + s * pixel * pool.dilation[1] for r, s in np.ndindex(*pool.kernel_size)]
    call, dy = build(unpool, gradient.size), dy.reshape(-1)
    gradient, offsets, follows_x = gradient.reshape(-1), np.array(offsets, np.int64), x is not None
    out, x, maps = out.reshape(-1) if relu else dy, x.reshape(-1) if follows_x else dy, maps or (scale,) * 3
    sizes = images, band, lanes(dtype), block_columns(dtype)

    def run():
        call(record, sizes, offsets, relu, follows_x, dy, out, argmax, scale, x, maps, gradient)

    return run


def _band(pool, p, images):
    """Return the rows of windows that begin in one band."""
    earlier = earlier_windows.py_func(p["step_h"], p["kernel_h"], p["dilation_h"])
    return int(max(4 * earlier, p["height"] * images // BANDS)) if earlier else 1


@helper
def earlier_windows(step, kernel, dilation):
    """Return how many windows that begin before another one may see where it begins, on one axis."""
    return (kernel - 1) * dilation // step


@kernel
def unpool(pool, sizes, offsets, relu, follows_x, dy, out, argmax, scale, x, maps, gradient):
    """Prepare each band of rows, then return gradients to winners among them."""
    images, band, lanes, block = sizes
    bands = (pool[0].height + band - 1) // band
    for unit in prange(images * bands):
        p = pool[0]
        n, first_window = unit // bands, unit % bands * band
        last_window = min(p.height, first_window + band)
        first = max(0, first_window * p.step_h - p.pad_top) if first_window > 0 else 0
        end = max(0, last_window * p.step_h - p.pad_top) if last_window < p.height else p.image_height
        size = p.image_width * p.channels
        start = (n * p.image_height + first) * size
        if follows_x:
            map_stretches(x, start, (end - first) * size, block, maps, False, gradient)
        else:
            clear(gradient, start, (end - first) * size)
        earlier = earlier_windows(p.step_h, p.kernel_h, p.dilation_h)
        overlapping = earlier > 0 or earlier_windows(p.step_w, p.kernel_w, p.dilation_w) > 0
        for i in range(max(0, first_window - earlier), last_window):
            r = taps_inside(i * p.step_h - p.pad_top - first, p.kernel_h, p.dilation_h, end - first)
            if overlapping:
                share_row(p, n, i, r, offsets, relu, dy, out, argmax, scale, gradient)
            else:
                return_row(p, n, i, r, relu, lanes, dy, out, argmax, scale, gradient, follows_x)


@helper
def return_row(p, n, i, r, relu, lanes, dy, out, argmax, scale, gradient, add):
    """Return the gradients of one row of windows, which do not overlap, to taps in rows (first, end) ``r``."""
    line, size = p.image_width * p.channels, p.channels
    top = i * p.step_h - p.pad_top
    for j in range(p.width):
        left = j * p.step_w - p.pad_left
        s = taps_inside(left, p.kernel_w, p.dilation_w, p.image_width)
        start, steps = (n * p.image_height + top) * line + left * size, (p.dilation_h * line, p.dilation_w * size)
        place = ((n * p.height + i) * p.width + j) * size
        for c in range(0, size, lanes):
            count = min(lanes, size - c)
            return_gradient(
                *(dy, out, argmax, place + c, relu, scale, c),
                *(start + c, r, s, steps, p.kernel_w, count, gradient, add),
            )


@helper
def share_row(p, n, i, r, offsets, relu, dy, out, argmax, scale, gradient):
    """Add the gradients of one row of windows to the winners in rows (first, end) ``r`` of taps, one by one.

    A window of border alone, which a dilated one may be, has no winner.
    """
    line, size, zero = p.image_width * p.channels, p.channels, dy.dtype.type(0)
    top, first, end = i * p.step_h - p.pad_top, r[0] * p.kernel_w, r[1] * p.kernel_w
    for j in range(p.width):
        left = j * p.step_w - p.pad_left
        s = taps_inside(left, p.kernel_w, p.dilation_w, p.image_width)
        start = (n * p.image_height + top) * line + left * size
        place = ((n * p.height + i) * p.width + j) * size
        if s[0] == s[1]:
            continue
        for c in range(size):
            at, position = uint64(place + c), np.int64(argmax[uint64(place + c)])
            if first <= position < end:
                value = zero if relu & (out[at] <= zero) else dy[at]
                gradient[uint64(start + offsets[uint64(position)] + c)] += value * scale[uint64(c)]
