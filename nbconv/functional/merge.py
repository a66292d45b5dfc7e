"""Joints of branches on arrays."""

from __future__ import annotations

from ..ops.merge import Add
from .call import Call


def add(x, other, device="cpu", data_format="NCHW"):
    """Add two arrays of the same shape."""
    return Call(Add(), device, data_format, x=x, other=other).forward()


def add_backward(dy, x, other, device="cpu", data_format="NCHW"):
    """Return (dx, dother) of ``add``: twice dy."""
    return Call(Add(), device, data_format, x=x, other=other).backward(dy)
