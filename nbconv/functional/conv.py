"""Convolution on arrays."""

from __future__ import annotations

import numpy as np

from ..errors import ShapeError
from ..ops.conv import Conv2d
from ..ops.conv_transpose import ConvTranspose2d
from ..ops.options import integer
from .call import Call, like, output_channels, zero_bias


def conv2d(
    x,
    weight,
    bias=None,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    padding_mode="zeros",
    device="cpu",
    data_format="NCHW",
    algorithm="auto",
    flip=False,
):
    """Cross-correlate images with filters: (N, C, H, W), (K, C / groups, KH, KW), (K,) give (N, K, H', W').

    See ``nbconv.Conv2d`` for the options.
    """
    op = _conv(weight, bias is not None, stride, padding, dilation, groups, padding_mode, algorithm, flip)
    return Call(op, device, data_format, x=x, weight=weight, bias=bias).forward()


def conv2d_backward(
    dy,
    x,
    weight,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    padding_mode="zeros",
    device="cpu",
    data_format="NCHW",
    algorithm="auto",
    flip=False,
):
    """Return (dx, dweight, dbias) of ``conv2d``.

    ``conv2d_backward(dy, x, weight, padding=1)``: dy (8, 16, 32, 32), x (8, 3, 32, 32) and weight (16, 3, 3, 3) give dx
    (8, 3, 32, 32), dweight (16, 3, 3, 3) and dbias (16,).
    """
    op = _conv(weight, True, stride, padding, dilation, groups, padding_mode, algorithm, flip)
    return Call(op, device, data_format, x=x, weight=weight, bias=zero_bias(weight)).backward(dy)


def _conv(weight, bias: bool, stride, padding, dilation, groups, padding_mode, algorithm, flip) -> Conv2d:
    filters, size = output_channels(weight, 4), np.shape(weight)[2:]
    return Conv2d(filters, size, stride, padding, dilation, groups, bias, padding_mode, flip, algorithm=algorithm)


def conv_transpose2d(
    x,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
    device="cpu",
    data_format="NCHW",
    algorithm="auto",
):
    """Spread each pixel over a window: (N, C, H, W), (C, K / groups, KH, KW), (K,) give (N, K, H', W').

    See ``nbconv.ConvTranspose2d`` for the options.
    """
    op = _transposed(weight, bias is not None, stride, padding, output_padding, groups, dilation, algorithm)
    return Call(op, device, data_format, x=x, weight=weight, bias=bias).forward()


def conv_transpose2d_backward(
    dy,
    x,
    weight,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
    device="cpu",
    data_format="NCHW",
    algorithm="auto",
):
    """Return (dx, dweight, dbias) of ``conv_transpose2d``.

    ``conv_transpose2d_backward(dy, x, weight, stride=2)``: dy (8, 16, 28, 28), x (8, 32, 14, 14) and weight (32, 16, 2,
    2) give dx (8, 32, 14, 14), dweight (32, 16, 2, 2) and dbias (16,).
    """
    op = _transposed(weight, True, stride, padding, output_padding, groups, dilation, algorithm)
    bias = np.zeros(op.out_channels, like(weight, "weight").dtype)
    return Call(op, device, data_format, x=x, weight=weight, bias=bias).backward(dy)


def _transposed(weight, bias: bool, stride, padding, output_padding, groups, dilation, algorithm) -> ConvTranspose2d:
    shape = like(weight, "weight").shape
    if len(shape) != 4:
        raise ShapeError(f"weight must have shape (in_channels, out_channels / groups, height, width), got {shape}")
    filters = shape[1] * integer(groups, "groups")
    return ConvTranspose2d(
        *(filters, shape[2:], stride, padding, output_padding, groups, bias, dilation), algorithm=algorithm
    )
