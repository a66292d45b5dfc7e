"""Joints of branches on arrays."""

from __future__ import annotations

from ..data.layout import channels_last
from ..errors import DataError
from ..ops.merge import Add, Concat
from .call import Call, like


def add(x, other, device="cpu", data_format="NCHW"):
    """Add two arrays of the same shape."""
    return Call(Add(), device, data_format, x=x, other=other).forward()


def add_backward(dy, x, other, device="cpu", data_format="NCHW"):
    """Return (dx, dother) of ``add``: twice dy.

    ``add_backward(dy, x, other)``: dy, x and other (8, 3, 32, 32) give dx and dother (8, 3, 32, 32).
    """
    return Call(Add(), device, data_format, x=x, other=other).backward(dy)


def concat(*arrays, device="cpu", data_format="NCHW"):
    """Join arrays along their channels: (N, C1, H, W) and (N, C2, H, W) give (N, C1 + C2, H, W)."""
    return _concat(arrays, device, data_format).forward()


def concat_backward(dy, *arrays, device="cpu", data_format="NCHW"):
    """Return the gradient of each array of ``concat``: the channels of dy that are its.

    ``concat_backward(dy, a, b)``: dy (8, 5, 32, 32), a (8, 3, 32, 32) and b (8, 2, 32, 32) give da (8, 3, 32, 32)
    and db (8, 2, 32, 32).
    """
    return _concat(arrays, device, data_format).backward(dy)


def _concat(arrays, device, data_format) -> Call:
    if len(arrays) < 2:
        raise DataError(f"concat takes two or more arrays, got {len(arrays)}; write concat(a, b), not concat([a, b])")
    shaped = [like(array, f"x{i}") for i, array in enumerate(arrays)]
    op = Concat().placed(*(channels_last(array, data_format).shape for array in shaped))
    return Call(op, device, data_format, **dict(zip(op.input_names(), arrays, strict=True)))
