"""AlexNet."""

from __future__ import annotations

from collections.abc import Sequence

from ..model import Sequential
from ..ops.activation import ReLU
from ..ops.base import Layer
from ..ops.conv import Conv2d
from ..ops.dropout import Dropout
from ..ops.linear import Linear
from ..ops.options import integer
from ..ops.pool import MaxPool2d
from ..ops.reshape import Flatten
from .build import sequential


def AlexNet(
    input_shape: Sequence[int] | None = None,
    num_classes: int = 1000,
    hidden_dim: int = 4096,
    dropout: float = 0.5,
    **options,
) -> Sequential:
    """Return AlexNet in its "one weird trick" form: five convolutions, three pools, three linear layers.

    ``model = nc.zoo.AlexNet(device="cpu", seed=0)`` maps (N, 3, 224, 224) to (N, 1000) logits, with 61,100,840
    parameters: torchvision's ``alexnet``. Its total stride is 32.

    Parameters
    ----------
    input_shape : (C, H, W), optional
        Of one image, in the model's ``data_format``; (3, 224, 224) by default. It needs 63x63 pixels. The first linear
        layer has as many inputs as the last pool has outputs: there is no adaptive pooling.
    num_classes : int
        Number of logits.
    hidden_dim : int
        Outputs of the first two linear layers.
    dropout : float
        Probability of dropping a value before each of them.
    options
        Those of ``Model``: ``device``, ``seed``, ``dtype``, ...

    Raises
    ------
    OptionError, ShapeError
        If an option is out of range or the image too small.

    Notes
    -----
    Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014): 64, 192, 384, 256 and 256
    filters in one tower. The net of Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional
    neural networks" (2012), has 96, 256, 384, 384 and 256 in two towers, with response normalisation.
    """
    layers = alexnet_layers(num_classes, hidden_dim, dropout)
    return sequential("AlexNet", layers, input_shape, usual=(3, 224, 224), least=63, **options)


def alexnet_layers(num_classes: int, hidden_dim: int, dropout: float) -> tuple[Layer, ...]:
    """The layers of ``AlexNet``."""
    width = integer(hidden_dim, "hidden_dim")
    return (
        *(Conv2d(64, 11, stride=4, padding=2), ReLU(), MaxPool2d(3, stride=2)),
        *(Conv2d(192, 5, padding=2), ReLU(), MaxPool2d(3, stride=2)),
        *(Conv2d(384, 3, padding=1), ReLU()),
        *(Conv2d(256, 3, padding=1), ReLU()),
        *(Conv2d(256, 3, padding=1), ReLU(), MaxPool2d(3, stride=2)),
        *(Flatten(), Dropout(dropout), Linear(width), ReLU()),
        *(Dropout(dropout), Linear(width), ReLU()),
        Linear(integer(num_classes, "num_classes")),
    )
