"""Convolution on arrays."""

from __future__ import annotations

import numpy as np

from ..ops.conv import Conv2d
from .call import Call, output_channels, zero_bias


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
):
    """Cross-correlate images with filters: (N, C, H, W), (K, C / groups, KH, KW), (K,) give (N, K, H', W').

    See ``nbconv.Conv2d`` for the options.
    """
    op = _conv(weight, bias is not None, stride, padding, dilation, groups, padding_mode, algorithm)
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
):
    """Return (dx, dweight, dbias) of ``conv2d``."""
    op = _conv(weight, True, stride, padding, dilation, groups, padding_mode, algorithm)
    return Call(op, device, data_format, x=x, weight=weight, bias=zero_bias(weight)).backward(dy)


def _conv(weight, bias: bool, stride, padding, dilation, groups, padding_mode, algorithm) -> Conv2d:
    filters, size = output_channels(weight, 4), np.shape(weight)[2:]
    return Conv2d(filters, size, stride, padding, dilation, groups, bias, padding_mode, algorithm=algorithm)
