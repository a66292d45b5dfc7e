"""Losses on the CPU. Arrays are (rows, classes) where there are labels, and flat where there are targets."""

from __future__ import annotations

from math import prod

import numpy as np
from numba import prange

from ..ops.base import Buffer
from .chunks import GRAIN, build, chunk_count, chunk_range, flat, rows
from .compile import exact_helper, helper, kernel
from .decay import decay_row
from .softmax import softmax_row

COST = 4
"""What an exponential costs, in reads or writes of an element."""

ROWS = 128
"""The most rows in a piece: sums of short sums are exact to more digits than one long sum."""


@kernel
def _cross_entropy(x, labels, weight, smoothing, piece_rows, piece_loss, piece_weight, probabilities, weight_sum, out):
    n, classes = x.shape
    for p in prange(piece_loss.size):
        piece_loss[p] = piece_weight[p] = 0
        for r in range(p * piece_rows, min(n, (p + 1) * piece_rows)):
            largest, total = softmax_row(x, r * classes, classes, probabilities)
            of_label = weight[labels[r]] * _row_loss(np.log(total), largest, np.float64(x[r, labels[r]]))
            if smoothing > 0:
                of_label = (1 - smoothing) * of_label + smoothing / classes * _all_losses(
                    np.log(total), largest, x, r, weight
                )
            piece_loss[p] += of_label
            piece_weight[p] += weight[labels[r]]
    loss = weights = 0.0
    for p in range(piece_loss.size):
        loss += piece_loss[p]
        weights += piece_weight[p]
    weight_sum[0] = weights
    out[0] = loss / weights


@exact_helper
def _row_loss(log_total, largest, of_label):
    """log(sum(exp(x))) - x[label]; large logits cancel before anything small is added."""
    return log_total + (largest - of_label)


@helper
def _all_losses(log_total, largest, x, r, weight):
    """The weighted sum over all classes of what the loss would be, were they the label."""
    total = 0.0
    for c in range(x.shape[1]):
        total += weight[c] * (log_total + (largest - np.float64(x[r, c])))
    return total


