"""LeNet-5."""

from __future__ import annotations

from collections.abc import Sequence

from ..model import Sequential
from ..ops.activation import ReLU
from ..ops.conv import Conv2d
from ..ops.linear import Linear
from ..ops.options import integer
from ..ops.pool import MaxPool2d
from ..ops.reshape import Flatten
from .build import sequential


def LeNet5(input_shape: Sequence[int] | None = None, num_classes: int = 10, **options) -> Sequential:
    """Return LeNet-5 as it is built today: two 5x5 convolutions with pools, three linear layers.

    ``model = nc.zoo.LeNet5(device="cpu", seed=0)`` maps (N, 1, 28, 28) to (N, 10) logits, with 61,706 parameters.

    Parameters
    ----------
    input_shape : (C, H, W), optional
        Of one image, in the model's ``data_format``; (1, 28, 28) by default. A border of 2 makes 32x32 of it, as in the
        paper. It needs 12x12 pixels.
    num_classes : int
        Number of logits.
    options
        Those of ``Model``: ``device``, ``seed``, ``dtype``, ...

    Raises
    ------
    OptionError, ShapeError
        If an option is out of range or the image too small.

    Notes
    -----
    LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document recognition" (1998), with ReLU and max
    pooling for their scaled tanh and trained subsampling, all maps connected in the second convolution (theirs has a
    table of 60 of the 96 connections, and 60,000 parameters in all), and a linear layer at the end.
    """
    layers = (
        *(Conv2d(6, 5, padding=2), ReLU(), MaxPool2d(2)),
        *(Conv2d(16, 5), ReLU(), MaxPool2d(2)),
        *(Flatten(), Linear(120), ReLU(), Linear(84), ReLU()),
        Linear(integer(num_classes, "num_classes")),
    )
    return sequential("LeNet5", layers, input_shape, usual=(1, 28, 28), least=12, **options)
