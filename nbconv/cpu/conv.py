"""Convolution on the CPU: what is computed with which kernel, and in which buffers.

All is done by three kernels, ``convolve`` (forward and input gradient), ``weight_gradient`` and ``pack``; what they are
told about strides, borders and groups is worked out here, when they are bound.
"""

from __future__ import annotations

from functools import cache

from ..ops.base import Buffer
from . import convolution
from .convolution import Convolution, describe
from .fused_pool import pool_record
from .geometry import Channels, forward_axis, gradient_axis
from .packing import bind_pack


@cache
def forward_convolution(op, dtype, x_shape) -> Convolution:
    """Describe y = conv(x), with what is fused to it."""
    return describe(
        dtype,
        x_shape,
        *_axes(op, x_shape, op.pads(x_shape), forward_axis),
        Channels.of(op.groups, x_shape[3], op.out_channels),
        op.conv_shape(x_shape),
        op.kernel_size[1],
        circular=op.padding_mode == "circular",
        relu=op.activation == "relu",
        pool=pool_record(op.pool, op.conv_shape(x_shape)),
    )


def _axes(op, x_shape, pads, axis):
    """Return both axes of a convolution or of its gradient."""
    counts = op.conv_shape(x_shape)[1:3]
    return [
        axis(size, kernel, stride, pad, dilation, count)
        for size, kernel, stride, pad, dilation, count in zip(
            x_shape[1:3], op.kernel_size, op.stride, pads[::2], op.dilation, counts, strict=True
        )
    ]


def prepared_shapes(op, dtype, x_shape):
    """The packed weights."""
    return {"packed": forward_convolution(op, dtype, x_shape).packed}


def forward_scratch(op, dtype, x_shape):
    """Strips and addresses of all workers."""
    return forward_convolution(op, dtype, x_shape).scratch


def conv2d(op, x, weight, bias, *, out, argmax, scratch):
    return convolution.bind(forward_convolution(op, str(x.dtype), x.shape), x, scratch["packed"], out, argmax, scratch)
