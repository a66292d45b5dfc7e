"""The fully connected layer for a few samples: forward and backward read the weight where it lies, and pack nothing."""

from __future__ import annotations

import numpy as np
from numba import prange

from .chunks import build, chunk_count
from .compile import helper, kernel
from .few_rows import VECTORS, add_rows, add_short_rows, dot_rows, dot_short_rows
from .memory import clear
from .microkernel import CHAIN
from .vector import lanes

SAMPLES = 8
"""A batch of so many samples is few, if rows of the weight fill the vectors that are summed side by side."""

ROWS = 64
"""Rows of the weight that are one piece of work."""


def serves(dtype, batch, columns) -> bool:
    """Tell whether these kernels are the faster ones; with shorter rows they are for fewer samples.

    ``serves("float32", 8, 512)``, and of 10 columns a single sample.
    """
    return batch <= max(1, min(SAMPLES, SAMPLES * columns // (VECTORS * lanes(dtype))))


def bind_forward(x, weight, bias, relu, out):
    """Return the call that computes ``out`` = x @ weight + bias, or its ReLU."""
    bias = np.zeros(weight.shape[1], weight.dtype) if bias is None else bias
    call, width = build(multiply, weight.size), VECTORS * lanes(str(x.dtype))
    operands = x.reshape(-1), weight.reshape(-1), bias, relu, width, out.reshape(-1)
    return lambda: call(*operands)


def bind_input_gradient(dy, weight, dx):
    """Return the call that computes ``dx`` = dy @ weight.T."""
    call = build(multiply_transposed, weight.size)
    operands = dy.reshape(-1), weight.reshape(-1), dy.shape, lanes(str(dy.dtype)), dx.reshape(-1)
    return lambda: call(*operands)


def bind_weight_gradient(x, dy, dweight):
    """Return the call that computes ``dweight`` = x.T @ dy."""
    call = build(multiply_outer, dweight.size)
    operands = x.reshape(-1), dy.reshape(-1), dweight.shape, lanes(str(dy.dtype)), dweight.reshape(-1)
    return lambda: call(*operands)


def bind_bias_gradient(dy, dbias):
    """Return the call that computes ``dbias``, the sum of the rows of dy."""
    call = build(add_samples, dy.size)
    return lambda: call(dy, dbias)


@kernel
def multiply(x, weight, bias, relu, width, out):
    """Multiply, ``width`` columns of the weight at a time: a few rows of it stay in the cache for all samples."""
    columns = len(bias)
    samples, depth = len(out) // columns, len(weight) // columns
    for block in prange(chunk_count(columns, width)):
        first = block * width
        size = min(width, columns - first)
        for n in range(samples):
            for j in range(n * columns + first, n * columns + first + size):
                out[j] = bias[j - n * columns]
        for k in range(0, depth, CHAIN):
            rows = min(CHAIN, depth - k)
            for n in range(samples):
                start = n * columns + first
                add_rows(x, n * depth + k, weight, k * columns + first, (1, columns), (rows, size), True, out, start)
        if relu:
            for n in range(samples):
                rectify(out, n * columns + first, size)


@helper
def rectify(values, first, count):
    """Replace what is negative by zero; NaN stays."""
    for j in range(first, first + count):
        if values[j] < 0:
            values[j] = 0


@kernel
def multiply_transposed(dy, weight, shape, lanes, dx):
    """Multiply with some rows of the weight at a time, in parts of as many columns as a chain has in all lanes."""
    samples, columns = shape
    width = lanes * CHAIN
    depth = len(weight) // columns
    for piece in prange(chunk_count(depth, ROWS)):
        first = piece * ROWS
        rows = min(ROWS, depth - first)
        for n in range(samples):
            clear(dx, n * depth + first, rows)
            for j in range(0, columns, width):
                size, start, place = (rows, min(width, columns - j)), first * columns + j, n * depth + first
                if columns <= lanes:
                    dot_short_rows(dy, n * columns + j, weight, start, columns, size, dx, place)
                else:
                    dot_rows(dy, n * columns + j, weight, start, columns, size, dx, place)


@kernel
def multiply_outer(x, dy, shape, lanes, dweight):
    """Compute some rows of the gradient at a time."""
    depth, columns = shape
    size = len(dy) // columns, columns
    for piece in prange(chunk_count(depth, ROWS)):
        for k in range(piece * ROWS, min(depth, (piece + 1) * ROWS)):
            if columns <= lanes:
                add_short_rows(x, k, dy, 0, (depth, columns), size, False, dweight, k * columns)
            else:
                add_rows(x, k, dy, 0, (depth, columns), size, False, dweight, k * columns)


@kernel
def add_samples(dy, dbias):
    """Add up in double precision."""
    for j in prange(dy.shape[1]):
        total = 0.0
        for n in range(dy.shape[0]):
            total += np.float64(dy[n, j])
        dbias[j] = total
