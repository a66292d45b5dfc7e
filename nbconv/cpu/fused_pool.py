"""Max-pools forward: strips of images are pooled, by themselves or while a convolution has them in the cache."""

from __future__ import annotations

from .compile import helper
from .pool_tiles import find_winner
from .records import POOL, one


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
