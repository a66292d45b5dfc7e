"""Ops that join branches of a graph. Kernels: ``<device>/merge.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

from ..errors import OptionError, ShapeError
from .base import Layer, Shape
from .conv import ACTIVATIONS
from .shapes import samples


@dataclass(frozen=True, repr=False)
class Add(Layer):
    """Add two values of the same shape: the joint of a residual block.

    ``Add()(y, x)`` maps two (N, C, H, W) to (N, C, H, W). Raises ``ShapeError`` when the graph is built on two shapes
    that differ: nothing is broadcast. ``activation`` is set by the engine's rewrites: a ReLU in the same kernel.
    """

    activation: str | None = field(default=None, kw_only=True)

    inputs: ClassVar = ("x", "other")
    backward_reads: ClassVar = ("out",)

    def __post_init__(self):
        super().__post_init__()
        if self.activation not in ACTIVATIONS:
            raise OptionError(f"activation must be one of {ACTIVATIONS}, got {self.activation!r}")

    def reads_in_backward(self):
        return ("out",) if self.activation else ()

    def out_shape(self, x: Shape, other: Shape) -> Shape:
        if x != other:
            raise ShapeError(
                f"Add needs two equal shapes, got {tuple(x[1:])} and {tuple(other[1:])} (channels last); "
                f"match them with a Conv2d of kernel 1 on the shortcut, padding, or stride"
            )
        return samples(x, self)

    def flops(self, x: Shape, other: Shape) -> int:
        return prod(x) * (2 if self.activation else 1)

    def elements_moved(self, x: Shape, other: Shape) -> int:
        return 3 * prod(x)
