"""Residual nets for small images."""

from __future__ import annotations

from collections.abc import Sequence

from ..engine.graph import input_symbol
from ..model import Model
from ..ops.activation import ReLU
from ..ops.base import Symbol
from ..ops.conv import Conv2d
from ..ops.linear import Linear
from ..ops.merge import Add
from ..ops.norm import BatchNorm
from ..ops.options import integer
from ..ops.pool import GlobalAvgPool2d
from .build import image_shape

STAGES = (16, 32, 64)
"""The channels of each stage; all but the first begin with a stride of 2."""


def ResNet8(input_shape: Sequence[int] | None = None, num_classes: int = 10, **options) -> Model:
    """Return the smallest of the residual nets for CIFAR: 7 convolutions in 3 blocks, a linear layer.

    ``model = nc.zoo.ResNet8(device="cpu", seed=0)`` maps (N, 3, 32, 32) to (N, 10) logits, with 78,042 parameters. It
    is a net of the benchmarks.

    Parameters
    ----------
    input_shape : (C, H, W), optional
        Of one image, in the model's ``data_format``; (3, 32, 32) by default. Any size will do.
    num_classes : int
        Number of logits.
    options
        Those of ``Model``: ``device``, ``seed``, ``dtype``, ...

    Raises
    ------
    OptionError, ShapeError
        If an option is out of range or the input no image.

    Notes
    -----
    He, Zhang, Ren & Sun, "Deep residual learning for image recognition" (2016), section 4.2, 6n + 2 layers with n = 1.
    Where a block makes the image smaller, its shortcut is a projection, as in the paper's option B: a 1x1 convolution
    with batch norm, 2,752 parameters in the two of them. The paper's nets for CIFAR have option A, a shortcut padded
    with zero channels, which has none.
    """
    return _resnet("ResNet8", 1, input_shape, num_classes, options)


def ResNet20(input_shape: Sequence[int] | None = None, num_classes: int = 10, **options) -> Model:
    """Return the residual net for CIFAR of 20 layers: 19 convolutions in 9 blocks, a linear layer.

    ``model = nc.zoo.ResNet20(device="cpu", seed=0)`` maps (N, 3, 32, 32) to (N, 10) logits, with 272,474 parameters:
    the 269,722 of the paper's net ("0.27M") and the 2,752 of its two projections. All else as for ``ResNet8``, n = 3.
    """
    return _resnet("ResNet20", 3, input_shape, num_classes, options)


def _resnet(net: str, blocks: int, input_shape, num_classes: int, options: dict) -> Model:
    data_format = options.get("data_format", "NCHW")
    shape = image_shape(net, input_shape, usual=(3, 32, 32), least=1, data_format=data_format)
    image = input_symbol(shape, data_format)
    x = ReLU()(_conv_norm(image, "stem", STAGES[0]))
    for i in range(blocks * len(STAGES)):
        stage, block = divmod(i, blocks)
        x = _residual(x, f"block{i}", STAGES[stage], stride=2 if stage and not block else 1)
    logits = Linear(integer(num_classes, "num_classes"), name="head")(GlobalAvgPool2d()(x))
    return Model(image, logits, **options)


def _residual(x: Symbol, name: str, channels: int, stride: int) -> Symbol:
    """Two convolutions, and a shortcut, which is a projection where the shape changes."""
    y = ReLU()(_conv_norm(x, f"{name}_1", channels, stride=stride))
    y = _conv_norm(y, f"{name}_2", channels)
    if stride > 1:
        x = _conv_norm(x, f"{name}_0", channels, kernel=1, stride=stride)
    return ReLU()(Add()(y, x))


def _conv_norm(x: Symbol, name: str, channels: int, *, kernel: int = 3, stride: int = 1) -> Symbol:
    conv = Conv2d(channels, kernel, stride, padding=kernel // 2, bias=False, name=f"{name}_conv")
    return BatchNorm(name=f"{name}_norm")(conv(x))
