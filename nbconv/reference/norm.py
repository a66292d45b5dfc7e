"""Batch normalisation, plainly. Channels are the last axis; the arithmetic is in float64."""

import numpy as np

from .activation import gate, rectify


def batch_norm(op, x, weight, bias, running_mean, running_var, *, out, mean, inv_std, scratch):
    def run():
        if op.training:
            rows = x.reshape(-1, x.shape[-1]).astype(np.float64)
            mean[...], variance = rows.mean(axis=0), rows.var(axis=0)
            _learn(op, running_mean, running_var, mean, variance, len(rows))
        else:
            mean[...], variance = running_mean, running_var.astype(np.float64)
        inv_std[...] = 1 / np.sqrt(variance + op.eps)
        y = (x - mean) * inv_std
        if op.affine:
            y = y * weight + bias
        out[...] = rectify(y) if op.activation == "relu" else y

    return run


def _learn(op, running_mean, running_var, mean, variance, n):
    """Move the running values towards this batch's, channel by channel, where these are finite in the array's dtype."""
    moved = [
        ((1 - op.momentum) * running.astype(np.float64) + op.momentum * new).astype(running.dtype)
        for running, new in ((running_mean, mean), (running_var, variance * n / (n - 1)))
    ]
    finite = np.isfinite(moved[0]) & np.isfinite(moved[1])
    running_mean[finite], running_var[finite] = moved[0][finite], moved[1][finite]


def batch_norm_backward(op, dy, x, weight, out, mean, inv_std, *, dx, dweight, dbias, scratch):
    all_but_channels = tuple(range(x.ndim - 1))
    n = x.size // x.shape[-1]

    def run():
        d = (gate(dy, out) if op.activation == "relu" else dy).astype(np.float64)
        normalized = (x - mean) * inv_std
        sum_d = d.sum(axis=all_but_channels)
        sum_d_normalized = (d * normalized).sum(axis=all_but_channels)
        if dweight is not None:
            dweight[...] = sum_d_normalized
        if dbias is not None:
            dbias[...] = sum_d
        if dx is not None:
            if op.training:  # mean and variance depend on x too
                d = d - sum_d / n - normalized * sum_d_normalized / n
            dx[...] = d * inv_std * (weight if op.affine else 1)

    return run
