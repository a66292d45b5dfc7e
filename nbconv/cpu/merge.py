"""Ops that join branches of a graph, on the CPU."""

from __future__ import annotations

from numba import prange

from .activation import relu_backward
from .chunks import GRAIN, build, chunk_count, chunk_range, flat
from .compile import kernel
from .reshape import copy


@kernel
def _add(x, other, out):
    for chunk in prange(chunk_count(out.size, GRAIN)):
        for i in chunk_range(chunk, out.size, GRAIN):
            out[i] = x[i] + other[i]


@kernel
def _add_relu(x, other, out):
    zero = out.dtype.type(0)
    for chunk in prange(chunk_count(out.size, GRAIN)):
        for i in chunk_range(chunk, out.size, GRAIN):
            total = x[i] + other[i]
            out[i] = zero if total <= 0 else total  # this way round, NaN stays


@kernel
def _accumulate(out, other):
    for chunk in prange(chunk_count(out.size, GRAIN)):
        for i in chunk_range(chunk, out.size, GRAIN):
            out[i] += other[i]


@kernel
def _copy_twice(source, target, second):
    for chunk in prange(chunk_count(source.size, GRAIN)):
        for i in chunk_range(chunk, source.size, GRAIN):
            target[i] = source[i]
            second[i] = source[i]


@kernel
def _gate_twice(dy, out, target, second):
    zero = dy.dtype.type(0)
    for chunk in prange(chunk_count(dy.size, GRAIN)):
        for i in chunk_range(chunk, dy.size, GRAIN):
            gradient = zero if out[i] <= 0 else dy[i]
            target[i] = gradient
            second[i] = gradient


def add(op, x, other, *, out):
    x, other, out = flat(x), flat(other), flat(out)
    if op.activation:
        call = build(_add_relu, out.size)
        return lambda: call(x, other, out)
    if _same(out, other):
        x, other = other, x
    if _same(out, x):  # where its operands overlap, a vectorised loop falls back to single elements
        call = build(_accumulate, out.size)
        return lambda: call(out, other)
    call = build(_add, out.size)
    return lambda: call(x, other, out)


def add_backward(op, dy, out, *, dx, dother):
    wanted = [gradient for gradient in (dx, dother) if gradient is not None]
    if len(wanted) == 1:
        return relu_backward(op, dy, out, dx=wanted[0]) if op.activation else copy(dy, wanted[0])
    operands = [flat(array) for array in ([dy, out] if op.activation else [dy]) + wanted]
    call = build(_gate_twice if op.activation else _copy_twice, dy.size)
    return lambda: call(*operands)


def _same(a, b):
    return a.ctypes.data == b.ctypes.data
