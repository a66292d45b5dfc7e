"""Borders and enlargement on the CPU: every pixel of the result is a copy of one of the image, or nothing.

One pair of kernels serves all of them. Which row a row of the result copies, and which column a column, is written down
when a kernel is bound; backward, each pixel adds up the gradients of its copies, in order, so that nothing races.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .chunks import build, flat
from .compile import kernel
from .memory import clear, copy


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
    call, steps = build(copy_pixels, 2 * out.size), runs(columns) * x.shape[3]
    operands = flat(x), rows, steps, x.shape[1], x.shape[2] * x.shape[3], flat(out), out.shape[2] * out.shape[3]
    return lambda: call(*operands)


def runs(pixels):
    """Return stretches of neighbours that are copies of neighbours: (place, first pixel or less than 0, count).

    ``runs(np.array([-1, 0, 1, 2, 2]))`` is [(0, -1, 1), (1, 0, 3), (4, 2, 1)].
    """
    firsts = np.flatnonzero((np.diff(pixels, prepend=-1) != 1) | (pixels < 1))
    return np.stack([firsts, pixels[firsts], np.diff(firsts, append=len(pixels))], axis=1)


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
def copy_pixels(x, rows, runs, height, x_line, out, line):
    """Copy, a row of the result at a time; numbers are elements, not pixels."""
    for row in prange(len(out) // line):
        n, i = row // len(rows), row % len(rows)
        if rows[i] < 0:
            clear(out, row * line, line)
            continue
        source = (n * height + rows[i]) * x_line
        for k in range(len(runs)):
            place, first, count = row * line + runs[k, 0], runs[k, 1], runs[k, 2]
            if first < 0:
                clear(out, place, count)
            else:
                copy(x, source + first, out, place, count)


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
