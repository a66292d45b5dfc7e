"""Convolution on the GPU: launches of its three sums, and of what is fused with them."""

from __future__ import annotations

from ..errors import UnsupportedOp
from ..ops.base import Buffer
from .activation import relu_backward
from .correlation import correlate, correlate_to_input, correlate_to_weight, partial_weights
from .pool import max_pool2d, max_pool2d_backward
from .sums import partial_sums, sum_rows


def forward_scratch(op, dtype, x_shape):
    return {"unpooled": Buffer(op.conv_shape(x_shape), dtype)} if op.pool else {}


def conv2d(op, x, weight, bias, *, out, argmax, scratch):
    check_algorithm(op)
    y = scratch["unpooled"] if op.pool else out
    launches = [correlate(op, x, weight, bias, op.activation == "relu", y)]
    if op.pool:
        launches.append(max_pool2d(op.pool, y, out=out, argmax=argmax))
    return launches


def backward_scratch(op, dtype, x_shape):
    shape = op.conv_shape(x_shape)
    n, height, width, filters = shape
    buffers = {"partial_weights": partial_weights(op, x_shape)}
    if op.bias:
        buffers["partial_bias"] = partial_sums(n * height * width, (filters,))
    if op.activation:
        buffers["gated"] = Buffer(op.out_shape(x_shape), dtype)
    if op.pool:
        buffers["unpooled"] = Buffer(shape, dtype)
    return buffers


def conv2d_backward(op, dy, x, weight, out, argmax, *, dx, dweight, dbias, scratch):
    check_algorithm(op)
    launches = []
    if op.activation:
        launches.append(relu_backward(None, dy, out, dx=scratch["gated"]))
        dy = scratch["gated"]
    if op.pool:
        launches.append(max_pool2d_backward(op.pool, dy, argmax, dx=scratch["unpooled"]))
        dy = scratch["unpooled"]
    if dbias is not None:
        launches.append(sum_rows(dy, scratch["partial_bias"], dbias))
    if dweight is not None:
        launches.append(correlate_to_weight(op, dy, x, scratch["partial_weights"], dweight))
    if dx is not None:
        launches.append(correlate_to_input(op, dy, weight, None, False, dx))
    return launches


def check_algorithm(op):
    """Raise ``UnsupportedOp`` for a forced algorithm that is not that of these kernels."""
    if op.algorithm not in ("auto", "direct"):
        raise UnsupportedOp(
            f"{type(op).__name__} has no algorithm={op.algorithm!r} on 'cuda', which computes it directly; "
            f'use algorithm="auto"'
        )
