"""Normalisation, random flips and crops on the CPU.

Flips and crops move pixels, as bytes whatever the dtype: one kernel serves both, forward and backward.
"""

from __future__ import annotations

import numpy as np
from numba import int64, prange, uint64

from .chunks import GRAIN, build, chunk_count, flat
from .compile import kernel
from .dropout import SHIFT, philox
from .memory import clear, copy

LINE = 1024
"""About how many numbers are normalised in one loop: mean and std are repeated so far."""


def normalize(op, x, *, out):
    return bind_scale(x, op.scale, op.mean, op.std, out)


def normalize_backward(op, dy, *, dx):
    return bind_scale(dy, op.scale, 0.0, op.std, dx)


def bind_scale(x, scale, mean, std, out):
    """Return the call that computes out = (x * scale - mean) / std."""
    pixel = np.ones((max(1, LINE // x.shape[-1]), x.shape[-1]), out.dtype)
    mean, std = flat(pixel * np.asarray(mean, out.dtype)), flat(pixel * np.asarray(std, out.dtype))
    call, x, scale, out = build(_scale, 2 * x.size), flat(x), out.dtype.type(scale), flat(out)
    return lambda: call(x, scale, mean, std, out)


@kernel
def _scale(x, scale, mean, std, out):
    """``mean`` and ``std`` are those of a line of pixels."""
    width = mean.size
    share = max(1, GRAIN // width) * width
    for task in prange(chunk_count(x.size, share)):
        first = task * share
        for start in range(first, min(x.size, first + share), width):
            for c in range(uint64(min(width, x.size - start))):
                at = uint64(start) + c
                out[at] = (out.dtype.type(x[at]) * scale - mean[c]) / std[c]


def random_horizontal_flip(op, x, rng, *, out):
    return bind_move(x, rng, out, threshold=op.threshold)


def random_horizontal_flip_backward(op, dy, rng, *, dx):
    return bind_move(dy, rng, dx, threshold=op.threshold)


def random_crop(op, x, rng, *, out):
    return bind_move(x, rng, out, offsets=op.offsets(x.shape))


def random_crop_backward(op, dy, rng, *, dx):
    return bind_move(dy, rng, dx, offsets=op.offsets(dx.shape), sign=-1)


def bind_move(x, rng, out, *, threshold=0, offsets=(range(1), range(1)), sign=1):
    """Return the call that makes pixel (i, j) of ``out`` pixel (i, j) + sign * offset of ``x``, or zero outside of it.

    An offset is drawn for each image from a range of rows and one of columns. Where the word is less than
    ``threshold``, columns are counted from the right.
    """
    call = build(_move, x.nbytes + out.nbytes)
    rows, columns = ((places.start, len(places)) for places in offsets)
    source, target = ((*array.shape[1:3], array.shape[3] * array.itemsize) for array in (x, out))
    x, out, threshold = flat(x).view(np.uint8), flat(out).view(np.uint8), np.uint64(threshold)
    return lambda: call(x, source, rng, threshold, rows, columns, sign, out, target)


@kernel
def _move(x, source, rng, threshold, rows, columns, sign, out, target):
    """Draw for each image and copy it, some rows at a time; sizes of images are (rows, columns, bytes of a pixel)."""
    seed, step, node = uint64(rng[0]), uint64(rng[1]), uint64(rng[2])
    x_height, x_width, pixel = source
    height, width, _ = target
    line = width * pixel
    share = max(1, GRAIN // line)
    bands = chunk_count(height, share)
    for task in prange(out.size // (height * line) * bands):
        n, first = task // bands, task % bands * share
        word, other, _, _ = philox(uint64(n), step, node, seed)
        down = sign * (rows[0] + int64(word * uint64(rows[1]) >> SHIFT))
        right = sign * (columns[0] + int64(other * uint64(columns[1]) >> SHIFT))
        begin = min(width, max(0, -right))
        end = max(begin, min(width, x_width - right))
        for i in range(first, min(height, first + share)):
            at = (n * height + i) * line
            if i + down < 0 or i + down >= x_height:
                clear(out, at, line)
                continue
            row = (n * x_height + i + down) * x_width * pixel
            if word < threshold:
                for j in range(width):
                    copy(x, row + j * pixel, out, at + (width - 1 - j) * pixel, pixel)
                continue
            clear(out, at, begin * pixel)
            copy(x, row + (begin + right) * pixel, out, at + begin * pixel, (end - begin) * pixel)
            clear(out, at + end * pixel, (width - end) * pixel)
