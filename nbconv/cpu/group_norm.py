"""Layer, group and instance norm on the CPU: normalisation of each sample by itself, by groups of its channels.

What differs is how a group lies in memory: as numbers next to each other (``row_norm.py``), or as some channels of each
pixel (``channel_norm.py``).
"""

from __future__ import annotations

from math import prod

from . import channel_norm, row_norm


def group_norm(op, x, weight, bias, *, out, mean, inv_std, scratch):
    return _kernels(op, x.shape).bind_forward(op, x, weight, bias, mean, inv_std, out, scratch)


def group_norm_backward(op, dy, x, weight, mean, inv_std, *, dx, dweight, dbias, scratch):
    return _kernels(op, x.shape).bind_backward(op, dy, x, weight, mean, inv_std, dx, dweight, dbias, scratch)


def forward_scratch(op, dtype, x):
    return _kernels(op, x).forward_scratch(op, dtype, x)


def backward_scratch(op, dtype, x):
    return _kernels(op, x).backward_scratch(op, dtype, x)


def _kernels(op, x):
    """Return the module that is for groups as they are in samples of this shape."""
    is_one_pixel = prod(x[1:-1]) == 1
    is_one_group = op.groups(x) == 1 and all(shape == x[1:] for shape in op.param_shapes(x).values())
    return row_norm if is_one_pixel or is_one_group else channel_norm
