"""Losses: what they are. Kernels: ``<device>/loss.py``."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from ..errors import ShapeError
from .activation import Softmax
from .base import Buffer, Op, Shape


def check_labels(op: Op, x: Shape, labels: Shape) -> None:
    """Raise ``ShapeError`` unless there is one label per row of logits."""
    if len(x) < 2 or x[:-1] != labels:
        raise ShapeError(
            f"{type(op).__name__} needs one integer label per row of logits: "
            f"logits of shape {x} (classes last) need labels of shape {x[:-1]}, got {labels}"
        )


@dataclass(frozen=True, repr=False)
class CrossEntropy(Op):
    """Mean over the batch of -log softmax(logits)[label].

    ``CrossEntropy()`` maps logits (N, C) and labels (N,) to one number, in float64; (N, C, H, W) and (N, H, W) give the
    mean over all pixels. Labels are integers from 0 to C - 1. Where the loss is not finite, its gradient is NaN, so
    that no optimiser follows it.
    """

    inputs: ClassVar = ("x", "labels")
    integer_inputs: ClassVar = ("labels",)
    saved: ClassVar = ("probabilities",)
    backward_reads: ClassVar = ("labels", "out", "probabilities")
    uses_scratch: ClassVar = True
    out_dtype: ClassVar = "float64"
    includes: ClassVar = (Softmax,)

    def out_shape(self, x: Shape, labels: Shape) -> Shape:
        check_labels(self, x, labels)
        return (1,)

    def saved_shapes(self, x: Shape, labels: Shape) -> dict[str, Buffer]:
        return {"probabilities": Buffer(x, "float")}

    def flops(self, x: Shape, labels: Shape) -> int:
        """Maximum, difference, exponential, sum and quotient of each logit."""
        return 5 * prod(x)

    def elements_moved(self, x: Shape, labels: Shape) -> int:
        return 2 * prod(x) + prod(labels)
