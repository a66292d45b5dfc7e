"""A small net for small colour images."""

from __future__ import annotations

from collections.abc import Sequence

from ..model import Sequential
from ..ops.activation import ReLU
from ..ops.conv import Conv2d
from ..ops.linear import Linear
from ..ops.norm import BatchNorm
from ..ops.options import integer
from ..ops.pool import MaxPool2d
from ..ops.reshape import Flatten
from .build import sequential


def CIFARNet(input_shape: Sequence[int] | None = None, num_classes: int = 10, **options) -> Sequential:
    """Return three times conv - batch norm - relu - 2x2 max pool, with 32, 64 and 128 filters, and a linear layer.

    ``model = nc.zoo.CIFARNet(device="cpu", seed=0)`` maps (N, 3, 32, 32) to (N, 10) logits, with 113,962 parameters.
    The convolutions are 3x3 and have no bias, which batch norm would take away. It is a net of the benchmarks.

    Parameters
    ----------
    input_shape : (C, H, W), optional
        Of one image, in the model's ``data_format``; (3, 32, 32) by default. It needs 8x8 pixels.
    num_classes : int
        Number of logits.
    options
        Those of ``Model``: ``device``, ``seed``, ``dtype``, ...

    Raises
    ------
    OptionError, ShapeError
        If an option is out of range or the image too small.
    """
    blocks = (
        (Conv2d(filters, 3, padding=1, bias=False), BatchNorm(), ReLU(), MaxPool2d(2)) for filters in (32, 64, 128)
    )
    layers = (*sum(blocks, ()), Flatten(), Linear(integer(num_classes, "num_classes")))
    return sequential("CIFARNet", layers, input_shape, usual=(3, 32, 32), least=8, **options)
