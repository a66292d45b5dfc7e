"""A small net for the handwritten digits."""

from __future__ import annotations

from ..model import Sequential
from ..ops.activation import ReLU
from ..ops.conv import Conv2d
from ..ops.dropout import Dropout
from ..ops.linear import Linear
from ..ops.norm import BatchNorm
from ..ops.pool import MaxPool2d
from ..ops.reshape import Flatten
from .build import sequential


def digits_net(**options) -> Sequential:
    """Return a net for the handwritten digits: (N, 1, 8, 8) to (N, 10) logits.

    ``model = digits_net(device="cpu", seed=0)``. Two convolutions, each with batch norm, ReLU and pooling, and a linear
    layer behind dropout: 21,578 parameters. ``options`` are those of ``Model``.
    """
    layers = (*_block(32), *_block(64), Flatten(), Dropout(0.25), Linear(10))
    return sequential("digits_net", layers, None, usual=(1, 8, 8), least=4, **options)


def _block(channels: int):
    return Conv2d(channels, 3, padding="same"), BatchNorm(), ReLU(), MaxPool2d(2)
