"""Ops that join branches of a graph, on the CPU."""

from __future__ import annotations

from numba import prange

from .chunks import GRAIN, build, chunk_count, chunk_range, flat
from .compile import kernel
from .reshape import copy


@kernel
def _add(x, other, out):
    for chunk in prange(chunk_count(out.size, GRAIN)):
        for i in chunk_range(chunk, out.size, GRAIN):
            out[i] = x[i] + other[i]


@kernel
def _accumulate(out, other):
    for chunk in prange(chunk_count(out.size, GRAIN)):
        for i in chunk_range(chunk, out.size, GRAIN):
            out[i] += other[i]


def add(op, x, other, *, out):
    x, other, out = flat(x), flat(other), flat(out)
    if _same(out, other):
        x, other = other, x
    if _same(out, x):  # where its operands overlap, a vectorised loop falls back to single elements
        call = build(_accumulate, out.size)
        return lambda: call(out, other)
    call = build(_add, out.size)
    return lambda: call(x, other, out)


def add_backward(op, dy, *, dx, dother):
    calls = [copy(dy, gradient) for gradient in (dx, dother) if gradient is not None]

    def run():
        for call in calls:
            call()

    return run


def _same(a, b):
    return a.ctypes.data == b.ctypes.data
