"""Normalisation, random flips and crops, of bytes or numbers. Threads of one image draw the same words for it."""

from __future__ import annotations

import numpy as np
from numba import cuda

from .kernel import device_function, kernel
from .philox import philox
from .windows import position

TOGETHER = 4
"""Channels that one launch normalises, each with a mean and a spread of its own."""


def normalize(op, x, *, out):
    return _bind_normalize(x, op.scale, op.mean, op.std, out)


def normalize_backward(op, dy, *, dx):
    return _bind_normalize(dy, op.scale, 0.0, op.std, dx)


def _bind_normalize(x, scale, mean, std, out):
    number, channels = out.dtype.type, out.shape[-1]
    if not isinstance(mean, tuple) and not isinstance(std, tuple):
        channels, mean, std = 1, (mean,), (std,)
    mean, std = (tuple(v) if isinstance(v, tuple) else (v,) * channels for v in (mean, std))
    x, out = x.reshape(-1, channels), out.reshape(-1, channels)
    launches = []
    for first in range(0, channels, TOGETHER):
        some = min(TOGETHER, channels - first)
        numbers = [number(v[first + min(k, some - 1)]) for v in (mean, std) for k in range(TOGETHER)]
        launches.append(_normalize.over(len(out) * some)(x, number(scale), first, some, *numbers, out))
    return launches


@kernel
def _normalize(x, scale, first, some, m0, m1, m2, m3, s0, s1, s2, s3, out):
    i = cuda.grid(1)
    if i < out.shape[0] * some:
        row, k = i // some, i % some
        mean = _choose(k, m0, m1, m2, m3)
        std = _choose(k, s0, s1, s2, s3)
        out[row, first + k] = (out.dtype.type(x[row, first + k]) * scale - mean) / std


@device_function
def _choose(k, a, b, c, d):
    if k < 2:
        return a if k == 0 else b
    return c if k == 2 else d


def random_horizontal_flip(op, x, rng, *, out):
    return _flip.over(out.size)(x, rng, np.uint64(op.threshold), out)


def random_horizontal_flip_backward(op, dy, rng, *, dx):
    return random_horizontal_flip(op, dy, rng, out=dx)


@kernel
def _flip(x, rng, threshold, out):
    i = cuda.grid(1)
    if i < out.size:
        n, h, w, c = position(i, out.shape)
        word, _, _, _ = philox(n, rng)
        out[n, h, w, c] = x[n, h, out.shape[2] - 1 - w if word < threshold else w, c]


def random_crop(op, x, rng, *, out):
    return _bind_shift(op, x.shape, 1, x, rng, out)


def random_crop_backward(op, dy, rng, *, dx):
    return _bind_shift(op, dx.shape, -1, dy, rng, dx)


def _bind_shift(op, shape, sign, x, rng, out):
    rows, columns = op.offsets(shape)
    return _shift.over(out.size)(x, rng, sign, rows.start, len(rows), columns.start, len(columns), out)


@kernel
def _shift(x, rng, sign, top, rows, left, columns, out):
    """What lies a drawn distance down and to the right, or with ``sign`` -1 up and to the left; 0 beyond the image."""
    i = cuda.grid(1)
    if i < out.size:
        n, h, w, c = position(i, out.shape)
        a, b, _, _ = philox(n, rng)
        row, column = h + sign * (top + _drawn(a, rows)), w + sign * (left + _drawn(b, columns))
        inside = 0 <= row < x.shape[1] and 0 <= column < x.shape[2]
        out[n, h, w, c] = x[n, row, column, c] if inside else x.dtype.type(0)


@device_function
def _drawn(word, count):
    """Return a number below ``count``, of a 32-bit word."""
    return np.int64((word * np.uint64(count)) >> np.uint64(32))
