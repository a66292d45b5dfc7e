"""Linear layers on arrays."""

from __future__ import annotations

from ..ops.linear import Linear
from .call import Call, output_channels, zero_bias


def linear(x, weight, bias=None, device="cpu"):
    """Multiply by a matrix and add a bias: (N, in), (out, in), (out,) give (N, out)."""
    op = Linear(output_channels(weight, 2), bias=bias is not None)
    return Call(op, device, x=x, weight=weight, bias=bias).forward()


def linear_backward(dy, x, weight, device="cpu"):
    """Return (dx, dweight, dbias) of ``linear``."""
    return Call(Linear(output_channels(weight, 2)), device, x=x, weight=weight, bias=zero_bias(weight)).backward(dy)
