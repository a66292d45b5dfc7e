"""Activations on the CPU."""

from __future__ import annotations

from numba import prange

from .chunks import GRAIN, build, chunk_count, chunk_range, flat
from .compile import kernel


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
