"""Batch normalisation on the CPU. Arrays are (rows, C): inner loops run over channels.

Statistics are taken in pieces of some rows, in float64. Each piece, while it is in the cache, gives its mean and then
its squared distance from that mean; pieces are combined in order (Chan, Golub & LeVeque, 1983). That is as exact as two
passes over the batch, and reads it once.

What is applied per element is an affine map of x - centre, where the centre is the mean rounded to the plan's dtype.
The difference is exact where it matters, around the mean; what rounding took from the mean is in the shift.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numba import prange

from ..ops.base import Buffer
from .chunks import build, rows
from .compile import helper, kernel, sequential

PIECE = 32768
"""Elements per piece: what stays in a core's second cache between the two passes."""


@kernel
def _statistics(x, piece_rows, pieces, mean, variance):
    """Mean and (biased) variance of each channel."""
    n, channels = x.shape
    piece_mean, piece_rest, piece_spread = pieces
    for p in prange(piece_mean.shape[0]):
        first, last = p * piece_rows, min(n, (p + 1) * piece_rows)
        _piece_statistics(x, first, last, piece_mean[p], piece_rest[p], piece_spread[p])
    for c in range(channels):
        origin, offset, spread = _finite(piece_mean[0, c]), 0.0, 0.0
        for p in range(piece_mean.shape[0]):
            offset += (piece_mean[p, c] - origin) * _row_count(p, piece_rows, n)
        offset /= n
        for p in range(piece_mean.shape[0]):
            distance = piece_mean[p, c] - origin - offset
            spread += piece_spread[p, c] + distance * distance * _row_count(p, piece_rows, n)
        mean[c] = origin + offset
        variance[c] = spread / n


@helper
def _piece_statistics(x, first, last, mean, rest, spread):
    """Mean, and sum of squared distances from it, of rows ``first`` to ``last``.

    Distances from the exact mean add up to zero: what is left tells how far off the mean is, and corrects it.
    """
    channels = x.shape[1]
    for c in range(channels):
        mean[c], rest[c], spread[c] = 0, 0, 0
    for r in range(first, last):
        for c in range(channels):
            mean[c] += x[r, c]
    for c in range(channels):
        mean[c] /= last - first
    for r in range(first, last):
        for c in range(channels):
            distance = x[r, c] - mean[c]
            rest[c] += distance
            spread[c] += distance * distance
    for c in range(channels):
        mean[c] += _finite(rest[c] / (last - first))


@helper
def _finite(value):
    """The value, or zero where it is none that could be subtracted from another."""
    return value if _is_finite(value) else 0.0


@helper
def _is_finite(value):
    """Not ``np.isfinite``, which subtracts the value from itself: where sums may be regrouped, that is always zero."""
    return abs(value) < np.inf


@helper
def _row_count(piece, piece_rows, n):
    return min(n, (piece + 1) * piece_rows) - piece * piece_rows


@sequential
def _learn(mean, variance, n, momentum, running_mean, running_var):
    """Move the running values towards this batch's, where that is finite; the variance learnt is the unbiased one."""
    number = running_mean.dtype.type
    for c in range(mean.size):
        new_mean = number((1 - momentum) * running_mean[c] + momentum * mean[c])
        new_var = number((1 - momentum) * running_var[c] + momentum * variance[c] * n / (n - 1))
        if _is_finite(new_mean) and _is_finite(new_var):
            running_mean[c], running_var[c] = new_mean, new_var


@sequential
def _forward_map(mean, variance, eps, weight, bias, inv_std, maps):
    """out = (x - centre) * scale + shift."""
    centre, scale, shift = maps
    for c in range(mean.size):
        inv_std[c] = 1 / np.sqrt(variance[c] + eps)
        centre[c] = mean[c]
        scale[c] = inv_std[c] * weight[c]
        shift[c] = bias[c] - (mean[c] - centre[c]) * inv_std[c] * weight[c]


@sequential
def _scale(values, factors, out):
    for c in range(out.size):
        out[c] = values[c] * factors[c]


@sequential
def _backward_map(mean, inv_std, weight, sums, n, maps):
    """dx = (dy - shift - (x - centre) * slope) * scale: the batch's mean and variance depend on x too."""
    total, product = sums
    centre, scale, slope, shift = maps
    for c in range(mean.size):
        along = inv_std[c] * inv_std[c] * product[c] / n
        centre[c] = mean[c]
        scale[c] = inv_std[c] * weight[c]
        slope[c] = along
        shift[c] = total[c] / n - (mean[c] - centre[c]) * along


