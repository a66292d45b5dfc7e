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
        start = (n - images[0]) * (rows[1] - rows[0])
        for i in range(result_rows[0], result_rows[1]):
            top = i * p.step_h - p.pad_top
            for j in range(p.width):
                left = j * p.step_w - p.pad_left
                target = ((n * p.height + i) * p.width + j) * g.out_channels + channels[0]
                first = True
                for r in range(p.kernel_h):
                    h = top + r * p.dilation_h
                    if h < 0 or h >= g.grid_height:
                        continue
                    line = (start + h - rows[0]) * g.grid_width
                    for s in range(p.kernel_w):
                        w = left + s * p.dilation_w
                        if w < 0 or w >= g.grid_width:
                            continue
                        position = r * p.kernel_w + s
                        if first:
                            _take(strip, (line + w) * size, position, size, target, out, argmax)
                            first = False
                        else:
                            _challenge(strip, (line + w) * size, position, size, target, out, argmax)
                if first:  # a dilated window can see nothing but border
                    for c in range(target, target + size):
                        out[c] = -np.inf
                        argmax[c] = 0


@helper
def _take(strip, pixel, position, size, target, out, argmax):
    """Let the pixel be the maximum of the window."""
    for c in range(size):
        out[target + c] = strip[pixel + c]
        argmax[target + c] = position


@helper
def _challenge(strip, pixel, position, size, target, out, argmax):
    """Let the pixel win where it is larger, or the first NaN; both outcomes are stored: a select, no branch."""
    for c in range(size):
        value, best = strip[pixel + c], out[target + c]
        wins = (not value <= best) & (best == best)
        out[target + c] = value if wins else best
        argmax[target + c] = position if wins else argmax[target + c]
