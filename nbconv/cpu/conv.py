"""Convolution on the CPU: calls of its kernels, in order, and the buffers they share."""

from __future__ import annotations

from ..ops.base import Buffer
from . import (
    convolution,
    depthwise,
    depthwise_gradient,
    im2col,
    planar,
    planar_gradient,
    weight_gradient,
    winograd,
    winograd_gradient,
)
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
from .geometry import Channels
from .im2col import Folded, Unrolled, UnrolledGradient
from .packing import bind_prepare, bind_turn
from .planar import Planar
from .planar_gradient import PlanarGradient
from .unpool import bind_unpool
from .winograd import Winograd
from .winograd_gradient import WinogradGradient
from .winograd_weights import bind_transform
from .wrap import bind_unwrap


def prepared_shapes(op, dtype, x_shape):
    return forward_convolution(op, dtype, x_shape).weights


def prepare(op, weight, bias, *, scratch):
    sizes = op, weight.shape[2] * op.groups, op.out_channels
    if "transformed" in scratch:
        return bind_transform(grouped(*sizes), weight, scratch["transformed"], scratch["filters"])
    channels = grouped(*sizes) if op.algorithm == "im2col" else Channels.of(op.groups, *sizes[1:])
    return bind_prepare(channels, weight, bias, scratch["packed"])


def forward_scratch(op, dtype, x_shape):
    return forward_convolution(op, dtype, x_shape).scratch


def conv2d(op, x, weight, bias, *, out, argmax, scratch):
    description = forward_convolution(op, str(x.dtype), x.shape)
    return _bind(description, x, weight, bias, out, argmax, scratch)


def _bind(description, source, weight, bias, out, argmax, scratch, *, transposed=False):
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
    parts = [dx.weights, dx.scratch, special.scratch if special else {}]
    if not isinstance(special, PlanarGradient):
        parts.append(parameter_gradient(op, dtype, x_shape, weight=special is None).scratch)
    buffers = _union(*parts)
    if op.activation or op.pool:
        buffers["gradient"] = Buffer(op.conv_shape(x_shape), dtype)
    if op.padding_mode == "circular":
        buffers["bordered"] = Buffer(bordered_shape(op, x_shape), dtype)
    return buffers


def _union(*parts: dict) -> dict:
    """Return all buffers; parts that use one name for two of them would write over each other."""
    union = {name: buffer for part in parts for name, buffer in part.items()}
    assert len(union) == sum(map(len, parts)), [list(part) for part in parts]
    return union


def conv2d_backward(op, dy, x, weight, out, argmax, *, dx, dweight, dbias, scratch):
    calls, gradient = [], dy
    special = special_weight_gradient(op, str(x.dtype), x.shape)
    from_pool = isinstance(special, PlanarGradient) and special.pooled
    if (op.pool or op.activation) and not (from_pool and dx is None):
        gradient = scratch["gradient"]
        calls.append(_bind_return(op, dy, out, argmax, gradient))
    if isinstance(special, PlanarGradient) and (dweight is not None or dbias is not None):
        back = dy if from_pool else gradient
        calls.append(planar_gradient.bind(special, x, back, out, argmax, dweight, dbias, scratch))
    elif not isinstance(special, PlanarGradient):
        calls += _parameter_gradient_calls(op, gradient, x, dweight, dbias, scratch)
    if dx is not None:
        calls += _input_gradient_calls(op, gradient, weight, dx, scratch)

    def run():
        for call in calls:
            call()

    return run


def _bind_return(op, dy, out, argmax, gradient):
    """Return the call that computes the gradient of the convolution's own result, before its activation and pool."""
    if op.pool:
        return bind_unpool(op.pool, op.activation == "relu", dy, out, argmax, gradient)
    return relu_backward(None, dy, out, dx=gradient)


def _parameter_gradient_calls(op, dy, x, dweight, dbias, scratch):
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
    turn = _bind_turn(description, op, weight, scratch)
    calls = [turn, _bind(description, dy, weight, None, target, None, scratch, transposed=True)]
    return calls if target is dx else [*calls, bind_unwrap(target, op.pads(dx.shape), dx)]


def _bind_turn(description, op, weight, scratch):
    """Return the call that prepares the weight for the input gradient: columns are input channels."""
    sizes = op, op.out_channels, weight.shape[2] * op.groups
    if isinstance(description, Winograd):
        return bind_transform(grouped(*sizes), weight, scratch["transformed"], scratch["filters"], transposed=True)
    if isinstance(description, Folded):
        matrix, description = weight.reshape(1, 1, -1, op.out_channels), description.product
        channels = grouped(*sizes)._replace(columns=matrix.shape[2])
        return bind_turn(channels, description.phases, description.taps, matrix, scratch["packed"])
    return bind_turn(
        Channels.of(op.groups, *sizes[1:]), description.phases, description.taps, weight, scratch["packed"]
    )
