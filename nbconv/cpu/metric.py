"""Metrics on the CPU. Arrays are (rows, classes)."""

from __future__ import annotations

from numba import prange

from .chunks import build, flat, rows
from .compile import helper, kernel


@kernel
def _accuracy(x, labels, out):
    right = 0  # whole numbers: their sum does not depend on the order
    for r in prange(labels.size):
        right += _is_right(x, r, labels[r])
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


def accuracy(op, x, labels, *, out):
    call, x, labels = build(_accuracy, x.size), rows(x), flat(labels)

    def run():
        call(x, labels, out)

    return run
