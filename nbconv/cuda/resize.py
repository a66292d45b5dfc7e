"""Borders and enlargement on the GPU: forward a thread copies one number, backward it adds up the copies, in order."""

from __future__ import annotations

from numba import cuda

from .kernel import device_function, kernel
from .windows import position

ZEROS, REFLECT, EDGE, CIRCULAR = range(4)
MODES = {"zeros": ZEROS, "reflect": REFLECT, "edge": EDGE, "circular": CIRCULAR}


def pad2d(op, x, *, out):
    top, _, left, _ = op.pads
    return _pad.over(out.size)(x, top, left, MODES[op.mode], out)


def pad2d_backward(op, dy, *, dx):
    top, _, left, _ = op.pads
    return _sum_copies.over(dx.size)(dy, top, left, MODES[op.mode], dx)


def upsample(op, x, *, out):
    return _repeat.over(out.size)(x, *op.scale_factor, out)


def upsample_backward(op, dy, *, dx):
    return _sum_repetitions.over(dx.size)(dy, *op.scale_factor, dx)


@kernel
def _pad(x, top, left, mode, out):
    index = cuda.grid(1)
    if index >= out.size:
        return
    n, i, j, c = position(index, out.shape)
    h, w = _copied(i - top, x.shape[1], mode), _copied(j - left, x.shape[2], mode)
    out[n, i, j, c] = x[n, h, w, c] if h >= 0 and w >= 0 else x.dtype.type(0)


@kernel
def _sum_copies(dy, top, left, mode, dx):
    index = cuda.grid(1)
    if index >= dx.size:
        return
    n, h, w, c = position(index, dx.shape)
    _, height, width, _ = dx.shape
    total = dx.dtype.type(0)
    for a in range(dy.shape[1] - height + 1):
        i = _candidate(a, top, h, height)
        if _copied(i - top, height, mode) != h:
            continue
        for b in range(dy.shape[2] - width + 1):
            j = _candidate(b, left, w, width)
            if _copied(j - left, width, mode) == w:
                total += dy[n, i, j, c]
    dx[n, h, w, c] = total


@device_function
def _copied(place, size, mode):
    """Return which pixel of an axis is copied to a place, counted from the first pixel; -1 is none."""
    last = size - 1
    if mode == REFLECT:
        return last - abs(last - abs(place))
    if mode == EDGE:
        return min(max(place, 0), last)
    if mode == CIRCULAR:
        return place % size
    return place if 0 <= place <= last else -1


@device_function
def _candidate(number, before, pixel, size):
    """Return a place where a copy of a pixel may be: those in the border before the axis, its own, those behind."""
    if number < before:
        return number
    return before + pixel if number == before else number - 1 + size


@kernel
def _repeat(x, down, across, out):
    index = cuda.grid(1)
    if index < out.size:
        n, i, j, c = position(index, out.shape)
        out[n, i, j, c] = x[n, i // down, j // across, c]


@kernel
def _sum_repetitions(dy, down, across, dx):
    index = cuda.grid(1)
    if index >= dx.size:
        return
    n, h, w, c = position(index, dx.shape)
    total = dx.dtype.type(0)
    for i in range(h * down, (h + 1) * down):
        for j in range(w * across, (w + 1) * across):
            total += dy[n, i, j, c]
    dx[n, h, w, c] = total
