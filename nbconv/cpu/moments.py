"""What a batch's statistics are made of: for each channel, the sums of distances from a pivot, and of their squares.

The pivot is one of the channel's values, or the mean of some: distances from a number near the mean cancel nothing that
matters (Chan, Golub & LeVeque, 1983). Sums are in float64. They are computed by themselves, or by a convolution as it
finishes each strip of its results, while those are still in the core's cache.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..ops.base import Buffer
from .channel_lines import (
    STRETCH,
    VECTORS,
    add_moments,
    fold_line,
    line_width,
    repeat_pixel,
    stretch,
    stretch_count,
)
from .compile import helper, kernel, sequential

UNMEASURED = np.empty((0, 4, 0))
"""The moments that a convolution need not leave."""


@kernel
def sum_moments(x, piece, block, channels, pivots, sums):
    """Sums over each piece, by channel: of the distances from the channel's pivot, and of their squares."""
    first = min(x.size, max(1, STRETCH // pivots.size) * pivots.size)
    choose_pivots(x, 0, first, block, channels, pivots, sums[0, 0], sums[0, 1])
    for p in prange(len(sums)):
        start = p * piece
        sum_piece(x, start, min(piece, x.size - start), block, channels, pivots, sums[p, 0], sums[p, 1])


@helper
def choose_pivots(x, start, size, block, channels, pivots, totals, squares):
    """Take the mean of ``size`` numbers from ``start`` for the pivots, by channel, or zero where it is not finite."""
    for c in range(pivots.size):
        pivots[c] = 0
    sum_piece(x, start, size, block, channels, pivots, totals, squares)
    for c in range(channels):
        mean = totals[c] * channels / size
        pivots[c] = mean if is_finite(mean) else 0
    repeat_pixel((pivots,), channels)


@helper
def sum_piece(x, start, size, block, channels, pivots, totals, squares):
    """The sums over ``size`` numbers from ``start``, where a pixel begins."""
    width = pivots.size
    for c in range(width):
        totals[c], squares[c] = 0, 0
    for i in range(stretch_count(size, width)):
        first, rows, end = stretch(i, size, width)
        for at in range(0, end, block):
            columns = min(block, end - at)
            add_moments(x, start + first + at, width, rows, columns, pivots, at, totals, squares)
    fold_line(totals, channels)
    fold_line(squares, channels)


@helper
def is_finite(value):
    """Not ``np.isfinite``, which subtracts the value from itself: where sums may be regrouped, that is always zero."""
    return abs(value) < np.inf


def moments_buffer(strips: int, channels: int, dtype) -> Buffer:
    """Of each strip of a convolution's results, by channel: counts, pivots, sums of distances and of their squares."""
    return Buffer((strips, 4, line_width(channels, dtype)), "float64")


@helper
def measure_strip(g, images, rows, channels, out, moments):
    """Sum over rows (first, end) of images (first, end), all rows of several or some of one, for channels (first, end).

    The pivot is the result in the middle, which no border has made smaller than the others.
    """
    size = g.out_channels
    first = (images[0] * g.grid_height + rows[0]) * g.grid_width * size
    count = (images[1] - images[0]) * (rows[1] - rows[0]) * g.grid_width
    counts, pivots, totals, squares = moments[0], moments[1], moments[2], moments[3]
    for c in range(channels[0], channels[1]):
        middle = out[first + count // 2 * size + c]
        counts[c], pivots[c] = count, middle if is_finite(middle) else 0
    block = VECTORS * g.lanes
    if channels[1] - channels[0] == size:
        repeat_pixel((pivots,), size)
        sum_piece(out, first, count * size, block, size, pivots, totals, squares)
        return
    for c in range(channels[0], channels[1]):
        totals[c], squares[c] = 0, 0
    for c in range(channels[0], channels[1], block):
        columns = min(block, channels[1] - c)
        add_moments(out, first + c, size, count, columns, pivots, c, totals, squares)


@sequential
def join_strips(moments, channels, pivots, sums):
    """Take the first strip's pivots, and write the sums over all strips of the distances from those, and of squares.

    A distance from one pivot is that from another and the distance between them.
    """
    for c in range(channels):
        pivots[c] = moments[0, 1, c]
        total = square = 0.0
        for s in range(len(moments)):
            count, apart = moments[s, 0, c], moments[s, 1, c] - pivots[c]
            total += moments[s, 2, c] + count * apart
            square += moments[s, 3, c] + apart * (2 * moments[s, 2, c] + count * apart)
        sums[0, 0, c], sums[0, 1, c] = total, square
