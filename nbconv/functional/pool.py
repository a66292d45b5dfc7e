"""Pooling on arrays."""

from __future__ import annotations

from ..ops.pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from .call import Call


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, device="cpu", data_format="NCHW"):
    """Take the maximum of each window: (N, C, H, W) gives (N, C, H', W'). See ``nbconv.MaxPool2d``."""
    return Call(MaxPool2d(kernel_size, stride, padding, dilation, ceil_mode), device, data_format, x=x).forward()


def max_pool2d_backward(
    dy, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, device="cpu", data_format="NCHW"
):
    """Return dx of ``max_pool2d``: each window's gradient goes to its winner.

    ``max_pool2d_backward(dy, x, 2)``: dy (8, 3, 14, 14) and x (8, 3, 28, 28) give dx (8, 3, 28, 28).
    """
    return Call(MaxPool2d(kernel_size, stride, padding, dilation, ceil_mode), device, data_format, x=x).backward(dy)


def avg_pool2d(
    x,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
    device="cpu",
    data_format="NCHW",
):
    """Take the mean of each window: (N, C, H, W) gives (N, C, H', W'). See ``nbconv.AvgPool2d``."""
    op = AvgPool2d(kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return Call(op, device, data_format, x=x).forward()


def avg_pool2d_backward(
    dy,
    x,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
    device="cpu",
    data_format="NCHW",
):
    """Return dx of ``avg_pool2d``: each window's gradient is spread over its pixels.

    ``avg_pool2d_backward(dy, x, 2)``: dy (8, 3, 14, 14) and x (8, 3, 28, 28) give dx (8, 3, 28, 28).
    """
    op = AvgPool2d(kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return Call(op, device, data_format, x=x).backward(dy)


def global_avg_pool2d(x, device="cpu", data_format="NCHW"):
    """Take the mean of each channel: (N, C, H, W) gives (N, C)."""
    return Call(GlobalAvgPool2d(), device, data_format, x=x).forward()


def global_avg_pool2d_backward(dy, x, device="cpu", data_format="NCHW"):
    """Return dx of ``global_avg_pool2d``.

    ``global_avg_pool2d_backward(dy, x)``: dy (8, 3) and x (8, 3, 28, 28) give dx (8, 3, 28, 28).
    """
    return Call(GlobalAvgPool2d(), device, data_format, x=x).backward(dy)


def global_max_pool2d(x, device="cpu", data_format="NCHW"):
    """Take the maximum of each channel: (N, C, H, W) gives (N, C)."""
    return Call(GlobalMaxPool2d(), device, data_format, x=x).forward()


def global_max_pool2d_backward(dy, x, device="cpu", data_format="NCHW"):
    """Return dx of ``global_max_pool2d``: each channel's gradient goes to its winner.

    ``global_max_pool2d_backward(dy, x)``: dy (8, 3) and x (8, 3, 28, 28) give dx (8, 3, 28, 28).
    """
    return Call(GlobalMaxPool2d(), device, data_format, x=x).backward(dy)
