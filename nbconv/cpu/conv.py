"""Convolution on the CPU: what is computed by which kernel, and in which buffers.

Three kernels do it: ``convolve`` (forward, input gradient), ``sum_products`` (weight, bias gradient) and ``pack``.
They know nothing of an op: what they are told about strides, borders and groups is worked out when they are bound.
"""

from __future__ import annotations

from functools import lru_cache

from ..ops.base import Buffer
from . import convolution, depthwise, depthwise_gradient, weight_gradient
from .activation import relu_backward
from .convolution import Convolution
from .depthwise import Depthwise
from .depthwise_gradient import DepthwiseGradient
from .fused_pool import bind_unpool, pool_record
from .geometry import Axis, Channels, forward_axis, gradient_axis
from .packing import bind_prepare, bind_turn
from .weight_gradient import WeightGradient
from .wrap import bind_unwrap


@lru_cache
def forward_convolution(op, dtype, x_shape) -> Convolution | Depthwise:
    """Describe y = conv(x), and what is fused to it."""
    axes = _axes(op, x_shape, forward_axis)
    description = convolution.describe(
        dtype,
        x_shape,
        *axes,
        Channels.of(op.groups, x_shape[3], op.out_channels),
        op.conv_shape(x_shape),
        op.kernel_size[1],
        circular=op.padding_mode == "circular",
        relu=op.activation == "relu",
        pool=pool_record(op.pool, op.conv_shape(x_shape)),
    )
    return _fastest(description, axes)


@lru_cache
def input_gradient(op, dtype, x_shape) -> Convolution | Depthwise:
    """Describe dx as a convolution of dy; where the border is circular, the gradient of x with its border."""
    dx_shape, axes = bordered_shape(op, x_shape), _axes(op, x_shape, gradient_axis)
    description = convolution.describe(
        dtype,
        op.conv_shape(x_shape),
        *axes,
        Channels.of(op.groups, op.out_channels, x_shape[3]),
        dx_shape,
        op.kernel_size[1],
    )
    return _fastest(description, axes)


def _fastest(description, axes) -> Convolution | Depthwise:
    return depthwise.describe(description, *axes) if depthwise.serves(description) else description


def _bind(description, source, packed, out, argmax, scratch):
    kernels = depthwise if isinstance(description, Depthwise) else convolution
    return kernels.bind(description, source, packed, out, argmax, scratch)


@lru_cache
def parameter_gradient(op, dtype, x_shape, weight=True, bias=True) -> WeightGradient:
    """Describe dweight and dbias as sums over pixels, as far as they are wanted."""
    return weight_gradient.describe(
        dtype,
        x_shape,
        *_axes(op, x_shape, forward_axis),
        Channels.of(op.groups, x_shape[3], op.out_channels),
        op.out_channels,
        circular=op.padding_mode == "circular",
        weight=weight,
        bias=bias,
    )


@lru_cache
def channel_gradient(op, dtype, x_shape) -> DepthwiseGradient | None:
    """Describe dweight of a depthwise convolution; ``None`` where that is left to ``parameter_gradient``."""
    channels = Channels.of(op.groups, x_shape[3], op.out_channels)
    if not channels.depthwise or op.padding_mode == "circular":
        return None
    return depthwise_gradient.describe(dtype, x_shape, *_axes(op, x_shape, forward_axis), channels)


def _axes(op, x_shape, axis) -> tuple[Axis, Axis]:
    """Return rows and columns of the convolution, or of its input gradient."""
    shape, pads = x_shape, op.pads(x_shape)
    if axis is gradient_axis and op.padding_mode == "circular":
        shape, pads = bordered_shape(op, x_shape), (0, 0, 0, 0)
    sizes = zip(shape[1:3], op.kernel_size, op.stride, pads[::2], op.dilation, op.conv_shape(x_shape)[1:3], strict=True)
    rows, columns = (axis(*numbers) for numbers in sizes)
    return rows, columns


def bordered_shape(op, x_shape):
    """Return the shape of x, with its border if that is circular."""
    n, h, w, c = x_shape
    top, bottom, left, right = op.pads(x_shape) if op.padding_mode == "circular" else (0, 0, 0, 0)
    return n, h + top + bottom, w + left + right, c


def prepared_shapes(op, dtype, x_shape):
    return {"packed": forward_convolution(op, dtype, x_shape).packed}


def prepare(op, weight, bias, *, scratch):
    channels = Channels.of(op.groups, weight.shape[2] * op.groups, op.out_channels)
    return bind_prepare(channels, weight, bias, scratch["packed"])


def forward_scratch(op, dtype, x_shape):
    return forward_convolution(op, dtype, x_shape).scratch


def conv2d(op, x, weight, bias, *, out, argmax, scratch):
    description = forward_convolution(op, str(x.dtype), x.shape)
    return _bind(description, x, scratch["packed"], out, argmax, scratch)


def backward_scratch(op, dtype, x_shape):
    dx = input_gradient(op, dtype, x_shape)
    by_channel = channel_gradient(op, dtype, x_shape)
    sums = parameter_gradient(op, dtype, x_shape, weight=by_channel is None)
    buffers = {"turned": dx.packed, **dx.scratch, **sums.scratch, **(by_channel.scratch if by_channel else {})}
    if op.activation or op.pool:
        buffers["gradient"] = Buffer(op.conv_shape(x_shape), dtype)
    if op.padding_mode == "circular":
        buffers["bordered"] = Buffer(bordered_shape(op, x_shape), dtype)
    return buffers


def conv2d_backward(op, dy, x, weight, out, argmax, *, dx, dweight, dbias, scratch):
    dtype, calls = str(x.dtype), []
    if op.pool:
        dy, before = scratch["gradient"], dy
        calls.append(bind_unpool(op.pool, op.activation == "relu", before, out, argmax, dy))
    elif op.activation:
        dy, before = scratch["gradient"], dy
        calls.append(relu_backward(None, before, out, dx=dy))
    by_channel = channel_gradient(op, dtype, x.shape)
    if dweight is not None and by_channel:
        calls.append(depthwise_gradient.bind(by_channel, x, dy, dweight, scratch))
        dweight = None
    if dweight is not None or dbias is not None:
        description = parameter_gradient(op, dtype, x.shape, dweight is not None, dbias is not None)
        calls.append(weight_gradient.bind(description, x, dy, dweight, dbias, scratch))
    if dx is not None:
        calls += _input_gradient_calls(op, dy, weight, dx, scratch)

    def run():
        for call in calls:
            call()

    return run


def _input_gradient_calls(op, dy, weight, dx, scratch):
    description, turned = input_gradient(op, str(dx.dtype), dx.shape), scratch["turned"]
    channels = Channels.of(op.groups, op.out_channels, dx.shape[3])
    turn = bind_turn(channels, description.phases, description.taps, weight, turned)
    if op.padding_mode != "circular":
        return turn, _bind(description, dy, turned, dx, None, scratch)
    bordered = scratch["bordered"]
    correlate = _bind(description, dy, turned, bordered, None, scratch)
    return turn, correlate, bind_unwrap(bordered, op.pads(dx.shape), dx)
