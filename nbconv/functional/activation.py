"""Activations on arrays."""

from __future__ import annotations

from ..ops.activation import ReLU
from .call import Call


def relu(x, device="cpu", data_format="NCHW"):
    """Replace negative values by zero; any (N, C, H, W) or (N, C)."""
    return Call(ReLU(), device, data_format, x=x).forward()


def relu_backward(dy, x, device="cpu", data_format="NCHW"):
    """Return dx of ``relu``: dy where x is positive (or NaN)."""
    return Call(ReLU(), device, data_format, x=x).backward(dy)
