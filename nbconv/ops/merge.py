"""Ops that join branches of a graph. Kernels: ``<device>/merge.py``."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from ..errors import ShapeError
from .base import Layer, Shape
from .shapes import samples


@dataclass(frozen=True, repr=False)
class Add(Layer):
    """Add two values of the same shape: the joint of a residual block.

    ``Add()(y, x)`` maps two (N, C, H, W) to (N, C, H, W). Raises ``ShapeError`` when the graph is built on two shapes
    that differ: nothing is broadcast.
    """

    inputs: ClassVar = ("x", "other")

    def out_shape(self, x: Shape, other: Shape) -> Shape:
        if x != other:
            raise ShapeError(
                f"Add needs two equal shapes, got {tuple(x[1:])} and {tuple(other[1:])} (channels last); "
                f"match them with a Conv2d of kernel 1 on the shortcut, padding, or stride"
            )
        return samples(x, self)

    def flops(self, x: Shape, other: Shape) -> int:
        return prod(x)

    def elements_moved(self, x: Shape, other: Shape) -> int:
        return 3 * prod(x)
