"""Transposed convolution on the GPU: the sums of a convolution the other way round.

Forward is the input gradient of a convolution; dx is that convolution of dy, and dweight its weight gradient, for which dy
and x change places.
"""

from __future__ import annotations

from ..ops.base import Buffer
from .activation import relu_backward
from .conv import check_algorithm
from .correlation import correlate, correlate_to_input, correlate_to_weight, partial_weights
from .sums import partial_sums, sum_rows


def conv_transpose2d(op, x, weight, bias, *, out, scratch):
    check_algorithm(op)
    return correlate_to_input(op.as_conv2d(x.shape[3]), x, weight, bias, op.activation == "relu", out)


def backward_scratch(op, dtype, x_shape):
    shape = op.out_shape(x_shape)
    n, height, width, channels = shape
    buffers = {"partial_weights": partial_weights(op.as_conv2d(x_shape[3]), shape)}
    if op.bias:
        buffers["partial_bias"] = partial_sums(n * height * width, (channels,))
    if op.activation:
        buffers["gated"] = Buffer(shape, dtype)
    return buffers


def conv_transpose2d_backward(op, dy, x, weight, out, *, dx, dweight, dbias, scratch):
    check_algorithm(op)
    conv, launches = op.as_conv2d(x.shape[3]), []
    if op.activation:
        launches.append(relu_backward(None, dy, out, dx=scratch["gated"]))
        dy = scratch["gated"]
    if dbias is not None:
        launches.append(sum_rows(dy, scratch["partial_bias"], dbias))
    if dweight is not None:
        launches.append(correlate_to_weight(conv, x, dy, scratch["partial_weights"], dweight))
    if dx is not None:
        launches.append(correlate(conv, dy, weight, None, False, dx))
    return launches
