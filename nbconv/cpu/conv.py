"""Convolution on the CPU: calls of its kernels, in order, and the buffers they share."""

from __future__ import annotations

from ..ops.base import Buffer
from . import (
    convolution,
    depthwise,
    depthwise_gradient,
    im2col,
    plain,
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
from .flip import bind_flip, flipped_weight, in_order
from .geometry import Channels
from .im2col import Folded, Unrolled, UnrolledGradient
from .moments import moments_buffer
from .packing import bind_prepare, bind_turn
from .planar import Planar
from .planar_gradient import PlanarGradient
from .records import windows_record
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
    description = forward_convolution(op, dtype, x_shape)
    if not op.measures or not isinstance(description, (Convolution, Winograd)):
        return description.scratch
    strips = int(description.geometry[0]["strips"])
    return {**description.scratch, "moments": moments_buffer(strips, op.out_channels, dtype)}


def conv2d(op, x, weight, bias, *, out, argmax, scratch):
    return bind_forward(op, x, scratch.get("flipped", weight), bias, out, argmax, scratch)


def bind_forward(op, x, weight, bias, out, argmax, scratch):
    """Return the call that computes ``out`` (and ``argmax``) from x and the prepared weight."""
    description = forward_convolution(op, str(x.dtype), x.shape)
    call = bind_kernel(description, x, weight, bias, out, argmax, scratch)
    if not isinstance(description, Depthwise):
        return call
    return plain.if_finite(weight, call, plain.bind_forward(op, x, weight, bias, op.activation == "relu", out))


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
    parts = [dx.weights, dx.scratch, special.scratch if special else {}]
    if not isinstance(special, PlanarGradient):
        parts.append(parameter_gradient(op, dtype, x_shape, weight=special is None).scratch)
    buffers = union(*parts)
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
    gradient, returned = dy, []
    if op.pool or op.activation:
        gradient = scratch["gradient"]
        returned = [_bind_return(op, dy, out, argmax, gradient)]
    of_filters = scratch["flipped_gradient"] if op.flip and dweight is not None else dweight
    special = special_weight_gradient(op, str(x.dtype), x.shape)
    any_wanted = dweight is not None or dbias is not None
    if any_wanted and isinstance(special, PlanarGradient) and special.pooled:
        sums = planar_gradient.bind(special, x, dy, of_filters, dbias, scratch, out=out, argmax=argmax)
        calls = [_guarded(sums, op, x, gradient, of_filters, before=returned)]
        calls += returned if dx is not None else []
    else:
        calls = [*returned, *parameter_gradient_calls(op, gradient, x, of_filters, dbias, scratch)]
    if of_filters is not dweight:
        calls.append(bind_flip(of_filters, dweight))
    if dx is not None:
        if op.flip:
            calls.append(bind_flip(weight, scratch["flipped"]))
        calls += _input_gradient_calls(op, gradient, scratch.get("flipped", weight), dx, scratch)
    return in_order(calls)


def _bind_return(op, dy, out, argmax, gradient):
    """Return the call that computes the gradient of the convolution's own result, before its activation and pool."""
    if op.pool:
        return bind_unpool(op.pool, op.activation == "relu", dy, out, argmax, gradient)
    return relu_backward(None, dy, out, dx=gradient)


def parameter_gradient_calls(op, dy, x, dweight, dbias, scratch):
    """Return the calls that compute the gradients that are wanted, ``dweight`` and ``dbias``."""
    if dweight is None and dbias is None:
        return []
    dtype, calls = str(x.dtype), []
    special = special_weight_gradient(op, dtype, x.shape)
    if isinstance(special, PlanarGradient):
        sums = planar_gradient.bind(special, x, dy, dweight, dbias, scratch)
        return [_guarded(sums, op, x, dy, dweight)]
    if special and dweight is not None:
        calls.append(_bind_weight_gradient(special, op, x, dy, dweight, scratch))
        dweight = None
    if dweight is not None or dbias is not None:
        sums = parameter_gradient(op, dtype, x.shape, dweight is not None, dbias is not None)
        calls.append(weight_gradient.bind(sums, x, dy, dweight, dbias, scratch))
    return calls


def _bind_weight_gradient(special, op, x, dy, dweight, scratch):
    if isinstance(special, UnrolledGradient):
        return im2col.bind_weight_gradient(special, x, dy, dweight, scratch)
    if isinstance(special, WinogradGradient):
        return winograd_gradient.bind(special, x, dy, dweight, scratch)
    return _guarded(depthwise_gradient.bind(special, x, dy, dweight, scratch), op, x, dy, dweight)


def _guarded(fast, op, x, dy, dweight, before=()):
    """Return ``fast``, and plain sums where its ``dweight`` is not finite; ``before`` are calls that compute dy."""
    if dweight is None:  # what comes back to a bias is added to no zeros
        return fast
    return plain.unless_finite(dweight, fast, in_order([*before, plain.bind_weight_gradient(op, x, dy, dweight)]))


def _input_gradient_calls(op, dy, weight, dx, scratch):
    target = scratch["bordered"] if op.padding_mode == "circular" else dx
    description = input_gradient(op, str(dx.dtype), dx.shape)
    calls = [bind_input_gradient(description, op, dy, weight, None, target, scratch)]
    return calls if target is dx else [*calls, bind_unwrap(target, op.pads(dx.shape), dx)]


def bind_input_gradient(description, op, dy, weight, bias, dx, scratch, *, relu=False):
    """Return the call that computes ``dx``, of x with its border where that is circular, from dy and the weight."""
    turn = bind_turned(description, op, weight, bias, scratch)
    fast = in_order([turn, bind_kernel(description, dy, weight, bias, dx, None, scratch, transposed=True)])
    pads = (0, 0, 0, 0) if op.padding_mode == "circular" else op.pads(dx.shape)
    windows = windows_record(op, dx.shape, dy.shape, pads)
    return plain.if_finite(weight, fast, plain.bind_input_gradient(windows, dy, weight, bias, relu, dx))


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
