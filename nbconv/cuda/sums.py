"""Sums over many terms, in two steps: pieces, spread over the GPU, and then the sum of the pieces, in order.

How many pieces there are depends on shapes only, and they are kept in float64: the bits are the same on every GPU.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numba import cuda

from ..ops.base import Buffer
from .kernel import kernel

MOST_PIECES = 512
"""More of them take longer to add than they save."""

ENOUGH_THREADS = 2**17
"""Threads that fill a large GPU."""


def partial_sums(terms: int, shape) -> Buffer:
    """Return the array for the pieces of an array of sums of this shape, each of so many terms: (pieces, *shape)."""
    pieces = min(terms, MOST_PIECES, ENOUGH_THREADS // prod(shape))
    return Buffer((max(1, pieces), *shape), "float64")


def add_pieces(partial, total):
    """The sums, of their pieces."""
    return _add_pieces.over(total.size)(partial.reshape(len(partial), -1), total.reshape(-1))


def sum_rows(x, partial, total):
    """The sum of all rows of x, of which ``partial`` gets pieces: with channels last, a sum for each channel."""
    return [_sum_rows.over(partial.size)(x.reshape(-1, total.size), partial), add_pieces(partial, total)]


@kernel
def _sum_rows(x, partial):
    index = cuda.grid(1)
    if index >= partial.size:
        return
    pieces, channels = partial.shape
    piece, c = index // channels, index % channels
    rows = x.shape[0]
    total = np.float64(0)
    for row in range(piece * rows // pieces, (piece + 1) * rows // pieces):
        total += x[row, c]
    partial[piece, c] = total


@kernel
def _add_pieces(partial, total):
    i = cuda.grid(1)
    if i >= total.size:
        return
    result = np.float64(0)
    for piece in range(partial.shape[0]):
        result += partial[piece, i]
    total[i] = result
