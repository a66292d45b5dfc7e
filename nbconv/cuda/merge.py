"""Ops that join branches of a graph."""

from __future__ import annotations

from numba import cuda

from .kernel import kernel


@kernel
def _add(x, other, rectified, out):
    i = cuda.grid(1)
    if i < out.size:
        total = x[i] + other[i]
        out[i] = out.dtype.type(0) if rectified and total <= 0 else total  # this way round, NaN stays


@kernel
def _add_backward(dy, out, dx, dother):
    i = cuda.grid(1)
    if i < dy.size:
        gradient = dy[i]
        if out is not None and out[i] <= 0:
            gradient = dy.dtype.type(0)
        if dx is not None:
            dx[i] = gradient
        if dother is not None:
            dother[i] = gradient


@kernel
def _copy_columns(source, source_first, target, target_first, columns):
    """Copy ``columns`` columns of all rows, from the first one given in either array."""
    i = cuda.grid(1)
    if i < source.shape[0] * columns:
        row, column = i // columns, i % columns
        target[row, target_first + column] = source[row, source_first + column]


def add(op, x, other, *, out):
    """The sum, through a ReLU if one is fused; ``out`` may be one of the two."""
    return _add.over(out.size)(x.reshape(-1), other.reshape(-1), op.activation == "relu", out.reshape(-1))


def add_backward(op, dy, out, *, dx, dother):
    operands = dy, out if op.activation else None, dx, dother
    return _add_backward.over(dy.size)(*(None if array is None else array.reshape(-1) for array in operands))


def concat(op, x, *, out):
    return [_copied(part, 0, out, first) for part, first in zip(x, _firsts(op), strict=True)]


def concat_backward(op, dy, *, dx):
    parts = zip(dx, _firsts(op), strict=True)
    return [_copied(dy, first, part, 0) for part, first in parts if part is not None]


def _firsts(op):
    """The first channel of each part in the whole."""
    return [sum(op.channels[:i]) for i in range(len(op.channels))]


def _copied(source, source_first, target, target_first):
    """Copy the columns that both have."""
    columns = min(source.shape[-1], target.shape[-1])
    source, target = (array.reshape(-1, array.shape[-1]) for array in (source, target))
    return _copy_columns.over(source.shape[0] * columns)(source, source_first, target, target_first, columns)
