"""Activations on the CPU."""

from __future__ import annotations

from numba import prange

from .chunks import GRAIN, build, chunk_count, chunk_range, flat, rows
from .compile import kernel
from .saturation import write_sigmoid, write_tanh
from .softmax import log_softmax_gradient_rows, log_softmax_rows, softmax_gradient_rows, softmax_rows

COST = 4
"""What an exponential costs, in reads or writes of an element."""


@kernel
def _relu(x, out):
    zero = out.dtype.type(0)
    for chunk in prange(chunk_count(x.size, GRAIN)):
        for i in chunk_range(chunk, x.size, GRAIN):
            out[i] = zero if x[i] <= 0 else x[i]  # this way round, NaN stays


@kernel
def _relu_backward(dy, out, dx):
    zero = dx.dtype.type(0)
    for chunk in prange(chunk_count(dy.size, GRAIN)):
        for i in chunk_range(chunk, dy.size, GRAIN):
            dx[i] = zero if out[i] <= 0 else dy[i]


@kernel
def _leak(x, gate, slope, out):
    """x where the gate is positive, else slope * x. Forward's gate is x itself; backward is the same on dy."""
    slope = out.dtype.type(slope)
    for chunk in prange(chunk_count(x.size, GRAIN)):
        for i in chunk_range(chunk, x.size, GRAIN):
            out[i] = x[i] if gate[i] > 0 else x[i] * slope


@kernel
def _sigmoid(x, out):
    for chunk in prange(chunk_count(x.size, GRAIN)):
        write_sigmoid(x, chunk * GRAIN, min(GRAIN, x.size - chunk * GRAIN), out)


@kernel
def _tanh(x, out):
    for chunk in prange(chunk_count(x.size, GRAIN)):
        write_tanh(x, chunk * GRAIN, min(GRAIN, x.size - chunk * GRAIN), out)


@kernel
def _saturating_backward(dy, out, least, dx):
    """dy * (1 - y) * (y - least): the slope is zero where y has come to 1 or to its least value."""
    least, one = dx.dtype.type(least), dx.dtype.type(1)
    for chunk in prange(chunk_count(dy.size, GRAIN)):
        for i in chunk_range(chunk, dy.size, GRAIN):
            dx[i] = dy[i] * (one - out[i]) * (out[i] - least)


@kernel
def _softmax(x, piece, out):
    n, classes = x.shape
    for p in prange(chunk_count(n, piece)):
        softmax_rows(x, out, p * piece * classes, classes, min(piece, n - p * piece))


@kernel
def _softmax_backward(dy, out, piece, dx):
    n, classes = dx.shape
    for p in prange(chunk_count(n, piece)):
        softmax_gradient_rows(dy, out, dx, p * piece * classes, classes, min(piece, n - p * piece))


@kernel
def _log_softmax(x, piece, out):
    n, classes = x.shape
    for p in prange(chunk_count(n, piece)):
        log_softmax_rows(x, out, p * piece * classes, classes, min(piece, n - p * piece))


@kernel
def _log_softmax_backward(dy, out, piece, dx):
    n, classes = dx.shape
    for p in prange(chunk_count(n, piece)):
        log_softmax_gradient_rows(dy, out, dx, p * piece * classes, classes, min(piece, n - p * piece))


def relu(op, x, *, out):
    call, x, out = build(_relu, x.size), flat(x), flat(out)

    def run():
        call(x, out)

    return run


def relu_backward(op, dy, out, *, dx):
    call, dy, out, dx = build(_relu_backward, dy.size), flat(dy), flat(out), flat(dx)

    def run():
        call(dy, out, dx)

    return run


def leaky_relu(op, x, *, out):
    return _bind_leak(op, x, x, out)


def leaky_relu_backward(op, dy, out, *, dx):
    return _bind_leak(op, dy, out, dx)


def _bind_leak(op, x, gate, out):
    call, slope, x, gate, out = build(_leak, x.size), op.negative_slope, flat(x), flat(gate), flat(out)
    return lambda: call(x, gate, slope, out)


def sigmoid(op, x, *, out):
    call, x, out = build(_sigmoid, COST * x.size), flat(x), flat(out)
    return lambda: call(x, out)


def sigmoid_backward(op, dy, out, *, dx):
    return _bind_saturating_backward(dy, out, 0.0, dx)


def tanh(op, x, *, out):
    call, x, out = build(_tanh, COST * x.size), flat(x), flat(out)
    return lambda: call(x, out)


def tanh_backward(op, dy, out, *, dx):
    return _bind_saturating_backward(dy, out, -1.0, dx)


def _bind_saturating_backward(dy, out, least, dx):
    call, dy, out, dx = build(_saturating_backward, dy.size), flat(dy), flat(out), flat(dx)
    return lambda: call(dy, out, least, dx)


def softmax(op, x, *, out):
    return _bind_rows(_softmax, COST, x, out)


def softmax_backward(op, dy, out, *, dx):
    return _bind_rows(_softmax_backward, 1, dy, out, dx)


def log_softmax(op, x, *, out):
    return _bind_rows(_log_softmax, COST, x, out)


def log_softmax_backward(op, dy, out, *, dx):
    return _bind_rows(_log_softmax_backward, COST, dy, out, dx)


def _bind_rows(kernel, cost, *arrays):
    """Bind a kernel on (rows, classes), in pieces of whole rows; the last array is the result."""
    call, (*operands, result) = build(kernel, cost * arrays[0].size), map(rows, arrays)
    piece = max(1, GRAIN // result.shape[1])
    return lambda: call(*operands, piece, result)
