"""Ops that move values and compute nothing. Kernels: ``<device>/reshape.py``."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from .base import Layer, Shape
from .shapes import samples


@dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """Make one row of features of each sample, in PyTorch's order: channel, then row, then column.

    ``Flatten()`` maps (N, C, H, W) to (N, C * H * W). Inside, images are channels last, so that this is a transpose:
    the ``Linear`` behind it has the weights that PyTorch's would have.
    """

    def out_shape(self, x: Shape) -> Shape:
        n, *sizes = samples(x, self)
        return n, prod(sizes)

    def elements_moved(self, x: Shape) -> int:
        return 2 * prod(x)
