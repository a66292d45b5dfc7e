"""Transposed convolution on the GPU: the three sums of a convolution, in other parts.

Forward is the input gradient of a convolution; dx is that convolution of dy, and dweight its weight gradient, for which
dy and x change places.
"""

from __future__ import annotations

from . import epilogue
from .conv import check_algorithm
from .correlation import correlate, correlate_to_input, correlate_to_weight, partial_weights


def conv_transpose2d(op, x, weight, bias, *, out, scratch):
    check_algorithm(op)
    return correlate_to_input(op.as_conv2d(x.shape[3]), x, weight, bias, op.activation == "relu", out)


def backward_scratch(op, dtype, x_shape):
    conv, shape = op.as_conv2d(x_shape[3]), op.out_shape(x_shape)
    return epilogue.backward_scratch(op, dtype, shape) | {"partial_weights": partial_weights(conv, shape)}


def conv_transpose2d_backward(op, dy, x, weight, out, *, dx, dweight, dbias, scratch):
    check_algorithm(op)
    conv = op.as_conv2d(x.shape[3])
    dy, launches = epilogue.gate(op, dy, out, scratch)
    launches += epilogue.bias_gradient(dy, dbias, scratch)
    if dweight is not None:
        launches += correlate_to_weight(conv, x, dy, scratch["partial_weights"], dweight)
    if dx is not None:
        launches.append(correlate(conv, dy, weight, None, False, dx))
    return launches
