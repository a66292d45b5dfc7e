"""Softmax and its logarithm, over the last axis: a thread has a row.

NaN, infinity, or nothing but minus infinity in a row makes its sum NaN, and with that the whole row.
"""

from __future__ import annotations

from math import exp, log

import numpy as np
from numba import cuda

from .kernel import device_function, kernel


@kernel
def _softmax(x, out):
    row = cuda.grid(1)
    if row >= x.shape[0]:
        return
    largest, total = _largest(x, row), np.float64(0)
    for c in range(x.shape[1]):
        out[row, c] = exp(x[row, c] - largest)  # cannot overflow
        total += out[row, c]
    for c in range(x.shape[1]):
        out[row, c] /= out.dtype.type(total)


@kernel
def _softmax_backward(dy, out, dx):
    row = cuda.grid(1)
    if row >= dx.shape[0]:
        return
    total = np.float64(0)
    for c in range(dx.shape[1]):
        total += np.float64(dy[row, c]) * out[row, c]
    for c in range(dx.shape[1]):
        dx[row, c] = out[row, c] * (dy[row, c] - total)


@kernel
def _log_softmax(x, out):
    row = cuda.grid(1)
    if row >= x.shape[0]:
        return
    largest, total = _largest(x, row), np.float64(0)
    for c in range(x.shape[1]):
        total += exp(x[row, c] - largest)
    log_total = log(total)
    for c in range(x.shape[1]):
        out[row, c] = (x[row, c] - largest) - log_total


@kernel
def _log_softmax_backward(dy, out, dx):
    row = cuda.grid(1)
    if row >= dx.shape[0]:
        return
    total = np.float64(0)
    for c in range(dx.shape[1]):
        total += dy[row, c]
    for c in range(dx.shape[1]):
        dx[row, c] = dy[row, c] - exp(out[row, c]) * total


@device_function
def _largest(x, row):
    """The largest number of a row; with NaN in the row, any."""
    largest = x[row, 0]
    for c in range(1, x.shape[1]):
        if x[row, c] > largest:
            largest = x[row, c]
    return largest


def softmax(op, x, *, out):
    return _each_row(_softmax, x, out)


def softmax_backward(op, dy, out, *, dx):
    return _each_row(_softmax_backward, dy, out, dx)


def log_softmax(op, x, *, out):
    return _each_row(_log_softmax, x, out)


def log_softmax_backward(op, dy, out, *, dx):
    return _each_row(_log_softmax_backward, dy, out, dx)


def _each_row(kernel, *arrays):
    """A thread for each row of arrays of one shape."""
    rows, channels = arrays[0].size // arrays[0].shape[-1], arrays[0].shape[-1]
    return kernel.over(rows)(*(array.reshape(rows, channels) for array in arrays))
