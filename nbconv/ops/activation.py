"""Activations: what they are. Kernels: ``<device>/activation.py``."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from .base import Layer, Shape
from .shapes import samples


@dataclass(frozen=True, repr=False)
class ReLU(Layer):
    """Replace negative values by zero; NaN stays NaN.

    ``ReLU()`` keeps every shape. The gradient at 0 is 0, as in PyTorch.
    """

    backward_reads: ClassVar = ("out",)

    def out_shape(self, x: Shape) -> Shape:
        return samples(x, self)

    def flops(self, x: Shape) -> int:
        return prod(x)

    def elements_moved(self, x: Shape) -> int:
        return 2 * prod(x)
