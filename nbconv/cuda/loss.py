"""Losses. Arrays are (rows, classes) where there are labels, and flat where there are targets.

A thread has a row, or some elements; a block sums its threads' losses in float64, and one more sums the blocks'.
"""

from __future__ import annotations

from math import exp, log, log1p, prod

import numpy as np
from numba import cuda

from ..ops.base import Buffer
from .kernel import THREADS, device_function, kernel
from .reduce import PIECE, block_sum, mean_of_pieces, piece_count, sum_of


@kernel
def _cross_entropy(x, labels, weight, smoothing, piece_loss, piece_weight, probabilities):
    """``weight`` has a number per class, or is ``None``: 1."""
    partial = cuda.shared.array(THREADS, np.float64)
    r = cuda.grid(1)
    loss = of_label = np.float64(0)
    if r < x.shape[0]:
        largest, total = _softmax(x, r, probabilities)
        log_total, label = log(total), labels[r]
        of_label = _weight_of(weight, label)
        loss = (1 - smoothing) * of_label * _row_loss(log_total, largest, x[r, label])
        if smoothing > 0:
            spread = np.float64(0)
            for c in range(x.shape[1]):
                spread += _weight_of(weight, c) * _row_loss(log_total, largest, x[r, c])
            loss += smoothing * spread / x.shape[1]
    loss = block_sum(partial, loss)
    of_label = block_sum(partial, of_label)
    if cuda.threadIdx.x == 0:
        piece_loss[cuda.blockIdx.x] = loss
        piece_weight[cuda.blockIdx.x] = of_label


@device_function
def _softmax(x, r, probabilities):
    """Write a row's probabilities; return its largest logit and the sum of exp(logit - largest), both in float64."""
    largest, total = x[r, 0], np.float64(0)
    for c in range(1, x.shape[1]):
        if x[r, c] > largest:
            largest = x[r, c]
    for c in range(x.shape[1]):  # a NaN makes the sum NaN, whatever is largest
        power = x.dtype.type(exp(x[r, c] - largest))
        probabilities[r, c] = power
        total += power
    for c in range(x.shape[1]):
        probabilities[r, c] = probabilities[r, c] / total
    return np.float64(largest), total


@device_function
def _row_loss(log_total, largest, of_label):
    """log(sum(exp(x))) - x[label]; large logits cancel before anything small is added."""
    return log_total + (largest - np.float64(of_label))


@device_function
def _weight_of(weight, c):
    if weight is not None:
        return weight[c]
    return np.float64(1)


@kernel
def _weighted_mean(piece_loss, piece_weight, weight_sum, out):
    partial = cuda.shared.array(THREADS, np.float64)
    loss = sum_of(piece_loss, partial)
    weights = sum_of(piece_weight, partial)
    if cuda.threadIdx.x == 0:
        weight_sum[0] = weights
        out[0] = loss / weights


@kernel
def _cross_entropy_backward(dy, labels, weight, all_weights, smoothing, out, probabilities, weight_sum, dx):
    i = cuda.grid(1)
    if i < dx.size:
        classes = dx.shape[1]
        r, c = i // classes, i % classes
        label = labels[r]
        of_label = (1 - smoothing) * _weight_of(weight, label)
        spread = smoothing / classes
        gradient = probabilities[r, c] * (of_label + spread * all_weights) - spread * _weight_of(weight, c)
        if c == label:
            gradient -= of_label
        dx[r, c] = gradient * (dy[0] / weight_sum[0] + 0 * out[0])  # NaN where the loss is not finite


@kernel
def _hinge(x, labels, margin, piece_loss):
    partial = cuda.shared.array(THREADS, np.float64)
    r = cuda.grid(1)
    loss = np.float64(0)
    if r < x.shape[0]:
        for c in range(x.shape[1]):
            over = _margin(x, r, c, labels[r], margin)
            loss += np.float64(0) if over <= 0 else over  # this way round, NaN stays
    loss = block_sum(partial, loss)
    if cuda.threadIdx.x == 0:
        piece_loss[cuda.blockIdx.x] = loss


@device_function
def _margin(x, r, c, label, margin):
    """By how much a class comes closer to the label's score than it may; of the label itself, 0.

    In float64 and in this order, so that all devices agree on which margins are above zero.
    """
    if c == label:
        return np.float64(0)
    return (np.float64(x[r, c]) - np.float64(x[r, label])) + margin


@kernel
def _hinge_backward(dy, x, labels, margin, out, dx):
    r = cuda.grid(1)
    if r < x.shape[0]:
        factor = dy[0] / x.shape[0] + 0 * out[0]  # NaN where the loss is not finite
        label, count = labels[r], 0
        for c in range(x.shape[1]):
            over = 1 if _margin(x, r, c, label, margin) > 0 else 0
            dx[r, c] = over * factor
            count += over
        dx[r, label] = -count * factor


