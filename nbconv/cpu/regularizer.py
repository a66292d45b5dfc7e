"""Penalties on parameters, on the CPU: flat arrays."""

from __future__ import annotations

from numba import prange

from .chunks import GRAIN, build, chunk_count, chunk_range
from .compile import kernel
from .optimizer import l2_norm, scratch

__all__ = ["l2", "scratch"]


@kernel
def _add_scaled(values, scale, out):
    factor = out.dtype.type(scale)
    for chunk in prange(chunk_count(out.size, GRAIN)):
        for i in chunk_range(chunk, out.size, GRAIN):
            out[i] += factor * values[i]


def l2(op, param, grad, *, out, scratch):
    norm, add, piece_squares = build(l2_norm, param.size), build(_add_scaled, 2 * param.size), scratch["piece_squares"]
    reg = float(op.reg)

    def run():
        norm(param, piece_squares, out)
        length = float(out[0])
        out[0] = penalty = 0.5 * reg * length * length
        if grad is not None:
            add(param, reg + 0 * penalty, grad)  # NaN where the penalty is not finite

    return run
