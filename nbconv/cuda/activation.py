"""Activations."""

from __future__ import annotations

from numba import cuda

from .kernel import kernel


@kernel
def _relu(x, out):
    i = cuda.grid(1)
    if i < out.size:
        value = x[i]
        out[i] = x.dtype.type(0) if value <= 0 else value


@kernel
def _relu_backward(dy, out, dx):
    i = cuda.grid(1)
    if i < dx.size:
        dx[i] = dx.dtype.type(0) if out[i] <= 0 else dy[i]


def relu(op, x, *, out):
    """max(x, 0); NaN stays NaN."""
    return _relu.over(out.size)(x.reshape(-1), out.reshape(-1))


def relu_backward(op, dy, out, *, dx):
    """dy where the output is not zero."""
    return _relu_backward.over(dx.size)(dy.reshape(-1), out.reshape(-1), dx.reshape(-1))
