"""Convolution on the CPU: calls of its kernels, in order, and the buffers they share."""

from __future__ import annotations

from ..ops.base import Buffer
from . import convolution, depthwise, depthwise_gradient, im2col, planar, weight_gradient, winograd, winograd_gradient
from .activation import relu_backward
from .conv_kernels import (
    bordered_shape,
    forward_convolution,
    grouped,
    input_gradient,
    parameter_gradient,
    special_weight_gradient,
)
from .convolution import Convolution
from .depthwise import Depthwise
from .flip import bind_flip, flipped_weight, in_order
from .geometry import Channels
from .im2col import Folded, Unrolled, UnrolledGradient
from .packing import bind_prepare, bind_turn
from .planar import Planar
from .unpool import bind_unpool
from .winograd import Winograd
from .winograd_gradient import WinogradGradient
from .winograd_weights import bind_transform
from .wrap import bind_unwrap


def prepared_shapes(op, dtype, x_shape):
    return {**forward_convolution(op, dtype, x_shape).weights, **flipped_weight(op, dtype, x_shape)}


def prepare(op, weight, bias, *, scratch):
    if not op.flip:
        return _bind_pack(op, weight, bias, scratch)
    flipped = scratch["flipped"]
    return in_order([bind_flip(weight, flipped), _bind_pack(op, flipped, bias, scratch)])


def _bind_pack(op, weight, bias, scratch):
    sizes = op, weight.shape[2] * op.groups, op.out_channels
    if "transformed" in scratch:
        return bind_transform(grouped(*sizes), weight, scratch["transformed"], scratch["filters"])
    channels = grouped(*sizes) if op.algorithm == "im2col" else Channels.of(op.groups, *sizes[1:])
    return bind_prepare(channels, weight, bias, scratch["packed"])


def forward_scratch(op, dtype, x_shape):
    return forward_convolution(op, dtype, x_shape).scratch


def conv2d(op, x, weight, bias, *, out, argmax, scratch):
    description = forward_convolution(op, str(x.dtype), x.shape)
    return bind_kernel(description, x, scratch.get("flipped", weight), bias, out, argmax, scratch)


def bind_kernel(description, source, weight, bias, out, argmax, scratch, *, transposed=False):
    """Return the call of the kernel that a description is for; the weights are prepared."""
    if isinstance(description, Winograd):
        transformed = scratch["transformed"]
        return winograd.bind(
            description, source, weight, transformed, bias, out, argmax, scratch, transposed=transposed
        )
    if isinstance(description, Unrolled):
        return im2col.bind_forward(description, source, out, argmax, scratch)
    if isinstance(description, Folded):
        return im2col.bind_input_gradient(description, source, out, scratch)
    kernels = {Convolution: convolution, Depthwise: depthwise, Planar: planar}[type(description)]
    return kernels.bind(description, source, scratch["packed"], out, argmax, scratch)


def backward_scratch(op, dtype, x_shape):
    dx = input_gradient(op, dtype, x_shape)
    special = special_weight_gradient(op, dtype, x_shape)
    sums = parameter_gradient(op, dtype, x_shape, weight=special is None)
    buffers = union(dx.weights, dx.scratch, special.scratch if special else {}, sums.scratch)
    for name in "flipped", "flipped_gradient":
        buffers |= flipped_weight(op, dtype, x_shape, name)
    if op.activation or op.pool:
        buffers["gradient"] = Buffer(op.conv_shape(x_shape), dtype)
    if op.padding_mode == "circular":
        buffers["bordered"] = Buffer(bordered_shape(op, x_shape), dtype)
    return buffers


def union(*parts: dict) -> dict:
    """Return all buffers; parts that use one name for two of them would write over each other."""
    buffers = {name: buffer for part in parts for name, buffer in part.items()}
    assert len(buffers) == sum(map(len, parts)), [list(part) for part in parts]
    return buffers


def conv2d_backward(op, dy, x, weight, out, argmax, *, dx, dweight, dbias, scratch):
    calls = []
    if op.pool:
        dy, before = scratch["gradient"], dy
        calls.append(bind_unpool(op.pool, op.activation == "relu", before, out, argmax, dy))
    elif op.activation:
        dy, before = scratch["gradient"], dy
        calls.append(relu_backward(None, before, out, dx=dy))
    of_filters = scratch["flipped_gradient"] if op.flip and dweight is not None else dweight
    calls += parameter_gradient_calls(op, dy, x, of_filters, dbias, scratch)
    if of_filters is not dweight:
        calls.append(bind_flip(of_filters, dweight))
    if dx is not None:
        if op.flip:
            calls.append(bind_flip(weight, scratch["flipped"]))
        calls += _input_gradient_calls(op, dy, scratch.get("flipped", weight), dx, scratch)
    return in_order(calls)


def parameter_gradient_calls(op, dy, x, dweight, dbias, scratch):
    """Return the calls that compute the gradients that are wanted, ``dweight`` and ``dbias``."""
    dtype, calls = str(x.dtype), []
    special = special_weight_gradient(op, dtype, x.shape)
    if special and dweight is not None:
        calls.append(_bind_weight_gradient(special, x, dy, dweight, scratch))
        dweight = None
    if dweight is not None or dbias is not None:
        sums = parameter_gradient(op, dtype, x.shape, dweight is not None, dbias is not None)
        calls.append(weight_gradient.bind(sums, x, dy, dweight, dbias, scratch))
    return calls


def _bind_weight_gradient(special, x, dy, dweight, scratch):
    if isinstance(special, UnrolledGradient):
        return im2col.bind_weight_gradient(special, x, dy, dweight, scratch)
    kernels = winograd_gradient if isinstance(special, WinogradGradient) else depthwise_gradient
    return kernels.bind(special, x, dy, dweight, scratch)


def _input_gradient_calls(op, dy, weight, dx, scratch):
    target = scratch["bordered"] if op.padding_mode == "circular" else dx
    description = input_gradient(op, str(dx.dtype), dx.shape)
    turn = bind_turned(description, op, weight, None, scratch)
    calls = [turn, bind_kernel(description, dy, weight, None, target, None, scratch, transposed=True)]
    return calls if target is dx else [*calls, bind_unwrap(target, op.pads(dx.shape), dx)]


def bind_turned(description, op, weight, bias, scratch):
    """Return the call that prepares the weight for the input gradient: columns are input channels, as are biases."""
    sizes = op, op.out_channels, weight.shape[2] * op.groups
    if isinstance(description, Winograd):
        return bind_transform(grouped(*sizes), weight, scratch["transformed"], scratch["filters"], transposed=True)
    if isinstance(description, Folded):
        matrix, description = weight.reshape(1, 1, -1, op.out_channels), description.product
        channels = grouped(*sizes)._replace(columns=matrix.shape[2])
        return bind_turn(channels, description.phases, description.taps, matrix, scratch["packed"])
    return bind_turn(
        Channels.of(op.groups, *sizes[1:]), description.phases, description.taps, weight, scratch["packed"], bias
    )
