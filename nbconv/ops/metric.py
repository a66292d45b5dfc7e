"""Metrics: numbers to watch, through which no gradient flows. Kernels: ``<device>/metric.py``."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from .base import Op, Shape
from .loss import check_labels, check_target


@dataclass(frozen=True, repr=False)
class Accuracy(Op):
    """Share of rows whose largest logit is the label's; the first of equals counts, and NaN is never right.

    ``Accuracy()`` maps logits (N, C) and labels (N,) to one number from 0 to 1, in float64.
    """

    inputs: ClassVar = ("x", "labels")
    integer_inputs: ClassVar = ("labels",)
    differentiable: ClassVar = False
    uses_scratch: ClassVar = True
    out_dtype: ClassVar = "float64"

    def out_shape(self, x: Shape, labels: Shape) -> Shape:
        check_labels(self, x, labels)
        return (1,)

    def flops(self, x: Shape, labels: Shape) -> int:
        return prod(x)

    def elements_moved(self, x: Shape, labels: Shape) -> int:
        return prod(x) + prod(labels)


@dataclass(frozen=True, repr=False)
class BinaryAccuracy(Op):
    """Share of elements on the right side: positive logits where the target is above 0.5; NaN is never right.

    ``BinaryAccuracy()`` maps logits (N, ...) and targets of the same shape to one number from 0 to 1, in float64.
    """

    inputs: ClassVar = ("x", "target")
    constants: ClassVar = ("target",)
    differentiable: ClassVar = False
    uses_scratch: ClassVar = True
    out_dtype: ClassVar = "float64"

    def out_shape(self, x: Shape, target: Shape) -> Shape:
        check_target(self, x, target)
        return (1,)

    def flops(self, x: Shape, target: Shape) -> int:
        return 2 * prod(x)

    def elements_moved(self, x: Shape, target: Shape) -> int:
        return 2 * prod(x)
