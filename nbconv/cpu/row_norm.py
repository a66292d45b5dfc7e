"""Normalisation of rows of numbers next to each other: layer norm, and group norm of features.

Arrays are flat. A sample is ``groups`` rows of equal length; weight and bias have a number for each value of a sample.
Pivots, sums and centres are those of batch norm (``norm.py``).
"""

from __future__ import annotations

from math import prod

import numpy as np
from numba import prange, uint64

from ..ops.base import Buffer
from .chunks import GRAIN, build, chunk_count, chunk_range, flat
from .compile import helper, kernel
from .moments import is_finite

SAMPLED = 128
"""Numbers at the beginning of a row whose mean is the pivot of its sums."""

COLUMNS = 512
"""Columns that are added up together, so that their sums stay in the first cache."""

PIECES = 32
"""Into how many pieces samples are cut at most where their columns are added up."""


@kernel
def _normalize(x, groups, eps, weight, bias, mean, inv_std, out):
    """Write mean and 1 / sqrt(variance + eps) of each row, and the row normalised, then scaled and shifted."""
    rows = mean.size
    length = x.size // rows
    share = max(1, GRAIN // length)
    for chunk in prange(chunk_count(rows, share)):
        for row in chunk_range(chunk, rows, share):
            start, first = row * uint64(length), row % uint64(groups) * uint64(length)
            mean[row], inv_std[row] = _statistics(x, start, uint64(length), eps)
            centre, scale, shift = _row_map(mean[row], inv_std[row], x)
            for i in range(uint64(length)):
                value = (x[start + i] - centre) * scale + shift
                out[start + i] = value * weight[first + i] + bias[first + i]


@helper
def _statistics(x, start, length, eps):
    pivot, total, square = 0.0, 0.0, 0.0
    sampled = min(length, uint64(SAMPLED))
    for i in range(sampled):
        pivot += x[start + i]
    pivot = pivot / sampled if is_finite(pivot) else 0.0
    for i in range(length):
        distance = x[start + i] - pivot
        total += distance
        square += distance * distance
    offset = total / length
    variance = square / length - offset * offset
    return pivot + offset, 1 / np.sqrt((0.0 if variance < 0 else variance) + eps)


@helper
def _row_map(mean, inv_std, x):
    """Return centre, scale and shift, so that (x - centre) * scale + shift is x normalised, in the dtype of x."""
    number = x.dtype.type
    centre = number(mean)
    return centre, number(inv_std), number((centre - mean) * inv_std)


@kernel
def _spread(dy, x, groups, weight, mean, inv_std, dx):
    """Write dx: what comes back to each row, less its mean and its slope along the normalised row."""
    rows, number = mean.size, dx.dtype.type
    length = x.size // rows
    share = max(1, GRAIN // length)
    for chunk in prange(chunk_count(rows, share)):
        for row in chunk_range(chunk, rows, share):
            start, first = row * uint64(length), row % uint64(groups) * uint64(length)
            centre, scale, _ = _row_map(mean[row], inv_std[row], x)
            total, product = 0.0, 0.0
            for i in range(uint64(length)):
                value = np.float64(dy[start + i] * weight[first + i])
                total += value
                product += value * (x[start + i] - centre)
            rest = mean[row] - centre
            along = inv_std[row] * inv_std[row] * (product - total * rest) / length
            slope, shift = number(-along * inv_std[row]), number((rest * along - total / length) * inv_std[row])
            for i in range(uint64(length)):
                through_statistics = (x[start + i] - centre) * slope + shift
                dx[start + i] = dy[start + i] * weight[first + i] * scale + through_statistics


@kernel
def _sum_columns(dy, x, mean, inv_std, sums):
    """Sums over each piece of the samples, by column: of dy, and of dy * (x - mean) * inv_std."""
    samples, groups = mean.shape
    pieces, _, size = sums.shape
    length, share = size // groups, (samples + pieces - 1) // pieces
    blocks = chunk_count(length, COLUMNS)
    for task in prange(pieces * groups * blocks):
        piece, g, block = task // (groups * blocks), task // blocks % groups, task % blocks
        totals, products = sums[piece, 0], sums[piece, 1]
        first, columns = uint64(g * length), chunk_range(block, length, COLUMNS)
        for i in columns:
            totals[first + i] = 0
            products[first + i] = 0
        for n in chunk_range(piece, samples, share):
            centre, scale, start = mean[n, g], inv_std[n, g], n * uint64(size) + first
            for i in columns:
                value = np.float64(dy[start + i])
                totals[first + i] += value
                products[first + i] += value * ((x[start + i] - centre) * scale)


@kernel
def _add_pieces(sums, dweight, dbias):
    """Add up the sums over pieces, in order."""
    for chunk in prange(chunk_count(dbias.size, COLUMNS)):
        for i in chunk_range(chunk, dbias.size, COLUMNS):
            total, product = 0.0, 0.0
            for piece in range(uint64(len(sums))):
                total += sums[piece, 0, i]
                product += sums[piece, 1, i]
            dbias[i] = total
            dweight[i] = product


def bind_forward(op, x, weight, bias, mean, inv_std, out, scratch):
    call, groups, eps = build(_normalize, 3 * x.size), mean.shape[1], float(op.eps)
    weight, bias = _or_constant(weight, 1, x), _or_constant(bias, 0, x)
    operands = flat(x), groups, eps, weight, bias, flat(mean), flat(inv_std), flat(out)
    return lambda: call(*operands)


def bind_backward(op, dy, x, weight, mean, inv_std, dx, dweight, dbias, scratch):
    calls = []
    if dx is not None:
        spread, weight = build(_spread, 4 * x.size), _or_constant(weight, 1, x)
        operands = flat(dy), flat(x), mean.shape[1], weight, flat(mean), flat(inv_std), flat(dx)
        calls.append(lambda: spread(*operands))
    if dweight is not None or dbias is not None:
        add_up, sums = build(_sum_columns, 4 * x.size), scratch["parameter_sums"]
        columns = flat(dy), flat(x), mean, inv_std, sums
        calls += [lambda: add_up(*columns), *bind_parameter_gradients(sums, dweight, dbias)]

    def run():
        for call in calls:
            call()

    return run


def bind_parameter_gradients(sums, dweight, dbias):
    """Return the calls, one or none, that make the wanted gradients of the sums over pieces (pieces, 2, size)."""
    if dweight is None and dbias is None:
        return []
    call, size, dtype = build(_add_pieces, sums.size), sums.shape[2], (dbias if dweight is None else dweight).dtype
    results = [np.empty(size, dtype) if gradient is None else flat(gradient) for gradient in (dweight, dbias)]
    return [lambda: call(sums, *results)]


def _or_constant(param, value, x):
    """The parameter, or what stands for it in an op that has none, with a number for each value of a sample."""
    return np.full(prod(x.shape[1:]), value, x.dtype) if param is None else flat(param)


def forward_scratch(op, dtype, x):
    return {}


def backward_scratch(op, dtype, x):
    size = prod(x[1:])
    return {"parameter_sums": Buffer((_column_pieces(x[0], size), 2, size), "float64")} if op.affine else {}


def _column_pieces(samples, size):
    """Return how many pieces samples of ``size`` numbers are cut into: columns may be enough to share by themselves."""
    return max(1, min(samples, samples * size // (2 * GRAIN), PIECES * COLUMNS // size, PIECES))
