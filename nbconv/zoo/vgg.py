"""VGG: convolutions of 3x3 pixels, and nothing else, down to a few pixels."""

from __future__ import annotations

from collections.abc import Sequence

from ..model import Sequential
from ..ops.activation import ReLU
from ..ops.base import Layer
from ..ops.conv import Conv2d
from ..ops.dropout import Dropout
from ..ops.linear import Linear
from ..ops.norm import BatchNorm
from ..ops.options import flag, integer
from ..ops.pool import MaxPool2d
from ..ops.reshape import Flatten
from .build import sequential

VGG11_FILTERS = ((64,), (128,), (256, 256), (512, 512), (512, 512))
VGG16_FILTERS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""The filters of each convolution; a pool follows each group."""


def VGG11(
    input_shape: Sequence[int] | None = None,
    num_classes: int = 1000,
    batchnorm: bool = False,
    hidden_dim: int = 4096,
    dropout: float = 0.5,
    **options,
) -> Sequential:
    """Return VGG with 8 convolutions and 3 linear layers, configuration A of the paper.

    ``model = nc.zoo.VGG11(device="cpu", seed=0)`` maps (N, 3, 224, 224) to (N, 1000) logits, with 132,863,336
    parameters (132,868,840 with batch norm): torchvision's ``vgg11`` and ``vgg11_bn``.

    Parameters
    ----------
    input_shape : (C, H, W), optional
        Of one image, in the model's ``data_format``; (3, 224, 224) by default. It needs 32x32 pixels. The first linear
        layer has as many inputs as the last pool has outputs: there is no adaptive pooling.
    num_classes : int
        Number of logits.
    batchnorm : bool
        Whether batch norm stands between each convolution and its ReLU.
    hidden_dim : int
        Outputs of the first two linear layers.
    dropout : float
        Probability of dropping a value behind each of them.
    options
        Those of ``Model``: ``device``, ``seed``, ``dtype``, ...

    Raises
    ------
    OptionError, ShapeError
        If an option is out of range or the image too small.

    Notes
    -----
    Simonyan & Zisserman, "Very deep convolutional networks for large-scale image recognition" (2015).
    """
    layers = vgg_layers(VGG11_FILTERS, num_classes, batchnorm, hidden_dim, dropout)
    return sequential("VGG11", layers, input_shape, usual=(3, 224, 224), least=32, **options)


def VGG16(
    input_shape: Sequence[int] | None = None,
    num_classes: int = 1000,
    batchnorm: bool = False,
    hidden_dim: int = 4096,
    dropout: float = 0.5,
    **options,
) -> Sequential:
    """Return VGG with 13 convolutions and 3 linear layers, configuration D of the paper.

    ``model = nc.zoo.VGG16(device="cpu", seed=0)`` maps (N, 3, 224, 224) to (N, 1000) logits, with 138,357,544
    parameters (138,365,992 with batch norm): torchvision's ``vgg16`` and ``vgg16_bn``. Options as for ``VGG11``.
    """
    layers = vgg_layers(VGG16_FILTERS, num_classes, batchnorm, hidden_dim, dropout)
    return sequential("VGG16", layers, input_shape, usual=(3, 224, 224), least=32, **options)


def vgg_layers(
    filters: Sequence[Sequence[int]], num_classes: int, batchnorm: bool, hidden_dim: int, dropout: float
) -> list[Layer]:
    """The layers of ``VGG11`` and ``VGG16``."""
    width = integer(hidden_dim, "hidden_dim")
    norm = (BatchNorm(),) if flag(batchnorm, "batchnorm") else ()
    layers: list[Layer] = []
    for group in filters:
        for count in group:
            layers += Conv2d(count, 3, padding=1), *norm, ReLU()
        layers.append(MaxPool2d(2))
    layers.append(Flatten())
    for _ in range(2):
        layers += Linear(width), ReLU(), Dropout(dropout)
    return [*layers, Linear(integer(num_classes, "num_classes"))]
