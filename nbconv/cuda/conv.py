"""Convolution on the GPU: its three sums, and what is fused with them."""

from __future__ import annotations

from ..errors import UnsupportedOp
from ..ops.base import Buffer
from . import epilogue
from .correlation import correlate, correlate_to_input, correlate_to_weight, partial_weights
from .pool import max_pool2d, max_pool2d_backward


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
    buffers = epilogue.backward_scratch(op, dtype, op.out_shape(x_shape))
    return buffers | forward_scratch(op, dtype, x_shape) | {"partial_weights": partial_weights(op, x_shape)}


def conv2d_backward(op, dy, x, weight, out, argmax, *, dx, dweight, dbias, scratch):
    check_algorithm(op)
    dy, launches = epilogue.gate(op, dy, out, scratch)
    if op.pool:
        dy, pooled = scratch["unpooled"], dy
        launches.append(max_pool2d_backward(op.pool, pooled, argmax, dx=dy))
    launches += epilogue.bias_gradient(dy, dbias, scratch)
    if dweight is not None:
        launches += correlate_to_weight(op, dy, x, scratch["partial_weights"], dweight)
    if dx is not None:
        launches.append(correlate_to_input(op, dy, weight, None, False, dx))
    return launches


def check_algorithm(op):
    """Raise ``UnsupportedOp`` if the op asks for an algorithm that these kernels do not have."""
    if op.algorithm not in ("auto", "direct"):
        raise UnsupportedOp(
            f"{type(op).__name__} has no algorithm={op.algorithm!r} on 'cuda', which computes the sum directly; "
            f'use algorithm="auto"'
        )
