"""Samples that lie on the GPU: which of them make a batch, and whether their values can be used."""

from __future__ import annotations

import numpy as np
from numba import cuda, int64

from ..ops.base import Buffer
from .kernel import THREADS, kernel

PIECES = 64 * THREADS
"""How many threads look for what is out of range, at most."""


@kernel
def _gather(x, rows, channels_first, out):
    """``x`` is (samples, channels, pixels), or (samples, pixels, channels); ``out`` (rows, pixels, channels)."""
    i = cuda.grid(1)
    if i < out.size:
        _, pixels, channels = out.shape
        c, p, n = i % channels, i // channels % pixels, i // channels // pixels
        if channels_first:
            out[n, p, c] = x[rows[n], c, p]
        else:
            out[n, p, c] = x[rows[n], p, c]


@kernel
def _look(x, least, most, counts, firsts):
    """Each thread looks at every so manieth element."""
    piece = cuda.grid(1)
    if piece < counts.size:
        count, first = 0, x.size
        for i in range(piece, x.size, counts.size):
            if not (x[i] >= least and x[i] <= most):
                count += 1
                if i < first:
                    first = i
        counts[piece], firsts[piece] = count, first


@kernel
def _sum_up(counts, firsts, size, out):
    """One block: the sum of all counts, and the least of the firsts."""
    thread = cuda.threadIdx.x
    part_counts = cuda.shared.array(THREADS, int64)
    part_firsts = cuda.shared.array(THREADS, int64)
    count, first = 0, size
    for piece in range(thread, counts.size, THREADS):
        count += counts[piece]
        if firsts[piece] < first:
            first = firsts[piece]
    part_counts[thread], part_firsts[thread] = count, first
    cuda.syncthreads()
    if thread == 0:
        for other in range(1, THREADS):
            count += part_counts[other]
            if part_firsts[other] < first:
                first = part_firsts[other]
        out[0] = count
        out[1] = first if count > 0 else -1


def gather(op, x, rows, *, out):
    channels_first = op.channels_first and x.ndim > 2
    channels = out.shape[-1] if out.ndim > 1 else 1
    pixels = out.size // len(rows) // channels
    x = x.reshape((len(x), channels, pixels) if channels_first else (len(x), pixels, channels))
    out = out.reshape((len(rows), pixels, channels))
    return _gather.over(out.size)(x, rows, channels_first, out)


def out_of_range(op, x, *, out, scratch):
    counts, firsts = scratch["counts"], scratch["firsts"]
    look = _look.over(counts.size)(x.reshape(-1), np.float64(op.least), np.float64(op.most), counts, firsts)
    return [look, _sum_up[1, THREADS](counts, firsts, np.int64(x.size), out)]


def scratch(op, dtype, x):
    """For each thread, how many elements are out of range, and the first of them."""
    shape = (min(PIECES, max(1, int(np.prod(x)))),)
    return {"counts": Buffer(shape, "int64"), "firsts": Buffer(shape, "int64")}