@kernel
def _normalize(x, piece_rows, maps, relu, out):
    n, channels = x.shape
    centre, scale, shift = maps
    zero = out.dtype.type(0)
    for p in prange((n + piece_rows - 1) // piece_rows):
        for r in range(p * piece_rows, min(n, (p + 1) * piece_rows)):
            for c in range(channels):
                y = (x[r, c] - centre[c]) * scale[c] + shift[c]
                out[r, c] = zero if relu & (y <= zero) else y


@kernel
def _gradient_sums(dy, x, out, relu, mean, piece_rows, pieces, sums):
    """Sums of dy and of dy * (x - mean) for each channel; dy counts where the ReLU let it pass."""
    n, channels = x.shape
    (piece_total, piece_product), (total, product) = pieces, sums
    zero = dy.dtype.type(0)
    for p in prange(piece_total.shape[0]):
        for c in range(channels):
            piece_total[p, c], piece_product[p, c] = 0, 0
        for r in range(p * piece_rows, min(n, (p + 1) * piece_rows)):
            for c in range(channels):
                g = zero if relu & (out[r, c] <= zero) else dy[r, c]
                piece_total[p, c] += g
                piece_product[p, c] += g * (x[r, c] - mean[c])
    for c in range(channels):
        total[c], product[c] = 0, 0
    for p in range(piece_total.shape[0]):
        for c in range(channels):
            total[c] += piece_total[p, c]
            product[c] += piece_product[p, c]


@kernel
def _input_gradient(dy, x, out, relu, training, piece_rows, maps, dx):
    n, channels = x.shape
    centre, scale, slope, shift = maps
    zero = dx.dtype.type(0)
    for p in prange((n + piece_rows - 1) // piece_rows):
        for r in range(p * piece_rows, min(n, (p + 1) * piece_rows)):
            for c in range(channels):
                g = zero if relu & (out[r, c] <= zero) else dy[r, c]
                through_statistics = shift[c] + (x[r, c] - centre[c]) * slope[c]
                dx[r, c] = (g - through_statistics if training else g) * scale[c]


def batch_norm(op, x, weight, bias, running_mean, running_var, *, out, mean, inv_std, scratch):
    x, out = rows(x), rows(out)
    n, channels = x.shape
    weight, bias = _or_constant(weight, 1, x), _or_constant(bias, 0, x)
    normalize, piece_rows, relu = build(_normalize, 2 * x.size), _piece_rows(channels), op.activation == "relu"
    variance, maps = scratch["variance"], tuple(scratch["maps"])

    if op.training:
        statistics, pieces = build(_statistics, 2 * x.size), tuple(scratch["pieces"])

        def measure():
            statistics(x, piece_rows, pieces, mean, variance)
            _learn(mean, variance, n, float(op.momentum), running_mean, running_var)
    else:

        def measure():
            np.copyto(mean, running_mean)
            np.copyto(variance, running_var)

    def run():
        measure()
        _forward_map(mean, variance, float(op.eps), weight, bias, inv_std, maps)
        normalize(x, piece_rows, maps, relu, out)

    return run


def batch_norm_backward(op, dy, x, weight, out, mean, inv_std, *, dx, dweight, dbias, scratch):
    dy, x = rows(dy), rows(x)
    n, channels = x.shape
    relu, piece_rows = op.activation == "relu", _piece_rows(channels)
    out = rows(out) if relu else dy  # not looked at
    weight = _or_constant(weight, 1, x)
    gradient_sums = build(_gradient_sums, 3 * x.size)
    pieces, sums, maps = (tuple(scratch[name]) for name in ("pieces", "sums", "maps"))

    wanted = [(sums[1], inv_std, dweight), (sums[0], np.ones(channels), dbias)]
    wanted = [each for each in wanted if each[-1] is not None]

    def run_sums():
        gradient_sums(dy, x, out, relu, mean, piece_rows, pieces, sums)
        for total, factor, gradient in wanted:
            _scale(total, factor, gradient)

    if dx is None:
        return run_sums
    input_gradient, dx = build(_input_gradient, 3 * x.size), rows(dx)

    def run():
        run_sums()
        _backward_map(mean, inv_std, weight, sums, n, maps)
        input_gradient(dy, x, out, relu, op.training, piece_rows, maps, dx)

    return run


def forward_scratch(op, dtype, x):
    pieces = {"pieces": _pieces(3, x)} if op.training else {}
    return {"variance": Buffer((x[-1],), "float64"), "maps": Buffer((3, x[-1]), dtype), **pieces}


def backward_scratch(op, dtype, x):
    return {"sums": Buffer((2, x[-1]), "float64"), "maps": Buffer((4, x[-1]), dtype), "pieces": _pieces(2, x)}


def _piece_rows(channels):
    return max(1, PIECE // channels)


def _pieces(count, x):
    """So many numbers per piece and channel."""
    *leading, channels = x
    return Buffer((count, -(-prod(leading) // _piece_rows(channels)), channels), "float64")


def _or_constant(param, value, x):
    """The parameter, or what stands for it in an op that has none."""
    return np.full(x.shape[1], value, x.dtype) if param is None else param
