"""Activations, plainly."""

import numpy as np


def rectify(x):
    """max(x, 0); NaN stays NaN."""
    return np.maximum(x, 0)


def gate(dy, out):
    """The gradient through a ReLU whose output was ``out``; NaN lets it pass."""
    return np.where(out <= 0, 0, dy)


def relu(op, x, *, out):
    def run():
        out[...] = rectify(x)

    return run


def relu_backward(op, dy, out, *, dx):
    def run():
        dx[...] = gate(dy, out)

    return run


def leaky_relu(op, x, *, out):
    def run():
        out[...] = np.where(x > 0, x, op.negative_slope * x)

    return run


def leaky_relu_backward(op, dy, out, *, dx):
    def run():
        dx[...] = np.where(out > 0, dy, op.negative_slope * dy)

    return run


def sigmoid(op, x, *, out):
    def run():
        power = np.exp(-np.abs(x.astype(np.float64)))  # cannot overflow
        out[...] = np.where(x >= 0, 1, power) / (1 + power)

    return run


def sigmoid_backward(op, dy, out, *, dx):
    def run():
        dx[...] = dy * out * (1 - out)

    return run


def tanh(op, x, *, out):
    def run():
        out[...] = np.tanh(x.astype(np.float64))

    return run


def tanh_backward(op, dy, out, *, dx):
    def run():
        dx[...] = dy * (1 - out) * (1 + out)

    return run


def softmax(op, x, *, out):
    def run():
        exponentials = np.exp(_shifted(x))
        out[...] = exponentials / exponentials.sum(axis=-1, keepdims=True)

    return run


def softmax_backward(op, dy, out, *, dx):
    def run():
        d, p = dy.astype(np.float64), out.astype(np.float64)
        dx[...] = p * (d - (d * p).sum(axis=-1, keepdims=True))

    return run


def log_softmax(op, x, *, out):
    def run():
        shifted = _shifted(x)
        out[...] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))

    return run


def log_softmax_backward(op, dy, out, *, dx):
    def run():
        d, p = dy.astype(np.float64), np.exp(out.astype(np.float64))
        dx[...] = d - p * d.sum(axis=-1, keepdims=True)

    return run


def _shifted(x):
    """Each row less its largest number, in float64: exp cannot overflow then."""
    return x.astype(np.float64) - x.max(axis=-1, keepdims=True)