@kernel
def _cross_entropy_backward(dy, labels, weight, smoothing, out, probabilities, weight_sum, piece_rows, dx):
    n, classes = dx.shape
    number = dx.dtype.type
    factor = dy[0] / weight_sum[0] + 0 * out[0]  # NaN where the loss is not finite
    spread = smoothing / classes
    all_weights = 0.0
    for c in range(classes):
        all_weights += weight[c]
    for p in prange((n + piece_rows - 1) // piece_rows):
        for r in range(p * piece_rows, min(n, (p + 1) * piece_rows)):
            label = labels[r]
            of_label = (1 - smoothing) * weight[label]
            if smoothing > 0:
                for c in range(classes):
                    wanted = probabilities[r, c] * (of_label + spread * all_weights) - spread * weight[c]
                    wanted -= of_label if c == label else 0.0
                    dx[r, c] = number(wanted * factor)
            else:
                row_factor = number(of_label * factor)
                for c in range(classes):
                    dx[r, c] = probabilities[r, c] * row_factor
                dx[r, label] = (probabilities[r, label] - number(1)) * row_factor


@kernel
def _hinge(x, labels, margin, piece_rows, piece_loss, out):
    n, classes = x.shape
    for p in prange(piece_loss.size):
        total = 0.0
        for r in range(p * piece_rows, min(n, (p + 1) * piece_rows)):
            total += _sum_margins(x, r, 0, labels[r], labels[r], margin)
            total += _sum_margins(x, r, labels[r] + 1, classes, labels[r], margin)
        piece_loss[p] = total
    out[0] = _in_order(piece_loss) / n


@helper
def _sum_margins(x, r, start, stop, label, margin):
    of_label, total = np.float64(x[r, label]), 0.0
    for c in range(start, stop):
        over = _margin(x[r, c], of_label, margin)
        total += 0.0 if over <= 0 else over  # this way round, NaN stays
    return total


@exact_helper
def _margin(score, of_label, margin):
    """In float64 and in this order, so that all devices agree on which margins are above zero."""
    return (np.float64(score) - of_label) + margin


@kernel
def _hinge_backward(dy, x, labels, margin, out, piece_rows, dx):
    n, classes = x.shape
    factor = dy[0] / n + 0 * out[0]  # NaN where the loss is not finite
    one, none = dx.dtype.type(factor), dx.dtype.type(0 * factor)
    for p in prange((n + piece_rows - 1) // piece_rows):
        for r in range(p * piece_rows, min(n, (p + 1) * piece_rows)):
            label = labels[r]
            of_label, count = np.float64(x[r, label]), 0
            for c in range(classes):
                over = _margin(x[r, c], of_label, margin) > 0
                dx[r, c] = one if over else none
                count += 1 if over else 0
            count -= 1 if _margin(x[r, label], of_label, margin) > 0 else 0
            dx[r, label] = dx.dtype.type(-count * factor)


@kernel
def _mse(x, target, piece_loss, out):
    for chunk in prange(piece_loss.size):
        total = 0.0
        for i in chunk_range(chunk, x.size, GRAIN):
            error = np.float64(x[i]) - np.float64(target[i])
            total += error * error
        piece_loss[chunk] = total
    out[0] = _in_order(piece_loss) / x.size


@kernel
def _bce(x, target, piece_loss, probabilities, out):
    one = x.dtype.type(1)
    for chunk in prange(piece_loss.size):
        start = chunk * GRAIN
        total = decay_row(x, start, min(x.size - start, GRAIN), probabilities)
        for i in chunk_range(chunk, x.size, GRAIN):
            total += _logit_loss(np.float64(x[i]), np.float64(target[i]))
            power = probabilities[i]
            probabilities[i] = (power if x[i] < 0 else one) / (one + power)
        piece_loss[chunk] = total
    out[0] = _in_order(piece_loss) / x.size


@exact_helper
def _logit_loss(x, target):
    """max(x, 0) - x * target, without the difference of infinities, so that an infinite loss is no NaN."""
    return x * (1.0 - target) if x > 0 else -x * target


@kernel
def _scaled_difference(dy, left, target, scale, out, dx):
    """dx = (left - target) * scale * dy / size, of which the gradients of MSE and BCE are made."""
    factor = dx.dtype.type(scale * dy[0] / dx.size + 0 * out[0])  # NaN where the loss is not finite
    for chunk in prange(chunk_count(dx.size, GRAIN)):
        for i in chunk_range(chunk, dx.size, GRAIN):
            dx[i] = (left[i] - target[i]) * factor


@helper
def _in_order(pieces):
    total = 0.0
    for p in range(pieces.size):
        total += pieces[p]
    return total


def cross_entropy(op, x, labels, *, out, probabilities, weight_sum, scratch):
    call, x, labels, probabilities = build(_cross_entropy, COST * x.size), rows(x), flat(labels), rows(probabilities)
    piece_rows, (piece_loss, piece_weight) = _piece_rows(x.shape[1]), scratch["pieces"]
    weight, smoothing = _class_weights(op, x.shape[1]), float(op.label_smoothing)

    def run():
        call(x, labels, weight, smoothing, piece_rows, piece_loss, piece_weight, probabilities, weight_sum, out)

    return run


def cross_entropy_backward(op, dy, labels, out, probabilities, weight_sum, *, dx, scratch):
    call, labels, probabilities, dx = (
        build(_cross_entropy_backward, dx.size),
        flat(labels),
        rows(probabilities),
        rows(dx),
    )
    piece_rows, weight, smoothing = _piece_rows(dx.shape[1]), _class_weights(op, dx.shape[1]), float(op.label_smoothing)

    def run():
        call(dy, labels, weight, smoothing, out, probabilities, weight_sum, piece_rows, dx)

    return run


def _class_weights(op, classes):
    return np.ones(classes) if op.weight is None else np.array(op.weight)


def hinge(op, x, labels, *, out, scratch):
    call, x, labels = build(_hinge, x.size), rows(x), flat(labels)
    margin, piece_rows, piece_loss = float(op.margin), _piece_rows(x.shape[1]), scratch["pieces"][0]
    return lambda: call(x, labels, margin, piece_rows, piece_loss, out)


def hinge_backward(op, dy, x, labels, out, *, dx, scratch):
    call, x, labels, dx = build(_hinge_backward, 2 * dx.size), rows(x), flat(labels), rows(dx)
    margin, piece_rows = float(op.margin), _piece_rows(x.shape[1])
    return lambda: call(dy, x, labels, margin, out, piece_rows, dx)


def mse(op, x, target, *, out, scratch):
    call, x, target, piece_loss = build(_mse, 2 * x.size), flat(x), flat(target), scratch["piece_loss"]
    return lambda: call(x, target, piece_loss, out)


def mse_backward(op, dy, x, target, out, *, dx, scratch):
    return _backward(dy, x, target, 2.0, out, dx)


def bce_with_logits(op, x, target, *, out, probabilities, scratch):
    call, piece_loss = build(_bce, 2 * COST * x.size), scratch["piece_loss"]
    x, target, probabilities = flat(x), flat(target), flat(probabilities)
    return lambda: call(x, target, piece_loss, probabilities, out)


def bce_with_logits_backward(op, dy, target, out, probabilities, *, dx, scratch):
    return _backward(dy, probabilities, target, 1.0, out, dx)


def _backward(dy, left, target, scale, out, dx):
    call, left, target, dx = build(_scaled_difference, 3 * dx.size), flat(left), flat(target), flat(dx)
    return lambda: call(dy, left, target, scale, out, dx)


def row_scratch(op, dtype, x, labels):
    """A sum of losses and one of weights per piece."""
    return {"pieces": Buffer((2, -(-prod(labels) // _piece_rows(x[-1]))), "float64")}


def element_scratch(op, dtype, x, target):
    """One sum of losses per chunk."""
    return {"piece_loss": Buffer((chunk_count.py_func(prod(x), GRAIN),), "float64")}


def _piece_rows(classes):
    return max(1, min(ROWS, GRAIN // classes))
