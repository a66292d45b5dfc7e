"""Convolution on the CPU: what is computed by which kernel, and in which buffers.

Three kernels do it: ``convolve`` (forward, input gradient), ``sum_products`` (weight, bias gradient) and ``pack``.
They know nothing of an op: what they are told about strides, borders and groups is worked out when they are bound.
"""

from __future__ import annotations

from functools import lru_cache

from ..ops.base import Buffer
from . import (
    algorithms,
    convolution,
    depthwise,
    depthwise_gradient,
    im2col,
    weight_gradient,
    winograd,
    winograd_gradient,
)
from .activation import relu_backward
from .convolution import Convolution
from .depthwise import Depthwise
from .depthwise_gradient import DepthwiseGradient
from .fused_pool import pool_record
from .geometry import Axis, Channels, forward_axis, gradient_axis
from .im2col import Folded, Unrolled
from .packing import bind_prepare, bind_turn
from .unpool import bind_unpool
from .weight_gradient import WeightGradient
from .winograd import Winograd
from .winograd_gradient import WinogradGradient
from .winograd_weights import bind_transform
from .wrap import bind_unwrap


@lru_cache
def forward_convolution(op, dtype, x_shape) -> Convolution | Depthwise | Winograd | Unrolled:
    """Describe y = conv(x), and what is fused to it."""
    result = op.conv_shape(x_shape)
    epilogue = {"relu": op.activation == "relu", "pool": pool_record(op.pool, result)}
    if op.algorithm == "im2col":
        return im2col.describe_forward(op, dtype, x_shape, **epilogue)
    axes, circular = _axes(op, x_shape, forward_axis), op.padding_mode == "circular"
    return _describe(op, dtype, x_shape, result, axes, circular=circular, **epilogue)


@lru_cache
def input_gradient(op, dtype, x_shape) -> Convolution | Depthwise | Winograd | Folded:
    """Describe dx as a convolution of dy; where the border is circular, the gradient of x with its border."""
    if op.algorithm == "im2col":
        return im2col.describe_input_gradient(op, dtype, x_shape, bordered_shape(op, x_shape))
    axes = _axes(op, x_shape, gradient_axis)
    return _describe(op, dtype, op.conv_shape(x_shape), bordered_shape(op, x_shape), axes)


def _describe(op, dtype, source, result, axes, **epilogue) -> Convolution | Depthwise | Winograd:
    """Describe a convolution from one shape to another, by the algorithm that is asked for or faster."""
    outputs, (rows, columns) = algorithms.winograd_forward(op, dtype, source, result), axes
    if outputs:
        channels = _grouped(op, source[3], result[3])
        return winograd.describe(dtype, source, rows, columns, channels, result, outputs, **epilogue)
    channels = Channels.of(op.groups, source[3], result[3])
    description = convolution.describe(dtype, source, rows, columns, channels, result, op.kernel_size[1], **epilogue)
    return depthwise.describe(description, rows, columns) if depthwise.serves(description) else description


@lru_cache
def special_weight_gradient(op, dtype, x_shape) -> WinogradGradient | DepthwiseGradient | Unrolled | None:
    """Describe dweight by a kernel of its own, or return ``None`` where ``parameter_gradient`` computes it."""
    if op.algorithm == "im2col":
        return im2col.describe_weight_gradient(op, dtype, x_shape)
    axes, circular = _axes(op, x_shape, forward_axis), op.padding_mode == "circular"
    outputs = algorithms.winograd_gradient(op, dtype, x_shape, op.conv_shape(x_shape))
    if outputs:
        channels = _grouped(op, x_shape[3], op.out_channels)
        return winograd_gradient.describe(dtype, x_shape, *axes, channels, op.out_channels, outputs, circular=circular)
    channels = Channels.of(op.groups, x_shape[3], op.out_channels)
    if channels.depthwise and not circular:
        return depthwise_gradient.describe(dtype, x_shape, *axes, channels)
    return None


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


def _grouped(op, source, results) -> Channels:
    """Return the channels of algorithms to which depthwise is nothing special."""
    return Channels(op.groups, source // op.groups, results // op.groups, False)


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
    return forward_convolution(op, dtype, x_shape).weights


def prepare(op, weight, bias, *, scratch):
    if "transformed" in scratch:
        channels = _grouped(op, weight.shape[2] * op.groups, op.out_channels)
        return bind_transform(channels, weight, scratch["transformed"], scratch["filters"])
    depth = weight.shape[2]
    is_plain = op.algorithm == "im2col"
    channels = (
        _grouped(op, depth * op.groups, op.out_channels)
        if is_plain
        else Channels.of(op.groups, depth * op.groups, op.out_channels)
    )
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
    kernels = depthwise if isinstance(description, Depthwise) else convolution
    return kernels.bind(description, source, scratch["packed"], out, argmax, scratch)


def backward_scratch(op, dtype, x_shape):
    dx = input_gradient(op, dtype, x_shape)
    special = special_weight_gradient(op, dtype, x_shape)
    sums = parameter_gradient(op, dtype, x_shape, weight=special is None)
    buffers = _union(dx.weights, dx.scratch, special.scratch if special else {}, sums.scratch)
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
    calls = []
    if op.pool:
        dy, before = scratch["gradient"], dy
        calls.append(bind_unpool(op.pool, op.activation == "relu", before, out, argmax, dy))
    elif op.activation:
        dy, before = scratch["gradient"], dy
        calls.append(relu_backward(None, before, out, dx=dy))
    calls += _parameter_gradient_calls(op, dy, x, dweight, dbias, scratch)
    if dx is not None:
        calls += _input_gradient_calls(op, dy, weight, dx, scratch)

    def run():
        for call in calls:
            call()

    return run


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
    if isinstance(special, Unrolled):
        return im2col.bind_weight_gradient(special, x, dy, dweight, scratch)
    kernels = winograd_gradient if isinstance(special, WinogradGradient) else depthwise_gradient
    return kernels.bind(special, x, dy, dweight, scratch)


def _input_gradient_calls(op, dy, weight, dx, scratch):
    target = scratch["bordered"] if op.padding_mode == "circular" else dx
    description = input_gradient(op, str(dx.dtype), dx.shape)
    if isinstance(description, Winograd):
        filters = scratch["transformed"], scratch["filters"]
        turn = bind_transform(description.channels, weight, *filters, transposed=True)
    elif isinstance(description, Folded):
        channels, product = _grouped(op, op.out_channels, dx.shape[3]), description.product
        matrix = weight.reshape(1, 1, -1, op.out_channels)
        channels = channels._replace(columns=matrix.shape[2])
        turn = bind_turn(channels, product.phases, product.taps, matrix, scratch["packed"])
    else:
        channels = Channels.of(op.groups, op.out_channels, dx.shape[3])
        turn = bind_turn(channels, description.phases, description.taps, weight, scratch["packed"])
    calls = [turn, _bind(description, dy, weight, None, target, None, scratch, transposed=True)]
    return calls if target is dx else [*calls, bind_unwrap(target, op.pads(dx.shape), dx)]
