"""Layer, group and instance norm, whose groups (``moments.py``) are of one sample each.

A sample of a single group is one channel, whatever the layout of its values.
"""

from __future__ import annotations

from math import prod, sqrt

import numpy as np
from numba import cuda

from ..ops.base import Buffer
from .kernel import kernel
from .moments import add_pieces, input_gradient, measure_mean, normalize, sum_buffers, sum_gradients, sum_squares


@kernel
def _scale(x, totals, eps, inv_std):
    index = cuda.grid(1)
    if index >= inv_std.size:
        return
    groups = inv_std.shape[1]
    n, group, width = index // groups, index % groups, x.shape[2] // groups
    variance = add_pieces(totals, n, group, width) / (x.shape[1] * width)
    inv_std[n, group] = 1 / sqrt(variance + eps)


@kernel
def _through_statistics(x, totals, products, inv_std, shift, slope):
    """What is common to the input gradients of a group, whose mean and variance depend on x too."""
    index = cuda.grid(1)
    if index >= inv_std.size:
        return
    groups = inv_std.shape[1]
    n, group, width = index // groups, index % groups, x.shape[2] // groups
    total, product = add_pieces(totals, n, group, width), add_pieces(products, n, group, width)
    count = x.shape[1] * width
    shift[n, group] = total / count
    slope[n, group] = product / count * inv_std[n, group] * inv_std[n, group]


@kernel
def _sum_parameter_gradients(dy, x, mean, inv_std, channels, totals, products):
    """dy and x are (rows, parameters): a number of weight and bias takes part in its column."""
    index = cuda.grid(1)
    if index >= totals.size:
        return
    _, pieces, parameters = totals.shape
    piece, j = index // parameters, index % parameters
    samples, groups = mean.shape
    rows = x.shape[0]
    group = j % channels // (channels // groups)
    total, product = np.float64(0), np.float64(0)
    for row in range(piece, rows, pieces):
        n = row // (rows // samples)
        d = np.float64(dy[row, j])
        total += d
        product += d * ((x[row, j] - mean[n, group]) * inv_std[n, group])
    totals[0, piece, j], products[0, piece, j] = total, product


@kernel
def _add_parameter_gradients(totals, products, dweight, dbias):
    j = cuda.grid(1)
    if j >= totals.shape[2]:
        return
    if dweight is not None:
        dweight[j] = add_pieces(products, 0, j, 1)
    if dbias is not None:
        dbias[j] = add_pieces(totals, 0, j, 1)


def group_norm(op, x, weight, bias, *, out, mean, inv_std, scratch):
    rows, totals = x.reshape(_rows(op, x.shape)), scratch["totals"]
    return [
        *measure_mean(rows, totals, mean),
        sum_squares(rows, mean, totals),
        _scale.over(mean.size)(rows, totals, float(op.eps), inv_std),
        normalize(rows, _flat(weight), _flat(bias), mean, inv_std, False, out),
    ]


def group_norm_backward(op, dy, x, weight, mean, inv_std, *, dx, dweight, dbias, scratch):
    launches = []
    if dweight is not None or dbias is not None:
        launches += _bind_parameter_gradients(dy, x, mean, inv_std, _flat(dweight), _flat(dbias), scratch)
    if dx is not None:
        rows, weight = x.reshape(_rows(op, x.shape)), _flat(weight)
        totals, products, shift, slope = (scratch[name] for name in ("totals", "products", "shift", "slope"))
        launches += [
            sum_gradients(dy, rows, None, weight, mean, totals, products),
            _through_statistics.over(mean.size)(rows, totals, products, inv_std, shift, slope),
            input_gradient(dy, rows, None, weight, mean, inv_std, shift, slope, dx),
        ]
    return launches


def _bind_parameter_gradients(dy, x, mean, inv_std, dweight, dbias, scratch):
    totals, products = scratch["parameter_totals"], scratch["parameter_products"]
    parameters, channels = totals.shape[2], x.shape[-1]
    dy, x = dy.reshape(-1, parameters), x.reshape(-1, parameters)
    return [
        _sum_parameter_gradients.over(totals.size)(dy, x, mean, inv_std, channels, totals, products),
        _add_parameter_gradients.over(parameters)(totals, products, dweight, dbias),
    ]


def forward_scratch(op, dtype, x):
    return sum_buffers(*_rows(op, x), "totals")


def backward_scratch(op, dtype, x):
    buffers = sum_buffers(*_rows(op, x), "totals", "products")
    buffers |= {name: Buffer((x[0], op.groups(x)), "float64") for name in ("shift", "slope")}
    if op.affine:
        parameters = prod(op.param_shapes(x)["weight"])
        buffers |= sum_buffers(1, prod(x) // parameters, parameters, "parameter_totals", "parameter_products")
    return buffers


def _rows(op, shape):
    """The shape (samples, rows, channels) in which groups are seen."""
    samples, channels = shape[0], 1 if op.groups(shape) == 1 else shape[-1]
    return samples, prod(shape[1:]) // channels, channels


def _flat(parameter):
    return None if parameter is None else parameter.reshape(-1)
