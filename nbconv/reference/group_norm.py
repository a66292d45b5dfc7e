"""Normalisation of each sample by itself, plainly: layer, group and instance norm differ in their groups alone.

Channels are the last axis; the arithmetic is in float64. A *group* of a sample is some channels, with all their pixels.
"""

import numpy as np

from .norm import channel_sums


def group_norm(op, x, weight, bias, *, out, mean, inv_std, scratch):
    def run():
        values = _by_group(op, x)
        mean[...] = values.mean(axis=2)
        variance = ((values - mean[:, :, None]) ** 2).mean(axis=2)
        inv_std[...] = 1 / np.sqrt(variance + op.eps)
        normalized = _normalized(op, x, mean, inv_std)
        out[...] = normalized * weight + bias if op.affine else normalized

    return run


def group_norm_backward(op, dy, x, weight, mean, inv_std, *, dx, dweight, dbias, scratch):
    def run():
        normalized, d = _normalized(op, x, mean, inv_std), dy.astype(np.float64)
        if dweight is not None:
            dweight[...] = _sum_like(dweight, d * normalized)
        if dbias is not None:
            dbias[...] = _sum_like(dbias, d)
        if dx is not None:
            d, normalized = (_by_group(op, values) for values in (d * weight if op.affine else d, normalized))
            along = (d * normalized).mean(axis=2, keepdims=True)  # mean and variance depend on x too
            d = (d - d.mean(axis=2, keepdims=True) - normalized * along) * inv_std[:, :, None]
            dx[...] = _by_pixel(d, x.shape)

    return run


def _normalized(op, x, mean, inv_std):
    return _by_pixel((_by_group(op, x) - mean[:, :, None]) * inv_std[:, :, None], x.shape)


def _by_group(op, x):
    """Copy (N, ..., C) to float64 (N, groups, values of a group)."""
    samples, groups = len(x), op.groups(x.shape)
    values = x.reshape(samples, -1, groups, x.shape[-1] // groups).swapaxes(1, 2)
    return np.ascontiguousarray(values, np.float64).reshape(samples, groups, -1)


def _by_pixel(values, shape):
    """Undo ``_by_group``."""
    samples, groups, _ = values.shape
    return values.reshape(samples, groups, -1, shape[-1] // groups).swapaxes(1, 2).reshape(shape)


def _sum_like(parameter, values):
    """Add up what each number of a parameter has taken part in: all samples, and pixels if it is one per channel."""
    return channel_sums(values.reshape(-1, parameter.size)).reshape(parameter.shape)
