"""Ops that join branches of a graph, on the CPU."""

from __future__ import annotations

from numba import prange

from .activation import relu_backward
from .chunks import GRAIN, build, chunk_count, chunk_range, flat, rows
from .columns import copy_columns
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


@kernel
def _copy_columns(source, source_first, target, target_first, columns, piece):
    """Copy ``columns`` columns of all rows, from the first one given in either array."""
    n, source_width = source.shape
    width = target.shape[1]
    for p in prange(chunk_count(n, piece)):
        start, end = p * piece, min(n, (p + 1) * piece)
        here, there = start * source_width + source_first, start * width + target_first
        copy_columns(source, here, source_width, target, there, width, end - start, columns)


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


def concat(op, x, *, out):
    return _each_part(op, [(part, 0, out, first) for part, first in zip(x, _firsts(op), strict=True)])


def concat_backward(op, dy, *, dx):
    parts = zip(dx, _firsts(op), strict=True)
    return _each_part(op, [(dy, first, part, 0) for part, first in parts if part is not None])


def _firsts(op):
    """The first channel of each part in the whole."""
    return [sum(op.channels[:i]) for i in range(len(op.channels))]


def _each_part(op, copies):
    """Bind copies (source, its first column, target, its first column) of the columns that both have."""
    calls = []
    for source, source_first, target, target_first in copies:
        columns = min(source.shape[-1], target.shape[-1])
        call, piece = build(_copy_columns, rows(source).shape[0] * columns), max(1, GRAIN // columns)
        calls.append((call, (rows(source), source_first, rows(target), target_first, columns, piece)))

    def run():
        for call, operands in calls:
            call(*operands)

    return run


def _same(a, b):
    return a.ctypes.data == b.ctypes.data
