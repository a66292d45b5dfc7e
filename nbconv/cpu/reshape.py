"""Ops that move values and compute nothing, on the CPU."""

from __future__ import annotations

from numba import prange

from .chunks import GRAIN, build, chunk_count, chunk_range, flat
from .compile import kernel

TILE = 32
"""Rows and columns moved together in a transpose, so that both sides stay in the first cache."""


@kernel
def _copy(source, target):
    for chunk in prange(chunk_count(source.size, GRAIN)):
        for i in chunk_range(chunk, source.size, GRAIN):
            target[i] = source[i]


@kernel
def _transpose(source, target):
    """Transpose each matrix of a stack: (N, P, Q) to (N, Q, P)."""
    n, height, width = source.shape
    tiles = chunk_count(width, TILE)
    for task in prange(n * tiles):
        m, tile = task // tiles, task % tiles
        for down in range(chunk_count(height, TILE)):
            for q in chunk_range(tile, width, TILE):
                for p in chunk_range(down, height, TILE):
                    target[m, q, p] = source[m, p, q]


def copy(source, target):
    """Bind the copy of a contiguous array to one of the same size; of an array to itself there is nothing to do."""
    if source.ctypes.data == target.ctypes.data:
        return lambda: None
    call, source, target = build(_copy, source.size), flat(source), flat(target)
    return lambda: call(source, target)


def transpose(source, target):
    """Bind the transpose of a stack of matrices, (N, P, Q) to (N, Q, P)."""
    if 1 in source.shape[1:]:
        return copy(source, target)
    call = build(_transpose, 4 * source.size)
    return lambda: call(source, target)


def flatten(op, x, *, out):
    if x.ndim == 2:
        return copy(x, out)
    n, channels = len(x), x.shape[-1]
    return transpose(x.reshape(n, -1, channels), out.reshape(n, channels, -1))


def flatten_backward(op, dy, *, dx):
    if dx.ndim == 2:
        return copy(dy, dx)
    n, channels = len(dx), dx.shape[-1]
    return transpose(dy.reshape(n, channels, -1), dx.reshape(n, -1, channels))
