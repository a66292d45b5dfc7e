"""Penalties on parameters: what they are. Kernels: ``<device>/regularizer.py``."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from .base import Op, Shape
from .options import number, settle


@dataclass(frozen=True, repr=False)
class L2(Op):
    """The penalty 0.5 * reg * sum(param^2), in float64; its gradient, reg * param, is added to ``grad`` in place.

    Parameters and gradients come as two flat arrays, as for an optimiser. Where ``grad`` is ``None``, the penalty alone
    is computed. Where the penalty is not finite, the gradient becomes NaN. Raises ``OptionError`` for a negative
    ``reg``.
    """

    reg: float

    inputs: ClassVar = ("param", "grad")
    updates: ClassVar = ("grad",)
    differentiable: ClassVar = False
    uses_scratch: ClassVar = True
    out_dtype: ClassVar = "float64"

    def __post_init__(self):
        settle(self, reg=number(self.reg, "reg", least=0))

    def out_shape(self, param: Shape, grad: Shape) -> Shape:
        return (1,)

    def flops(self, param: Shape, grad: Shape) -> int:
        return 4 * prod(param)

    def elements_moved(self, param: Shape, grad: Shape) -> int:
        return 3 * prod(param)
