"""Batch norm: what is computed for each channel, by a thread of its own.

Sums over the batch, and what becomes of each value, are in ``moments.py``. A fused pool is a second step.
"""

from __future__ import annotations

from math import prod, sqrt

import numpy as np
from numba import cuda

from ..ops.base import Buffer
from .activation import relu_backward
from .kernel import kernel
from .moments import add_pieces, input_gradient, measure_mean, normalize, sum_buffers, sum_gradients, sum_squares
from .pool import at_winner, max_pool2d, max_pool2d_backward


@kernel
def _learn(totals, count, eps, momentum, running_mean, running_var, mean, inv_std):
    c = cuda.grid(1)
    if c >= mean.size:
        return
    variance = add_pieces(totals, 0, c, 1) / count
    inv_std[c] = 1 / sqrt(variance + eps)
    unbiased = variance * count / (count - 1)
    number = running_mean.dtype.type
    new_mean = number((1 - momentum) * np.float64(running_mean[c]) + momentum * mean[c])
    new_var = number((1 - momentum) * np.float64(running_var[c]) + momentum * unbiased)
    if abs(new_mean) < np.inf and abs(new_var) < np.inf:
        running_mean[c], running_var[c] = new_mean, new_var


@kernel
def _recall(running_mean, running_var, eps, mean, inv_std):
    c = cuda.grid(1)
    if c < mean.size:
        mean[c], inv_std[c] = running_mean[c], 1 / sqrt(np.float64(running_var[c]) + eps)


@kernel
def _parameter_gradients(totals, products, weight, inv_std, count, shift, slope, dweight, dbias):
    """And what is common to the input gradients of a channel, whose mean and variance depend on x too."""
    c = cuda.grid(1)
    if c >= inv_std.size:
        return
    total, product = add_pieces(totals, 0, c, 1), add_pieces(products, 0, c, 1)
    if dweight is not None:
        dweight[c] = product * inv_std[c]
    if dbias is not None:
        dbias[c] = total
    if weight is not None:
        total, product = total * weight[c], product * weight[c]
    shift[c], slope[c] = total / count, product / count * inv_std[c] * inv_std[c]


def batch_norm(op, x, weight, bias, running_mean, running_var, *, out, mean, inv_std, argmax, winners, scratch):
    rows, channels, eps, means = _rows(x), mean.size, float(op.eps), _row(mean)
    if op.training:
        totals, operands = scratch["totals"], (eps, float(op.momentum), running_mean, running_var, mean, inv_std)
        learn = _learn.over(channels)(totals, rows.shape[1], *operands)
        launches = [*measure_mean(rows, totals, means), sum_squares(rows, means, totals), learn]
    else:
        launches = [_recall.over(channels)(running_mean, running_var, eps, mean, inv_std)]
    y = scratch["unpooled"] if op.pool else out
    launches.append(normalize(rows, weight, bias, means, _row(inv_std), op.activation == "relu", y))
    if op.pool:
        launches += [max_pool2d(op.pool, y, out=out, argmax=argmax), at_winner(op.pool, x, argmax, out=winners)]
    return launches


def batch_norm_backward(op, dy, x, weight, out, mean, inv_std, argmax, winners, *, dx, dweight, dbias, scratch):
    totals, products, shift, slope = (scratch[name] for name in ("totals", "products", "shift", "slope"))
    seen = _rows(winners if op.pool else x)  # nothing comes back to the others
    operands = weight, inv_std, x.size // mean.size, shift, slope, dweight, dbias
    launches = [
        sum_gradients(dy, seen, out, None, _row(mean), totals, products),
        _parameter_gradients.over(mean.size)(totals, products, *operands),
    ]
    if dx is None:
        return launches
    if op.pool:
        launches += _unpool(op, dy, out, argmax, scratch, dx)
        dy, out = dx, None
    shift, slope = (_row(shift), _row(slope)) if op.training else (None, None)
    spread = input_gradient(dy, _rows(x), out, weight, _row(mean), _row(inv_std), shift, slope, dx)
    return [*launches, spread]


def _unpool(op, dy, out, argmax, scratch, dx):
    """Bring dy back to the pixels that won, where the ReLU let them pass."""
    if not op.activation:
        return [max_pool2d_backward(op.pool, dy, argmax, dx=dx)]
    gated = scratch["gated"]
    return [relu_backward(None, dy, out, dx=gated), max_pool2d_backward(op.pool, gated, argmax, dx=dx)]


def forward_scratch(op, dtype, x):
    unpooled = {"unpooled": Buffer(x, dtype)} if op.pool else {}
    sums = sum_buffers(1, prod(x[:-1]), x[-1], "totals") if op.training else {}
    return {**unpooled, **sums}


def backward_scratch(op, dtype, x):
    shape = op.out_shape(x)
    gated = {"gated": Buffer(shape, dtype)} if op.pool and op.activation else {}
    return {
        "shift": Buffer((x[-1],), "float64"),
        "slope": Buffer((x[-1],), "float64"),
        **gated,
        **sum_buffers(1, prod(shape[:-1]), x[-1], "totals", "products"),
    }


def _rows(x):
    """View (N, H, W, C) or (N, C) as (1, rows, C): the batch is one sample."""
    return x.reshape(1, -1, x.shape[-1])


def _row(statistics):
    """View (C,) as (1, C)."""
    return statistics.reshape(1, -1)
