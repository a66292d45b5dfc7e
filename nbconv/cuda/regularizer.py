"""Penalties on parameters, as flat arrays."""

from __future__ import annotations

import numpy as np
from numba import cuda

from .kernel import THREADS, kernel
from .optimizer import square_scratch, squares
from .reduce import sum_of

__all__ = ["l2", "square_scratch"]


@kernel
def _penalty(piece_squares, reg, out):
    partial = cuda.shared.array(THREADS, np.float64)
    total = sum_of(piece_squares, partial)
    if cuda.threadIdx.x == 0:
        out[0] = 0.5 * reg * total


@kernel
def _add_scaled(values, scale, penalty, out):
    i = cuda.grid(1)
    if i < out.size:
        factor = out.dtype.type(scale + 0 * penalty[0])  # NaN where the penalty is not finite
        out[i] += factor * values[i]


def l2(op, param, grad, *, out, scratch):
    piece_squares, reg = scratch["piece_squares"], float(op.reg)
    measured = [squares(param, piece_squares), _penalty[1, THREADS](piece_squares, reg, out)]
    return measured if grad is None else [*measured, _add_scaled.over(grad.size)(param, reg, out, grad)]
