"""Ops that join branches of a graph. Kernels: ``<device>/merge.py``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import ClassVar

from ..errors import OptionError, ShapeError
from .base import Layer, Shape
from .conv import ACTIVATIONS
from .options import choice, integer, settle
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
        choice(self.activation, "activation", ACTIVATIONS)

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


@dataclass(frozen=True, repr=False)
class Concat(Layer):
    """Join two or more values along their channels: the joint of a dense block, or of an encoder and its decoder.

    ``Concat()(a, b)`` maps (N, C1, H, W) and (N, C2, H, W) to (N, C1 + C2, H, W); (N, C1) and (N, C2) to (N, C1 + C2).
    The same value may come several times.

    ``channels``, how many each value has, is found when the layer is called, as ``in_channels`` of a convolution is.
    Raises ``ShapeError`` when the graph is built on shapes that differ in more than channels, and ``GraphError`` for
    fewer than two values.
    """

    channels: tuple[int, ...] = field(default=(), kw_only=True)

    variadic: ClassVar = True

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.channels, (tuple, list)) or len(self.channels) == 1:
            raise OptionError(
                f"channels must be the channels of two or more values, got {self.channels!r}; "
                f"leave it out, and call the layer on the values"
            )
        settle(self, channels=tuple(integer(count, "channels", least=0) for count in self.channels))

    def placed(self, *shapes: Shape) -> Concat:
        return replace(self, channels=self._channels(shapes))

    def input_names(self) -> tuple[str, ...]:
        return tuple(f"x{i}" for i in range(len(self.channels)))

    def out_shape(self, *shapes: Shape) -> Shape:
        if self._channels(shapes) != self.channels:
            raise ShapeError(f"{self!r} got values of {self._channels(shapes)} channels")
        first = shapes[0]
        for i, shape in enumerate(shapes):
            if shape[:-1] != first[:-1]:
                whole = 0 if shape[:1] != first[:1] else 1
                raise ShapeError(
                    f"Concat needs values that differ in channels alone, but value {i} has shape {shape[whole:]} "
                    f"and value 0 has {first[whole:]} (channels last); match them with padding, stride or Upsample"
                )
        return (*first[:-1], sum(self.channels))

    def _channels(self, shapes: tuple[Shape, ...]) -> tuple[int, ...]:
        return tuple(samples(shape, self)[-1] for shape in shapes)

    def elements_moved(self, *shapes: Shape) -> int:
        return 2 * sum(map(prod, shapes))

    def __repr__(self):
        shown = [f"channels={self.channels}"] * bool(self.channels) + [f"name={self.name!r}"] * bool(self.name)
        return f"Concat({', '.join(shown)})"
