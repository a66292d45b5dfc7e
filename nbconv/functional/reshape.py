"""Changes of shape on arrays."""

from __future__ import annotations

from ..ops.reshape import Flatten
from .call import Call


def flatten(x, device="cpu", data_format="NCHW"):
    """Make one row of each sample, in the order channel, row, column: (N, C, H, W) gives (N, C * H * W)."""
    return Call(Flatten(), device, data_format, x=x).forward()


def flatten_backward(dy, x, device="cpu", data_format="NCHW"):
    """Return dx of ``flatten``.

    ``flatten_backward(dy, x)``: dy (8, 48) and x (8, 3, 4, 4) give dx (8, 3, 4, 4).
    """
    return Call(Flatten(), device, data_format, x=x).backward(dy)
