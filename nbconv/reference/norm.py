"""Batch normalisation, plainly. Channels are the last axis; the arithmetic is in float64."""

import numpy as np

from .activation import gate, rectify
from .pool import at_winner, max_pool2d, max_pool2d_backward


def batch_norm(op, x, weight, bias, running_mean, running_var, *, out, mean, inv_std, argmax, winners, scratch):
    def run():
        if op.training:
            n = x.size // x.shape[-1]
            mean[...] = channel_sums(x) / n
            variance = channel_sums((x - mean) ** 2) / n
            _learn(op, running_mean, running_var, mean, variance, n)
        else:
            mean[...], variance = running_mean, running_var.astype(np.float64)
        inv_std[...] = 1 / np.sqrt(variance + op.eps)
        y = (x - mean) * inv_std
        if op.affine:
            y = y * weight + bias
        y = (rectify(y) if op.activation == "relu" else y).astype(out.dtype)
        if op.pool:
            max_pool2d(op.pool, y, out=out, argmax=argmax)()
            winners[...] = at_winner(op.pool, x, argmax)
        else:
            out[...] = y

    return run


def channel_sums(x):
    """The sum of each channel. NumPy adds along a contiguous axis in blocks, and any other one by one: less exactly."""
    return np.ascontiguousarray(x.reshape(-1, x.shape[-1]).T, np.float64).sum(axis=1)


def _learn(op, running_mean, running_var, mean, variance, n):
    """Move the running values towards this batch's, channel by channel, where these are finite in the array's dtype."""
    moved = [
        ((1 - op.momentum) * running.astype(np.float64) + op.momentum * new).astype(running.dtype)
        for running, new in ((running_mean, mean), (running_var, variance * n / (n - 1)))
    ]
    finite = np.isfinite(moved[0]) & np.isfinite(moved[1])
    running_mean[finite], running_var[finite] = moved[0][finite], moved[1][finite]


def batch_norm_backward(op, dy, x, weight, out, mean, inv_std, argmax, winners, *, dx, dweight, dbias, scratch):
    n = x.size // x.shape[-1]

    def run():
        d = (gate(dy, out) if op.activation == "relu" else dy).astype(np.float64)
        if op.pool:
            pooled, d = d, np.empty(x.shape)
            max_pool2d_backward(op.pool, pooled, argmax, dx=d)()
        normalized = (x - mean) * inv_std
        sum_d, sum_d_normalized = channel_sums(d), channel_sums(d * normalized)
        if dweight is not None:
            dweight[...] = sum_d_normalized
        if dbias is not None:
            dbias[...] = sum_d
        if dx is not None:
            if op.training:  # mean and variance depend on x too
                d = d - sum_d / n - normalized * sum_d_normalized / n
            dx[...] = d * inv_std * (weight if op.affine else 1)

    return run
