"""Linear layers on arrays."""

from __future__ import annotations

from ..ops.linear import Linear
from .call import Call, output_channels, zero_bias


def linear(x, weight, bias=None, device="cpu"):
    """Multiply by a matrix and add a bias: (N, in), (out, in), (out,) give (N, out)."""
    op = Linear(output_channels(weight, 2), bias=bias is not None)
    return Call(op, device, x=x, weight=weight, bias=bias).forward()


def linear_backward(dy, x, weight, device="cpu"):
    """Return (dx, dweight, dbias) of ``linear``.

    ``linear_backward(dy, x, weight)``: dy (8, 10), x (8, 64) and weight (10, 64) give dx (8, 64), dweight (10, 64) and
    dbias (10,).
    """
    return Call(Linear(output_channels(weight, 2)), device, x=x, weight=weight, bias=zero_bias(weight)).backward(dy)
