"""Metrics. Arrays are (rows, classes) where there are labels, and flat where there are targets."""

from __future__ import annotations

from math import prod

import numpy as np
from numba import cuda

from ..ops.base import Buffer
from .kernel import THREADS, device_function, kernel
from .reduce import PIECE, block_sum, mean_of_pieces, piece_count


@kernel
def _count_right_rows(x, labels, right):
    """A thread counts one row, and a block its threads' rows."""
    partial = cuda.shared.array(THREADS, np.float64)
    r = cuda.grid(1)
    count = np.float64(0)
    if r < x.shape[0]:
        count += 1 if _is_right(x, r, labels[r]) else 0
    count = block_sum(partial, count)
    if cuda.threadIdx.x == 0:
        right[cuda.blockIdx.x] = count


@device_function
def _is_right(x, r, label):
    """Whether the label's logit is larger than all before it and no smaller than all behind it, and none is NaN."""
    best = x[r, label]
    for c in range(x.shape[1]):
        value = x[r, c]
        if not (value < best or (value == best and c >= label)):
            return False
    return True


@kernel
def _count_right_elements(x, target, right):
    partial = cuda.shared.array(THREADS, np.float64)
    start = cuda.blockIdx.x * PIECE
    zero, half = x.dtype.type(0), x.dtype.type(0.5)
    count = np.float64(0)
    for i in range(start + cuda.threadIdx.x, min(x.size, start + PIECE), THREADS):
        is_number = x[i] == x[i] and target[i] == target[i]
        count += 1 if is_number and (x[i] > zero) == (target[i] > half) else 0
    count = block_sum(partial, count)
    if cuda.threadIdx.x == 0:
        right[cuda.blockIdx.x] = count


def accuracy(op, x, labels, *, out, scratch):
    x, labels, right = x.reshape(-1, x.shape[-1]), labels.reshape(-1), scratch["right"]
    return [_count_right_rows[right.size, THREADS](x, labels, right), mean_of_pieces(right, labels.size, out)]


def binary_accuracy(op, x, target, *, out, scratch):
    x, target, right = x.reshape(-1), target.reshape(-1), scratch["right"]
    return [_count_right_elements[right.size, THREADS](x, target, right), mean_of_pieces(right, x.size, out)]


def row_scratch(op, dtype, x, labels):
    """How many rows of each block are right."""
    return {"right": Buffer((-(-prod(labels) // THREADS),), "float64")}


def element_scratch(op, dtype, x, target):
    """How many elements of each piece are right."""
    return {"right": Buffer((piece_count(prod(x)),), "float64")}
