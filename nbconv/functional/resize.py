"""Borders and enlargement on arrays."""

from __future__ import annotations

from ..ops.resize import Pad2d, Upsample
from .call import Call


def pad2d(x, padding, mode="zeros", device="cpu", data_format="NCHW"):
    """Put a border round images: (N, C, H, W) gives (N, C, H', W'). See ``nbconv.Pad2d``."""
    return Call(Pad2d(padding, mode), device, data_format, x=x).forward()


def pad2d_backward(dy, x, padding, mode="zeros", device="cpu", data_format="NCHW"):
    """Return dx of ``pad2d``: each pixel adds up the gradients of its copies.

    ``pad2d_backward(dy, x, 1)``: dy (8, 3, 34, 34) and x (8, 3, 32, 32) give dx (8, 3, 32, 32).
    """
    return Call(Pad2d(padding, mode), device, data_format, x=x).backward(dy)


def upsample(x, scale_factor, device="cpu", data_format="NCHW"):
    """Repeat each pixel: (N, C, H, W) gives (N, C, H * height, W * width). See ``nbconv.Upsample``."""
    return Call(Upsample(scale_factor), device, data_format, x=x).forward()


def upsample_backward(dy, x, scale_factor, device="cpu", data_format="NCHW"):
    """Return dx of ``upsample``: each pixel adds up the gradients of its copies.

    ``upsample_backward(dy, x, 2)``: dy (8, 3, 28, 28) and x (8, 3, 14, 14) give dx (8, 3, 14, 14).
    """
    return Call(Upsample(scale_factor), device, data_format, x=x).backward(dy)
