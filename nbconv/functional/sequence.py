"""Convolution and pooling of sequences on arrays."""

from __future__ import annotations

import numpy as np

from ..ops.sequence import AvgPool1d, Conv1d, GlobalAvgPool1d, MaxPool1d
from .call import Call, output_channels, zero_bias


def conv1d(
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
    """Cross-correlate sequences with filters: (N, C, L), (K, C / groups, KW), (K,) give (N, K, L').

    See ``nbconv.Conv1d`` for the options.
    """
    op = _conv(weight, bias is not None, stride, padding, dilation, groups, padding_mode, algorithm, flip)
    return Call(op, device, data_format, x=x, weight=weight, bias=bias).forward()


def conv1d_backward(
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
    """Return (dx, dweight, dbias) of ``conv1d``.

    ``conv1d_backward(dy, x, weight, padding=2)``: dy (8, 16, 100), x (8, 3, 100) and weight (16, 3, 5) give dx (8, 3,
    100), dweight (16, 3, 5) and dbias (16,).
    """
    op = _conv(weight, True, stride, padding, dilation, groups, padding_mode, algorithm, flip)
    return Call(op, device, data_format, x=x, weight=weight, bias=zero_bias(weight)).backward(dy)


def _conv(weight, bias: bool, stride, padding, dilation, groups, padding_mode, algorithm, flip) -> Conv1d:
    filters, size = output_channels(weight, 3), np.shape(weight)[2]
    return Conv1d(filters, size, stride, padding, dilation, groups, bias, padding_mode, flip, algorithm=algorithm)


def max_pool1d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, device="cpu", data_format="NCHW"):
    """Take the maximum of each window: (N, C, L) gives (N, C, L'). See ``nbconv.MaxPool1d``."""
    return Call(MaxPool1d(kernel_size, stride, padding, dilation, ceil_mode), device, data_format, x=x).forward()


def max_pool1d_backward(
    dy, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, device="cpu", data_format="NCHW"
):
    """Return dx of ``max_pool1d``: each window's gradient goes to its winner.

    ``max_pool1d_backward(dy, x, 2)``: dy (8, 3, 50) and x (8, 3, 100) give dx (8, 3, 100).
    """
    return Call(MaxPool1d(kernel_size, stride, padding, dilation, ceil_mode), device, data_format, x=x).backward(dy)


def avg_pool1d(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, device="cpu", data_format="NCHW"
):
    """Take the mean of each window: (N, C, L) gives (N, C, L'). See ``nbconv.AvgPool1d``."""
    op = AvgPool1d(kernel_size, stride, padding, ceil_mode, count_include_pad)
    return Call(op, device, data_format, x=x).forward()


def avg_pool1d_backward(
    dy,
    x,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    device="cpu",
    data_format="NCHW",
):
    """Return dx of ``avg_pool1d``: each window's gradient is spread over its values.

    ``avg_pool1d_backward(dy, x, 2)``: dy (8, 3, 50) and x (8, 3, 100) give dx (8, 3, 100).
    """
    op = AvgPool1d(kernel_size, stride, padding, ceil_mode, count_include_pad)
    return Call(op, device, data_format, x=x).backward(dy)


def global_avg_pool1d(x, device="cpu", data_format="NCHW"):
    """Take the mean of each channel: (N, C, L) gives (N, C)."""
    return Call(GlobalAvgPool1d(), device, data_format, x=x).forward()


def global_avg_pool1d_backward(dy, x, device="cpu", data_format="NCHW"):
    """Return dx of ``global_avg_pool1d``.

    ``global_avg_pool1d_backward(dy, x)``: dy (8, 3) and x (8, 3, 100) give dx (8, 3, 100).
    """
    return Call(GlobalAvgPool1d(), device, data_format, x=x).backward(dy)
