"""What computes a convolution and its gradients: the kernel that is asked for, or the one that is fastest.

Each kernel has a description, which is worked out once, when the kernel is bound: what it must know of strides, borders
and groups, and which buffers it needs. ``weights`` are the buffers of prepared weights, ``scratch`` all others.
"""

from __future__ import annotations

from functools import lru_cache

from . import (
    algorithms,
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
from .convolution import Convolution
from .depthwise import Depthwise
from .depthwise_gradient import DepthwiseGradient
from .fused_pool import pool_record
from .geometry import Axis, Channels, forward_axis, gradient_axis
from .im2col import Folded, Unrolled, UnrolledGradient
from .planar import Planar
from .planar_gradient import PlanarGradient
from .weight_gradient import WeightGradient
from .winograd import Winograd
from .winograd_gradient import WinogradGradient


@lru_cache
def forward_convolution(op, dtype, x_shape) -> Convolution | Depthwise | Planar | Winograd | Unrolled:
    """Describe y = conv(x), and what is fused to it."""
    result = op.conv_shape(x_shape)
    epilogue = {"relu": op.activation == "relu", "pool": pool_record(op.pool, result)}
    if op.algorithm == "im2col":
        return im2col.describe_forward(op, dtype, x_shape, **epilogue)
    axes, circular = _axes(op, x_shape, forward_axis), op.padding_mode == "circular"
    return _describe(op, dtype, x_shape, result, axes, circular=circular, **epilogue)


@lru_cache
def input_gradient(op, dtype, x_shape, relu=False) -> Convolution | Depthwise | Planar | Winograd | Folded:
    """Describe dx as a convolution of dy; where the border is circular, the gradient of x with its border.

    ``relu`` applies to the result, where it is that of a transposed convolution.
    """
    if op.algorithm == "im2col":
        return im2col.describe_input_gradient(op, dtype, x_shape, bordered_shape(op, x_shape))
    axes = _axes(op, x_shape, gradient_axis)
    return _describe(op, dtype, op.conv_shape(x_shape), bordered_shape(op, x_shape), axes, relu=relu)


def _describe(op, dtype, source, result, axes, **epilogue) -> Convolution | Depthwise | Planar | Winograd:
    """Describe a convolution from one shape to another, by the algorithm that is asked for or faster."""
    channels, (rows, columns) = Channels.of(op.groups, source[3], result[3]), axes
    description = convolution.describe(dtype, source, rows, columns, channels, result, op.kernel_size[1], **epilogue)
    if planar.serves(description) and op.algorithm != "winograd":
        return planar.describe(description, dtype)
    outputs = algorithms.winograd_forward(op, dtype, source, result)
    if outputs:
        channels = grouped(op, source[3], result[3])
        return winograd.describe(dtype, source, rows, columns, channels, result, outputs, **epilogue)
    return depthwise.describe(description, rows, columns) if depthwise.serves(description) else description


@lru_cache
def special_weight_gradient(
    op, dtype, x_shape
) -> WinogradGradient | DepthwiseGradient | PlanarGradient | UnrolledGradient | None:
    """Describe dweight by a kernel of its own, or return ``None`` where ``parameter_gradient`` computes it.

    A ``PlanarGradient`` is that of the bias, too.
    """
    if op.algorithm == "im2col":
        return im2col.describe_weight_gradient(op, dtype, x_shape)
    axes, circular = _axes(op, x_shape, forward_axis), op.padding_mode == "circular"
    outputs = algorithms.winograd_gradient(op, dtype, x_shape, op.conv_shape(x_shape))
    if outputs:
        channels = grouped(op, x_shape[3], op.out_channels)
        return winograd_gradient.describe(dtype, x_shape, *axes, channels, op.out_channels, outputs, circular=circular)
    channels = Channels.of(op.groups, x_shape[3], op.out_channels)
    if channels.depthwise and not circular:
        return depthwise_gradient.describe(dtype, x_shape, *axes, channels)
    if op.algorithm == "winograd":
        return None
    epilogue = {"relu": op.activation == "relu", "pool": pool_record(op.pool, op.conv_shape(x_shape))}
    return planar_gradient.describe(dtype, x_shape, *axes, channels, op.out_channels, circular=circular, **epilogue)


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


def grouped(op, source, results) -> Channels:
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
