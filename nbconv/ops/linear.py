"""The fully connected layer: what it is and which shapes it makes. Kernels: ``<device>/linear.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

from ..errors import ShapeError
from .base import Layer, Shape
from .conv import ACTIVATIONS
from .options import choice, flag, initializer, integer, settle


@dataclass(frozen=True, repr=False)
class Linear(Layer):
    """Multiply by a learned matrix and add a learned bias.

    ``Linear(10)`` maps (N, 512) to (N, 10).

    Parameters
    ----------
    out_features : int
        Size of the output; that of the input is inferred.
    bias : bool
        Whether to add one learned number per output.
    init : str or float
        Initial weights: a name of ``nbconv.train.initializers``, or the standard deviation of a normal distribution.
    activation
        Set by the engine's rewrites: a ReLU computed in the same kernel.

    Raises
    ------
    ShapeError
        When the graph is built on images: a ``Flatten`` is missing.
    """

    out_features: int
    bias: bool = True
    init: str | float = field(default="kaiming_normal", kw_only=True)
    activation: str | None = field(default=None, kw_only=True)

    params: ClassVar = ("weight", "bias")
    backward_reads: ClassVar = ("x", "weight", "out")
    uses_scratch: ClassVar = True
    canonical_axes: ClassVar = {"weight": (1, 0)}

    def __post_init__(self):
        super().__post_init__()
        settle(self, out_features=integer(self.out_features, "out_features"))
        settle(self, bias=flag(self.bias, "bias"), init=initializer(self.init))
        choice(self.activation, "activation", ACTIVATIONS)

    def out_shape(self, x: Shape) -> Shape:
        if len(x) != 2:
            raise ShapeError(
                f"Linear needs flat features, got samples of shape {tuple(x[1:])} (channels last); "
                f"put Flatten() or GlobalAvgPool2d() before it"
            )
        return x[0], self.out_features

    def param_shapes(self, x: Shape) -> dict[str, Shape]:
        """``weight`` (in, out) and ``bias`` (out,)."""
        shapes: dict[str, Shape] = {"weight": (x[1], self.out_features)}
        if self.bias:
            shapes["bias"] = (self.out_features,)
        return shapes

    def fans(self, x: Shape) -> tuple[int, int]:
        return x[1], self.out_features

    def reads_in_backward(self):
        return ("x", "weight", "out") if self.activation else ("x", "weight")

    def macs(self, x: Shape) -> int:
        return prod(self.out_shape(x)) * x[1]

    def flops(self, x: Shape) -> int:
        return 2 * self.macs(x) + prod(self.out_shape(x)) * (self.bias + bool(self.activation))

    def elements_moved(self, x: Shape) -> int:
        return prod(x) + prod(self.out_shape(x)) + sum(prod(s) for s in self.param_shapes(x).values())
