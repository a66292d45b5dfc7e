"""Samples that lie on the device, on the CPU."""

from __future__ import annotations

from numba import prange, uint64

from .chunks import build, flat
from .compile import kernel, sequential


@kernel
def _gather(x, rows, channels_first, out):
    """``x`` is (samples, channels, pixels), or (samples, pixels, channels); ``out`` (rows, pixels, channels)."""
    _, pixels, channels = out.shape
    for n in prange(rows.size):
        row = rows[n]
        for p in range(uint64(pixels)):
            for c in range(uint64(channels)):
                out[n, p, c] = x[row, c, p] if channels_first else x[row, p, c]


@sequential
def _out_of_range(x, least, most, out):
    out[0], out[1] = 0, -1
    for i in range(x.size):
        if not (x[i] >= least and x[i] <= most):
            out[0] += 1
            if out[0] == 1:
                out[1] = i


def gather(op, x, rows, *, out):
    channels_first = op.channels_first and x.ndim > 2
    channels = out.shape[-1] if out.ndim > 1 else 1
    out = out.reshape(len(rows), -1, channels)
    x = x.reshape(len(x), *((channels, -1) if channels_first else (-1, channels)))
    call = build(_gather, 2 * out.size)
    return lambda: call(x, rows, channels_first, out)


def out_of_range(op, x, *, out, scratch):
    x, least, most = flat(x), float(op.least), float(op.most)
    return lambda: _out_of_range(x, least, most, out)
