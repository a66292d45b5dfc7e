"""Metrics on the CPU. Arrays are (rows, classes) where there are labels, and flat where there are targets."""

from __future__ import annotations

from math import prod

from numba import prange

from ..ops.base import Buffer
from .chunks import GRAIN, build, chunk_count, chunk_range, flat, rows
from .compile import helper, kernel


@kernel
def _accuracy(x, labels, piece_rows, piece_right, out):
    for p in prange(piece_right.size):
        piece_right[p] = 0
        for r in range(p * piece_rows, min(labels.size, (p + 1) * piece_rows)):
            piece_right[p] += _is_right(x, r, labels[r])
    right = 0
    for p in range(piece_right.size):
        right += piece_right[p]
    out[0] = right / labels.size


@helper
def _is_right(x, r, label):
    """1 if the label's logit is larger than all before it and no smaller than all behind it, and none is NaN."""
    best = x[r, label]
    right = best == best
    for c in range(label):
        right &= x[r, c] < best
    for c in range(label, x.shape[1]):
        right &= x[r, c] <= best
    return 1 if right else 0


@kernel
def _binary_accuracy(x, target, piece_right, out):
    zero, half = x.dtype.type(0), x.dtype.type(0.5)
    for chunk in prange(piece_right.size):
        right = 0
        for i in chunk_range(chunk, x.size, GRAIN):
            is_number = (x[i] == x[i]) & (target[i] == target[i])
            right += 1 if is_number & ((x[i] > zero) == (target[i] > half)) else 0
        piece_right[chunk] = right
    right = 0
    for p in range(piece_right.size):
        right += piece_right[p]
    out[0] = right / x.size


def accuracy(op, x, labels, *, out, scratch):
    call, x, labels, piece_right = build(_accuracy, x.size), rows(x), flat(labels), scratch["piece_right"]
    piece_rows = _piece_rows(x.shape[1])
    return lambda: call(x, labels, piece_rows, piece_right, out)


def binary_accuracy(op, x, target, *, out, scratch):
    call, x, target = build(_binary_accuracy, 2 * x.size), flat(x), flat(target)
    piece_right = scratch["piece_right"]
    return lambda: call(x, target, piece_right, out)


def row_scratch(op, dtype, x, labels):
    """How many rows of each piece are right."""
    return {"piece_right": Buffer((-(-prod(labels) // _piece_rows(x[-1])),), "int64")}


def element_scratch(op, dtype, x, target):
    """How many elements of each chunk are right."""
    return {"piece_right": Buffer((chunk_count.py_func(prod(x), GRAIN),), "int64")}


def _piece_rows(classes):
    return max(1, GRAIN // classes)
