"""Losses on the CPU. Arrays are (rows, classes)."""

from __future__ import annotations

from math import prod

import numpy as np
from numba import prange

from ..ops.base import Buffer
from .chunks import GRAIN, build, flat, rows
from .compile import exact_helper, kernel
from .softmax import softmax_row

COST = 4
"""What an exponential costs, in reads or writes of an element."""


@kernel
def _cross_entropy(x, labels, piece_rows, piece_loss, probabilities, out):
    n, classes = x.shape
    for p in prange(piece_loss.size):
        piece_loss[p] = 0
        for r in range(p * piece_rows, min(n, (p + 1) * piece_rows)):
            largest, total = softmax_row(x, r * classes, classes, probabilities)
            piece_loss[p] += _row_loss(np.log(total), largest, np.float64(x[r, labels[r]]))
    loss = 0.0
    for p in range(piece_loss.size):
        loss += piece_loss[p]
    out[0] = loss / n


@exact_helper
def _row_loss(log_total, largest, of_label):
    """log(sum(exp(x))) - x[label]; large logits cancel before anything small is added."""
    return log_total + (largest - of_label)


@kernel
def _cross_entropy_backward(dy, labels, out, probabilities, piece_rows, dx):
    n, classes = dx.shape
    factor = dx.dtype.type(dy[0] / n + 0 * out[0])  # NaN where the loss is not finite
    one = dx.dtype.type(1)
    for p in prange((n + piece_rows - 1) // piece_rows):
        for r in range(p * piece_rows, min(n, (p + 1) * piece_rows)):
            for c in range(classes):
                dx[r, c] = probabilities[r, c] * factor
            dx[r, labels[r]] = (probabilities[r, labels[r]] - one) * factor


def cross_entropy(op, x, labels, *, out, probabilities, scratch):
    call, x, labels, probabilities = build(_cross_entropy, COST * x.size), rows(x), flat(labels), rows(probabilities)
    piece_rows, piece_loss = _piece_rows(x.shape[1]), scratch["piece_loss"]

    def run():
        call(x, labels, piece_rows, piece_loss, probabilities, out)

    return run


def cross_entropy_backward(op, dy, labels, out, probabilities, *, dx, scratch):
    call, labels, probabilities, dx = (
        build(_cross_entropy_backward, dx.size),
        flat(labels),
        rows(probabilities),
        rows(dx),
    )
    piece_rows = _piece_rows(dx.shape[1])

    def run():
        call(dy, labels, out, probabilities, piece_rows, dx)

    return run


def forward_scratch(op, dtype, x, labels):
    """One sum of losses per piece."""
    return {"piece_loss": Buffer((-(-prod(labels) // _piece_rows(x[-1])),), "float64")}


def _piece_rows(classes):
    return max(1, GRAIN // classes)
