"""Ops that move values and compute nothing."""

from __future__ import annotations

from numba import cuda

from .kernel import kernel


@kernel
def _transpose(source, target):
    """Transpose each matrix of a stack: (N, P, Q) to (N, Q, P)."""
    i = cuda.grid(1)
    if i < target.size:
        columns, rows = source.shape[1], source.shape[2]
        n, place = i // (rows * columns), i % (rows * columns)
        target[n, place // columns, place % columns] = source[n, place % columns, place // columns]


def flatten(op, x, *, out):
    n, channels = len(x), x.shape[-1]
    return _transpose.over(x.size)(x.reshape(n, -1, channels), out.reshape(n, channels, -1))


def flatten_backward(op, dy, *, dx):
    n, channels = len(dx), dx.shape[-1]
    return _transpose.over(dx.size)(dy.reshape(n, channels, -1), dx.reshape(n, -1, channels))
