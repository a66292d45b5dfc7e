"""Activations: a thread has an element."""

from __future__ import annotations

import math

from numba import cuda

from .kernel import kernel


@kernel
def _relu(x, out):
    i = cuda.grid(1)
    if i < out.size:
        value = x[i]
        out[i] = x.dtype.type(0) if value <= 0 else value  # this way round, NaN stays


@kernel
def _relu_backward(dy, out, dx):
    i = cuda.grid(1)
    if i < dx.size:
        dx[i] = dx.dtype.type(0) if out[i] <= 0 else dy[i]


@kernel
def _leak(x, gate, slope, out):
    """x where the gate is positive, else slope * x. Forward's gate is x itself; backward is the same on dy."""
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] if gate[i] > 0 else slope * x[i]


@kernel
def _sigmoid(x, out):
    i = cuda.grid(1)
    if i < out.size:
        one, power = x.dtype.type(1), x.dtype.type(math.exp(-abs(x[i])))  # cannot overflow
        out[i] = (one if x[i] >= 0 else power) / (one + power)


@kernel
def _sigmoid_backward(dy, out, dx):
    i = cuda.grid(1)
    if i < dx.size:
        dx[i] = dy[i] * out[i] * (dx.dtype.type(1) - out[i])


@kernel
def _tanh(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = math.tanh(x[i])


@kernel
def _tanh_backward(dy, out, dx):
    i = cuda.grid(1)
    if i < dx.size:
        one = dx.dtype.type(1)
        dx[i] = dy[i] * (one - out[i]) * (one + out[i])


def relu(op, x, *, out):
    """max(x, 0); NaN stays NaN."""
    return _each(_relu, x, out)


def relu_backward(op, dy, out, *, dx):
    """dy where the output is not zero."""
    return _each(_relu_backward, dy, out, dx)


def leaky_relu(op, x, *, out):
    return _bind_leak(op, x, x, out)


def leaky_relu_backward(op, dy, out, *, dx):
    return _bind_leak(op, dy, out, dx)


def _bind_leak(op, x, gate, out):
    return _leak.over(out.size)(x.reshape(-1), gate.reshape(-1), x.dtype.type(op.negative_slope), out.reshape(-1))


def sigmoid(op, x, *, out):
    return _each(_sigmoid, x, out)


def sigmoid_backward(op, dy, out, *, dx):
    return _each(_sigmoid_backward, dy, out, dx)


def tanh(op, x, *, out):
    return _each(_tanh, x, out)


def tanh_backward(op, dy, out, *, dx):
    return _each(_tanh_backward, dy, out, dx)


def _each(kernel, *arrays):
    """A thread for each element of arrays of one shape."""
    return kernel.over(arrays[0].size)(*(array.reshape(-1) for array in arrays))
