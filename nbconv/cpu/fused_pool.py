"""A max-pool behind a convolution: forward, strips of its output are pooled while they are in the cache."""

from __future__ import annotations

from numba import prange

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


def bind_unpool(pool, relu, dy, out, argmax, gradient):
    """Return the call that computes the gradient of the images that were pooled, through a ReLU where there is one."""
    images, dy, argmax = gradient.shape[0], dy.reshape(-1), argmax.reshape(-1)
    record, out = pool_record(pool, gradient.shape), out.reshape(-1) if relu else dy
    call, gradient = build(unpool, gradient.size), gradient.reshape(-1)
    width = lanes(dy.dtype)

    def run():
        call(record, images, relu, width, dy, out, argmax, gradient)

    return run


@kernel
def unpool(pool, images, relu, lanes, dy, out, argmax, gradient):
    """Return gradients to winners. Rows of windows that overlap are done by one thread, so that nothing races."""
    bands = pool[0].height if apart(pool[0].step_h, pool[0].kernel_h, pool[0].dilation_h) else 1
    for unit in prange(images * bands):
        p = pool[0]
        n, band = unit // bands, unit % bands
        rows = (band, band + 1) if bands > 1 else (0, p.height)
        first = rows[0] * p.step_h - p.pad_top if band > 0 else 0
        end = rows[1] * p.step_h - p.pad_top if band + 1 < bands else p.image_height
        line = p.image_width * p.channels
        clear(gradient, (n * p.image_height + first) * line, (end - first) * line)
        for i in range(rows[0], rows[1]):
            return_row(p, n, i, relu, lanes, dy, out, argmax, gradient)


@helper
def apart(step, kernel, dilation):
    """Tell whether windows do not overlap on one axis."""
    return step >= (kernel - 1) * dilation + 1


@helper
def return_row(p, n, i, relu, lanes, dy, out, argmax, gradient):
    """Return the gradients of one row of windows."""
    line, size = p.image_width * p.channels, p.channels
    overlap = not (apart(p.step_h, p.kernel_h, p.dilation_h) and apart(p.step_w, p.kernel_w, p.dilation_w))
    top = i * p.step_h - p.pad_top
    r = taps_inside(top, p.kernel_h, p.dilation_h, p.image_height)
    for j in range(p.width):
        left = j * p.step_w - p.pad_left
        s = taps_inside(left, p.kernel_w, p.dilation_w, p.image_width)
        start, steps = (n * p.image_height + top) * line + left * size, (p.dilation_h * line, p.dilation_w * size)
        place = ((n * p.height + i) * p.width + j) * size
        for c in range(0, size, lanes):
            at, count = place + c, min(lanes, size - c)
            return_gradient(dy, out, argmax, at, relu, start + c, r, s, steps, p.kernel_w, count, gradient, overlap)
