"""Batch normalisation on the CPU. Arrays are (rows, C): inner loops run over channels.

Statistics are taken in pieces of some rows. Each piece, while it is in the cache, gives its mean and then its squared
distance from that mean, in float64; pieces are combined in order (Chan, Golub & LeVeque, 1983). That is as exact as two
passes over the batch, and reads it once.

What is applied per element is an affine map of x - centre, where the centre is the mean rounded to the plan's dtype.
The difference is exact where it matters, around the mean; what rounding took from the mean is in the shift.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..ops.base import Buffer
from .chunks import build, rows
from .compile import helper, kernel

PIECE = 32768
"""Elements per piece: what stays in a core's second cache between the two passes."""


@kernel
def _statistics(x, piece_rows, piece_mean, piece_spread, mean, variance):
    """Mean and (biased) variance of each channel."""
    n, channels = x.shape
    pieces = piece_mean.shape[0]
    for p in prange(pieces):
        first, last = p * piece_rows, min(n, (p + 1) * piece_rows)
        _piece_statistics(x, first, last, piece_mean[p], piece_spread[p])
    for c in range(channels):
        mean[c], variance[c] = 0, 0
    for p in range(pieces):
        before, count = p * piece_rows, min(n, (p + 1) * piece_rows) - p * piece_rows
        share = count / (before + count)
        for c in range(channels):
            delta = piece_mean[p, c] - mean[c]
            mean[c] += delta * share
            variance[c] += piece_spread[p, c] + delta * delta * before * share
    for c in range(channels):
        variance[c] /= n


@helper
def _piece_statistics(x, first, last, mean, spread):
    """Mean, and sum of squared distances from it, of rows ``first`` to ``last``."""
    channels = x.shape[1]
    for c in range(channels):
        mean[c], spread[c] = 0, 0
    for r in range(first, last):
        for c in range(channels):
            mean[c] += x[r, c]
    for c in range(channels):
        mean[c] /= last - first
    for r in range(first, last):
        for c in range(channels):
            distance = x[r, c] - mean[c]
            spread[c] += distance * distance


@kernel
def _normalize(x, piece_rows, centre, scale, shift, relu, out):
    n, channels = x.shape
    for p in prange((n + piece_rows - 1) // piece_rows):
        for r in range(p * piece_rows, min(n, (p + 1) * piece_rows)):
            for c in range(channels):
                y = (x[r, c] - centre[c]) * scale[c] + shift[c]
                out[r, c] = 0 if relu & (y <= 0) else y


@kernel
def _gradient_sums(dy, x, out, relu, mean, piece_rows, piece_sum, piece_product, total, product):
    """Sums of dy and of dy * (x - mean) for each channel; dy counts where the ReLU let it pass."""
    n, channels = x.shape
    pieces = piece_sum.shape[0]
    for p in prange(pieces):
        for c in range(channels):
            piece_sum[p, c], piece_product[p, c] = 0, 0
        for r in range(p * piece_rows, min(n, (p + 1) * piece_rows)):
            for c in range(channels):
                g = 0 if relu & (out[r, c] <= 0) else dy[r, c]
                piece_sum[p, c] += g
                piece_product[p, c] += g * (x[r, c] - mean[c])
    for c in range(channels):
        total[c], product[c] = 0, 0
    for p in range(pieces):
        for c in range(channels):
            total[c] += piece_sum[p, c]
            product[c] += piece_product[p, c]


@kernel
def _input_gradient(dy, x, out, relu, piece_rows, centre, scale, slope, shift, dx):
    """dx = scale * dy + slope * (x - centre) + shift."""
    n, channels = x.shape
    for p in prange((n + piece_rows - 1) // piece_rows):
        for r in range(p * piece_rows, min(n, (p + 1) * piece_rows)):
            for c in range(channels):
                g = 0 if relu & (out[r, c] <= 0) else dy[r, c]
                dx[r, c] = g * scale[c] + (x[r, c] - centre[c]) * slope[c] + shift[c]
