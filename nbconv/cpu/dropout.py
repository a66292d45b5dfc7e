"""Dropout on the CPU, with the random numbers it needs."""

from __future__ import annotations

import numpy as np
from numba import prange, uint64

from ..ops.base import Buffer
from .chunks import GRAIN, build, chunk_count, chunk_range, flat
from .compile import helper, kernel

QUADS = GRAIN // 8
"""Counters per chunk; each gives four words, for four elements."""

COST = 8
"""What a random word costs, in reads or writes of an element."""

LOW = uint64(0xFFFFFFFF)
SHIFT = uint64(32)
MULTIPLIER_0, MULTIPLIER_1 = uint64(0xD2511F53), uint64(0xCD9E8D57)
KEY_STEP_0, KEY_STEP_1 = uint64(0x9E3779B9), uint64(0xBB67AE85)


@helper
def philox(quad, step, node, seed):
    """Philox 4x32-10: the four random words, in uint64, of the counter (quad, its high word, step, node)."""
    c0, c1, c2, c3 = quad & LOW, quad >> SHIFT, step & LOW, node & LOW
    k0, k1 = seed & LOW, seed >> SHIFT
    for _ in range(10):
        p0, p1 = c0 * MULTIPLIER_0, c2 * MULTIPLIER_1
        c0, c1, c2, c3 = (p1 >> SHIFT) ^ c1 ^ k0, p1 & LOW, (p0 >> SHIFT) ^ c3 ^ k1, p0 & LOW
        k0, k1 = (k0 + KEY_STEP_0) & LOW, (k1 + KEY_STEP_1) & LOW
    return c0, c1, c2, c3


@kernel
def _dropout(x, rng, threshold, scale, out):
    """Backward is the same kernel on dy: the same counters give the same mask."""
    seed, step, node = uint64(rng[0]), uint64(rng[1]), uint64(rng[2])
    threshold, scale, zero = uint64(threshold), x.dtype.type(scale), x.dtype.type(0)
    quads = x.size // 4
    for chunk in prange(chunk_count(quads, QUADS)):
        for quad in chunk_range(chunk, quads, QUADS):
            w0, w1, w2, w3 = philox(quad, step, node, seed)
            i = quad * uint64(4)
            out[i] = x[i] * scale if w0 >= threshold else zero
            out[i + uint64(1)] = x[i + uint64(1)] * scale if w1 >= threshold else zero
            out[i + uint64(2)] = x[i + uint64(2)] * scale if w2 >= threshold else zero
            out[i + uint64(3)] = x[i + uint64(3)] * scale if w3 >= threshold else zero
    words = philox(uint64(quads), step, node, seed)
    for i in range(4 * quads, x.size):
        out[i] = x[i] * scale if words[i - 4 * quads] >= threshold else zero


def dropout(op, x, rng, *, out):
    call, x, out = build(_dropout, COST * x.size), flat(x), flat(out)
    threshold, scale = op.threshold, op.scale

    def run():
        call(x, rng, threshold, scale, out)

    return run


def dropout_backward(op, dy, rng, *, dx):
    return dropout(op, dy, rng, out=dx)


@kernel
def _scale_channels(x, factors, out):
    """Scale all pixels of each image (N, P, C) by channel; a factor of zero makes zero of anything."""
    images, pixels, channels = x.shape
    zero, share = x.dtype.type(0), max(1, GRAIN // channels)
    pieces = chunk_count(pixels, share)
    for task in prange(images * pieces):
        n, piece = task // pieces, task % pieces
        for pixel in chunk_range(piece, pixels, share):
            for c in range(uint64(channels)):
                factor = factors[n, c]
                out[n, pixel, c] = x[n, pixel, c] * factor if factor > 0 else zero


def dropout2d(op, x, rng, *, out, scratch):
    factors, (n, channels) = scratch["factors"], (len(x), x.shape[-1])
    draw = dropout(op, np.ones((n, channels), x.dtype), rng, out=factors)
    call, x, out = build(_scale_channels, 2 * x.size), x.reshape(n, -1, channels), out.reshape(n, -1, channels)

    def run():
        draw()
        call(x, factors, out)

    return run


def dropout2d_backward(op, dy, rng, *, dx, scratch):
    return dropout2d(op, dy, rng, out=dx, scratch=scratch)


def scratch(op, dtype, x):
    """What each channel of each image is multiplied by."""
    return {"factors": Buffer((x[0], x[-1]), dtype)}
