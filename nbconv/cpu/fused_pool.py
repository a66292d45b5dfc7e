"""A max-pool behind a convolution: strips of its output are pooled while they are in the cache."""

from __future__ import annotations

import numpy as np

from .compile import helper
from .records import POOL, one


def pool_record(pool, conv_shape):
    """Return the record of a ``MaxPool2d`` over images of shape ``conv_shape``, or of no pool."""
    if pool is None:
        return one(POOL)
    _, height, width, _ = pool.out_shape(conv_shape)
    top, _, left, _ = pool.pads(conv_shape)
    values = (1, height, width, *pool.kernel_size, *pool.stride, top, left, *pool.dilation)
    return one(POOL, zip(POOL.names, values, strict=True))


def grid_rows(pool, rows):
    """Return how many rows of the convolution ``rows`` rows of its result need."""
    p = pool[0]
    return (rows - 1) * p["step_h"] + (p["kernel_h"] - 1) * p["dilation_h"] + 1 if p["fused"] else rows


@helper
def rows_to_pool(g, p, rows):
    """Return the rows of the convolution (first, end) that rows (first, end) of the result need."""
    if not p.fused:
        return rows
    first = max(0, rows[0] * p.step_h - p.pad_top)
    end = (rows[1] - 1) * p.step_h - p.pad_top + (p.kernel_h - 1) * p.dilation_h + 1
    return first, max(first, min(g.grid_height, end))


@helper
def pool_strip(g, p, strip, images, rows, result_rows, channels, out, argmax):
    """Pool a strip of convolution rows into ``out``, and the position of each winner in its window into ``argmax``.

    ``images``, ``rows``, ``result_rows`` and ``channels`` are pairs (first, end); the strip has nothing else in it.
    """
    size = channels[1] - channels[0]
    for n in range(images[0], images[1]):
        first_line = (n - images[0]) * (rows[1] - rows[0]) - rows[0]
        for i in range(result_rows[0], result_rows[1]):
            for j in range(p.width):
                place = ((n * p.height + i) * p.width + j) * g.out_channels + channels[0]
                pool_window(g, p, strip, first_line, i, j, out[place : place + size], argmax[place : place + size])


@helper
def pool_window(g, p, strip, first_line, i, j, out, argmax):
    """Find the maximum of window (i, j) in a strip where row h of the image is line ``first_line + h``."""
    first, size = True, len(out)
    for r in range(p.kernel_h):
        h = i * p.step_h - p.pad_top + r * p.dilation_h
        if h < 0 or h >= g.grid_height:
            continue
        for s in range(p.kernel_w):
            w = j * p.step_w - p.pad_left + s * p.dilation_w
            if w < 0 or w >= g.grid_width:
                continue
            pixel = ((first_line + h) * g.grid_width + w) * size
            challenge(strip[pixel : pixel + size], r * p.kernel_w + s, first, out, argmax)
            first = False
    if first:  # a dilated window can see nothing but border
        for c in range(size):
            out[c] = -np.inf
            argmax[c] = 0


@helper
def challenge(pixel, position, first, out, argmax):
    """Let the pixel win where it is larger, or the first NaN, or the first of all.

    Both outcomes are stored: a select, no branch.
    """
    for c in range(len(out)):
        value, best = pixel[c], out[c]
        wins = first | ((not value <= best) & (best == best))
        out[c] = value if wins else best
        argmax[c] = position if wins else argmax[c]
