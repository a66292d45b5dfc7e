"""What all norms are made of: sums over groups of values, and what becomes of each value with their help.

x is (samples, rows, channels), mean and inv_std are (samples, groups): ``width`` channels next to each other are a
group, with all rows of their sample. Batch norm is that with the batch for the only sample, and groups of one channel.

A thread stays in one channel of one sample, and takes every ``pieces``-th row: neighbouring threads read neighbouring
numbers, whatever the number of channels. Sums are in float64. There is one for each piece, and a thread for each group
adds these up in order, so that the bits are the same from run to run, and on every GPU.
"""

from __future__ import annotations

import numpy as np
from numba import cuda

from ..ops.base import Buffer
from .kernel import device_function, kernel
from .sums import ENOUGH_THREADS, MOST_PIECES

LEAST_ROWS = 64
"""The fewest rows whose sum is worth a thread."""

FEW = 16
"""Pieces that are added up by themselves, which loses less than one by one."""

ROWS = 8
"""Rows that a thread writes where nothing is summed."""


@kernel
def _sum_values(x, totals):
    index = cuda.grid(1)
    if index >= totals.size:
        return
    _, pieces, channels = totals.shape
    n, piece, c = place(index, pieces, channels)
    total = np.float64(0)
    for row in range(piece, x.shape[1], pieces):
        total += x[n, row, c]
    totals[n, piece, c] = total


@kernel
def _group_mean(x, totals, width, mean):
    index = cuda.grid(1)
    if index >= mean.size:
        return
    n, group = index // mean.shape[1], index % mean.shape[1]
    mean[n, group] = add_pieces(totals, n, group, width) / (x.shape[1] * width)


@kernel
def _sum_squares(x, mean, width, totals):
    index = cuda.grid(1)
    if index >= totals.size:
        return
    _, pieces, channels = totals.shape
    n, piece, c = place(index, pieces, channels)
    centre = mean[n, c // width]
    total = np.float64(0)
    for row in range(piece, x.shape[1], pieces):
        distance = x[n, row, c] - centre
        total += distance * distance
    totals[n, piece, c] = total


@kernel
def _normalize(x, weight, bias, mean, inv_std, relu, width, pieces, out):
    samples, rows, channels = x.shape
    index = cuda.grid(1)
    if index >= samples * pieces * channels:
        return
    n, piece, c = place(index, pieces, channels)
    centre, scale = mean[n, c // width], inv_std[n, c // width]
    for row in range(piece, rows, pieces):
        value = (x[n, row, c] - centre) * scale
        if weight is not None:
            j = (row * channels + c) % weight.size
            value = value * weight[j] + bias[j]
        out[n, row, c] = np.float64(0) if relu and value <= 0 else value


@kernel
def _sum_gradients(dy, x, out, weight, mean, width, totals, products):
    index = cuda.grid(1)
    if index >= totals.size:
        return
    _, pieces, channels = totals.shape
    n, piece, c = place(index, pieces, channels)
    centre = mean[n, c // width]
    total, product = np.float64(0), np.float64(0)
    for row in range(piece, x.shape[1], pieces):
        d = _returned(dy, out, weight, n, row, c)
        total += d
        product += d * (x[n, row, c] - centre)
    totals[n, piece, c], products[n, piece, c] = total, product


@kernel
def _input_gradient(dy, x, out, weight, mean, inv_std, shift, slope, width, pieces, dx):
    samples, rows, channels = dx.shape
    index = cuda.grid(1)
    if index >= samples * pieces * channels:
        return
    n, piece, c = place(index, pieces, channels)
    group = c // width
    scale = inv_std[n, group]
    for row in range(piece, rows, pieces):
        d = _returned(dy, out, weight, n, row, c)
        if shift is not None:
            d -= shift[n, group] + (x[n, row, c] - mean[n, group]) * slope[n, group]
        dx[n, row, c] = d * scale


@device_function
def _returned(dy, out, weight, n, row, c):
    """What comes back to a normalised value: dy where the ReLU let the value pass, times its weight."""
    d = np.float64(dy[n, row, c])
    if out is not None and out[n, row, c] <= 0:
        d = np.float64(0)
    if weight is not None:
        d *= weight[(row * dy.shape[2] + c) % weight.size]
    return d


@device_function
def place(index, pieces, channels):
    """Return the sample, the piece and the channel of a thread."""
    return index // (pieces * channels), index // channels % pieces, index % channels


@device_function
def add_pieces(totals, n, group, width):
    """Return the sum over all pieces and channels of a group, in order."""
    pieces, total = totals.shape[1], np.float64(0)
    for first in range(0, pieces, FEW):
        few = np.float64(0)
        for piece in range(first, min(first + FEW, pieces)):
            for c in range(group * width, (group + 1) * width):
                few += totals[n, piece, c]
        total += few
    return total


def sum_buffers(samples, rows, channels, *names):
    """Return an array of sums (samples, pieces, channels) by each of these names."""
    pieces = min(rows // LEAST_ROWS, MOST_PIECES, ENOUGH_THREADS // (samples * channels))
    return {name: Buffer((samples, max(1, pieces), channels), "float64") for name in names}


def measure_mean(x, totals, mean):
    """Write the mean of each group; ``totals`` is for the sums of its pieces."""
    width = x.shape[2] // mean.shape[1]
    return [_sum_values.over(totals.size)(x, totals), _group_mean.over(mean.size)(x, totals, width, mean)]


def sum_squares(x, mean, totals):
    """Sum the squares of x - mean, of which a variance is made."""
    return _sum_squares.over(totals.size)(x, mean, x.shape[2] // mean.shape[1], totals)


def normalize(x, weight, bias, mean, inv_std, relu, out):
    """out = (x - mean) * inv_std * weight + bias, and zero for what is negative where there is a ReLU."""
    width, pieces = x.shape[2] // mean.shape[1], _pieces(x)
    operands = x, weight, bias, mean, inv_std, relu, width, pieces, out.reshape(x.shape)
    return _normalize.over(_threads(x, pieces))(*operands)


def sum_gradients(dy, x, out, weight, mean, totals, products):
    """Sum the gradients d that come back to the normalised values, and the products d * (x - mean).

    ``out`` is what a ReLU has returned, or ``None``. ``weight`` is that of the values, or ``None``.
    """
    width, (dy, out) = x.shape[2] // mean.shape[1], _shaped_as(x, dy, out)
    return _sum_gradients.over(totals.size)(dy, x, out, weight, mean, width, totals, products)


def input_gradient(dy, x, out, weight, mean, inv_std, shift, slope, dx):
    """dx = (d - shift - (x - mean) * slope) * inv_std; or d * inv_std, with neither, where statistics are constant."""
    width, pieces, (dy, out, dx) = x.shape[2] // mean.shape[1], _pieces(x), _shaped_as(x, dy, out, dx)
    operands = dy, x, out, weight, mean, inv_std, shift, slope, width, pieces, dx
    return _input_gradient.over(_threads(x, pieces))(*operands)


def _pieces(x):
    return -(-x.shape[1] // ROWS)


def _threads(x, pieces):
    samples, _, channels = x.shape
    return samples * pieces * channels


def _shaped_as(x, *arrays):
    return [None if array is None else array.reshape(x.shape) for array in arrays]
