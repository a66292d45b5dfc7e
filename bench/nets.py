"""The nets that are measured, in nbconv. ``torch_nets.py`` and ``jax_nets.py`` have the same in the rivals' own terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import nbconv as nc

CLASSES = 10


class Net(NamedTuple):
    """A net: what builds it, the (C, H, W) of its images and the batch size that it is trained with."""

    build: Callable[..., nc.Model]
    image: tuple[int, int, int]
    batch: int


def digits(**options) -> nc.Model:
    """One convolution of 8 filters: ``digits(device="cpu")`` maps (N, 8, 8, 1) to (N, 10), as all nets here do."""
    return _chain((8, 8, 1), nc.Conv2d(8, 3, padding=1), nc.ReLU(), nc.MaxPool2d(2), **options)


def lenet(**options) -> nc.Model:
    """Two convolutions of 8 and 16 filters, for 28x28 images."""
    return _chain(
        (28, 28, 1),
        *(nc.Conv2d(8, 3, padding=1), nc.ReLU(), nc.MaxPool2d(2)),
        *(nc.Conv2d(16, 3, padding=1), nc.ReLU(), nc.MaxPool2d(2)),
        **options,
    )


def cifar(**options) -> nc.Model:
    """Three times convolution, batch norm, ReLU, pool, with 32, 64 and 128 filters, for 32x32 colour images."""
    layers = [layer for channels in (32, 64, 128) for layer in (*_conv_norm(channels), nc.ReLU(), nc.MaxPool2d(2))]
    return _chain((32, 32, 3), *layers, **options)


def resnet8(**options) -> nc.Model:
    """The smallest of the ResNets for CIFAR (He et al., 2016, section 4.2, n = 1): 16, 32 and 64 channels."""
    image = nc.Input((3, 32, 32))
    conv, norm = _conv_norm(16, name="stem")
    x = nc.ReLU()(norm(conv(image)))
    for i, (channels, stride) in enumerate(((16, 1), (32, 2), (64, 2))):
        x = _residual(x, f"block{i}", channels, stride)
    x = nc.Linear(CLASSES, name="head")(nc.GlobalAvgPool2d()(x))
    return nc.Model(image, x, data_format="NHWC", **options)


def _residual(x, name: str, channels: int, stride: int):
    """Two convolutions and a shortcut, which is a convolution of one pixel where the shape changes."""
    conv, norm = _conv_norm(channels, stride=stride, name=f"{name}_1")
    y = nc.ReLU()(norm(conv(x)))
    conv, norm = _conv_norm(channels, name=f"{name}_2")
    y = norm(conv(y))
    if stride > 1:
        conv, norm = _conv_norm(channels, kernel=1, stride=stride, name=f"{name}_0")
        x = norm(conv(x))
    return nc.ReLU()(nc.Add()(y, x))


def _conv_norm(channels: int, *, kernel: int = 3, stride: int = 1, name: str | None = None):
    names = (f"{name}_conv", f"{name}_norm") if name else (None, None)
    conv = nc.Conv2d(channels, kernel, stride, padding=kernel // 2, bias=False, name=names[0])
    return conv, nc.BatchNorm(name=names[1])


def _chain(shape, *layers, **options) -> nc.Model:
    return nc.Sequential(*layers, nc.Flatten(), nc.Linear(CLASSES), input_shape=shape, data_format="NHWC", **options)


NETS = {
    "digits": Net(digits, (1, 8, 8), 32),
    "lenet": Net(lenet, (1, 28, 28), 64),
    "cifar": Net(cifar, (3, 32, 32), 64),
    "resnet8": Net(resnet8, (3, 32, 32), 64),
}
