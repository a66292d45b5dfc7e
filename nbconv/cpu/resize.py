"""Borders and enlargement on the CPU: every pixel of the result is a copy of one of the image, or nothing.

One pair of kernels serves all of them. Which row a row of the result copies, and which column a column, is written down
when a kernel is bound; backward, each pixel adds up the gradients of its copies, in order, so that nothing races.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .chunks import build
from .compile import kernel


def pad2d(op, x, *, out):
    top, bottom, left, right = op.pads
    return bind_copy(x, out, border(x.shape[1], top, bottom, op.mode), border(x.shape[2], left, right, op.mode))


def pad2d_backward(op, dy, *, dx):
    top, bottom, left, right = op.pads
    return bind_sum(dy, dx, border(dx.shape[1], top, bottom, op.mode), border(dx.shape[2], left, right, op.mode))


def upsample(op, x, *, out):
    return bind_copy(x, out, *(np.arange(n).repeat(s) for n, s in zip(x.shape[1:3], op.scale_factor, strict=True)))


def upsample_backward(op, dy, *, dx):
    return bind_sum(dy, dx, *(np.arange(n).repeat(s) for n, s in zip(dx.shape[1:3], op.scale_factor, strict=True)))


def border(size, before, after, mode):
    """Return which pixel of one axis each pixel copies, -1 for none: ``border(3, 2, 0, "edge")`` is 0, 0, 0, 1, 2."""
    place, last = np.arange(-before, size + after), size - 1
    if mode == "reflect":
        return last - abs(last - abs(place))
    if mode == "edge":
        return place.clip(0, last)
    return place % size if mode == "circular" else np.where((place >= 0) & (place <= last), place, -1)


def bind_copy(x, out, rows, columns):
    """Return the call that copies pixel (rows[i], columns[j]) of ``x`` to pixel (i, j) of ``out``; of -1 it is 0."""
    call = build(copy_pixels, 2 * out.size)
    return lambda: call(x, rows, columns, out)


def bind_sum(dy, dx, rows, columns):
    """Return the call that computes the gradient of ``bind_copy``."""
    call, rows, columns = build(sum_copies, 2 * dy.size), copies(rows, dx.shape[1]), copies(columns, dx.shape[2])
    return lambda: call(dy, *rows, *columns, dx)


def copies(pixels, size):
    """Return where the copies of each pixel of an axis are, and where those of pixel i begin among them.

    ``copies(np.array([0, 0, 1, 0]), 2)`` is ([0, 1, 3, 2], [0, 3, 4]).
    """
    places = np.argsort(pixels, kind="stable")
    return places, np.searchsorted(pixels[places], np.arange(size + 1))


@kernel
def copy_pixels(x, rows, columns, out):
    """Copy, a row of the result at a time."""
    for row in prange(len(out) * len(rows)):
        n, i = row // len(rows), row % len(rows)
        for j in range(len(columns)):
            inside = rows[i] >= 0 and columns[j] >= 0
            for c in range(x.shape[3]):
                out[n, i, j, c] = x[n, rows[i], columns[j], c] if inside else 0


@kernel
def sum_copies(dy, rows, row_starts, columns, column_starts, dx):
    """Add up, a row of dx at a time."""
    height = dx.shape[1]
    for row in prange(len(dx) * height):
        n, h = row // height, row % height
        for w in range(dx.shape[2]):
            for c in range(dx.shape[3]):
                dx[n, h, w, c] = 0
            for i in range(row_starts[h], row_starts[h + 1]):
                for j in range(column_starts[w], column_starts[w + 1]):
                    for c in range(dx.shape[3]):
                        dx[n, h, w, c] += dy[n, rows[i], columns[j], c]