@kernel
def _mse(x, target, piece_loss):
    partial = cuda.shared.array(THREADS, np.float64)
    start = cuda.blockIdx.x * PIECE
    loss = np.float64(0)
    for i in range(start + cuda.threadIdx.x, min(x.size, start + PIECE), THREADS):
        error = np.float64(x[i]) - np.float64(target[i])
        loss += error * error
    loss = block_sum(partial, loss)
    if cuda.threadIdx.x == 0:
        piece_loss[cuda.blockIdx.x] = loss


@kernel
def _bce_with_logits(x, target, piece_loss, probabilities):
    partial = cuda.shared.array(THREADS, np.float64)
    start = cuda.blockIdx.x * PIECE
    loss = np.float64(0)
    for i in range(start + cuda.threadIdx.x, min(x.size, start + PIECE), THREADS):
        logit, wanted = np.float64(x[i]), np.float64(target[i])
        power = exp(-abs(logit))
        probabilities[i] = (power if logit < 0 else np.float64(1)) / (1 + power)
        linear = logit * (1 - wanted) if logit > 0 else -logit * wanted  # max(x, 0) - x * target, with no inf - inf
        loss += linear + log1p(power)
    loss = block_sum(partial, loss)
    if cuda.threadIdx.x == 0:
        piece_loss[cuda.blockIdx.x] = loss


@kernel
def _scaled_difference(dy, left, target, scale, out, dx):
    """dx = (left - target) * scale * dy / size, of which the gradients of MSE and BCE are made."""
    i = cuda.grid(1)
    if i < dx.size:
        factor = scale * dy[0] / dx.size + 0 * out[0]  # NaN where the loss is not finite
        dx[i] = (np.float64(left[i]) - np.float64(target[i])) * factor


def cross_entropy(op, x, labels, *, out, probabilities, weight_sum, scratch):
    x, labels, probabilities = _rows(x), labels.reshape(-1), _rows(probabilities)
    piece_loss, piece_weight = scratch["piece_loss"], scratch["piece_weight"]
    options = _class_weights(op), float(op.label_smoothing)
    rows = _cross_entropy[piece_loss.size, THREADS](x, labels, *options, piece_loss, piece_weight, probabilities)
    return [rows, _weighted_mean[1, THREADS](piece_loss, piece_weight, weight_sum, out)]


def cross_entropy_backward(op, dy, labels, out, probabilities, weight_sum, *, dx, scratch):
    labels, probabilities, dx = labels.reshape(-1), _rows(probabilities), _rows(dx)
    all_weights = float(dx.shape[1] if op.weight is None else sum(op.weight))
    options = _class_weights(op), all_weights, float(op.label_smoothing)
    return _cross_entropy_backward.over(dx.size)(dy, labels, *options, out, probabilities, weight_sum, dx)


def hinge(op, x, labels, *, out, scratch):
    x, labels, piece_loss = _rows(x), labels.reshape(-1), scratch["piece_loss"]
    rows = _hinge[piece_loss.size, THREADS](x, labels, float(op.margin), piece_loss)
    return [rows, mean_of_pieces(piece_loss, labels.size, out)]


def hinge_backward(op, dy, x, labels, out, *, dx, scratch):
    x, labels, dx = _rows(x), labels.reshape(-1), _rows(dx)
    return _hinge_backward.over(len(x))(dy, x, labels, float(op.margin), out, dx)


def mse(op, x, target, *, out, scratch):
    piece_loss = scratch["piece_loss"]
    pieces = _mse[piece_loss.size, THREADS](x.reshape(-1), target.reshape(-1), piece_loss)
    return [pieces, mean_of_pieces(piece_loss, x.size, out)]


def mse_backward(op, dy, x, target, out, *, dx, scratch):
    return _backward(dy, x, target, 2.0, out, dx)


def bce_with_logits(op, x, target, *, out, probabilities, scratch):
    operands = x.reshape(-1), target.reshape(-1), scratch["piece_loss"], probabilities.reshape(-1)
    piece_loss = scratch["piece_loss"]
    return [_bce_with_logits[piece_loss.size, THREADS](*operands), mean_of_pieces(piece_loss, x.size, out)]


def bce_with_logits_backward(op, dy, target, out, probabilities, *, dx, scratch):
    return _backward(dy, probabilities, target, 1.0, out, dx)


def _backward(dy, left, target, scale, out, dx):
    operands = left.reshape(-1), target.reshape(-1), scale, out, dx.reshape(-1)
    return _scaled_difference.over(dx.size)(dy, *operands)


def weighted_scratch(op, dtype, x, labels):
    """The loss of each block of rows, and the weight of its labels."""
    return {name: Buffer((-(-prod(labels) // THREADS),), "float64") for name in ("piece_loss", "piece_weight")}


def row_scratch(op, dtype, x, labels):
    """The loss of each block of rows."""
    return {"piece_loss": Buffer((-(-prod(labels) // THREADS),), "float64")}


def element_scratch(op, dtype, x, target):
    """The loss of each piece."""
    return {"piece_loss": Buffer((piece_count(prod(x)),), "float64")}


def _rows(array):
    return array.reshape(-1, array.shape[-1])


def _class_weights(op):
    """A constant of the launch."""
    return None if op.weight is None else np.array(op.weight)
