"""Losses: what they are. Kernels: ``<device>/loss.py``.

A loss compares the net's output ``x`` with ``labels``, one integer per row, or with a ``target``, one number per
element. It is one number, in float64. Where it is not finite, its gradient is NaN, so that no optimiser follows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, prod
from typing import ClassVar

import numpy as np

from ..errors import OptionError, ShapeError
from .activation import Sigmoid, Softmax
from .base import Buffer, Op, Shape
from .options import number, settle


def check_labels(op: Op, x: Shape, labels: Shape) -> None:
    """Raise ``ShapeError`` unless there is one label per row of logits."""
    if len(x) < 2 or x[:-1] != labels:
        raise ShapeError(
            f"{type(op).__name__} needs one integer label per row of logits: "
            f"logits of shape {x} (classes last) need labels of shape {x[:-1]}, got {labels}"
        )


def check_target(op: Op, x: Shape, target: Shape) -> None:
    """Raise ``ShapeError`` unless there is one target per element of the output."""
    if x != target:
        raise ShapeError(
            f"{type(op).__name__} needs one target per element: "
            f"an output of shape {x} needs targets of the same shape, got {target}"
        )


@dataclass(frozen=True, repr=False)
class Loss(Op):
    """What losses share."""

    uses_scratch: ClassVar = True
    out_dtype: ClassVar = "float64"
    target_range: ClassVar[tuple[float, float]] = (-inf, inf)
    """The least and the largest target that makes sense."""

    def nonfinite_mend(self) -> str:
        """What to do where training met a NaN or an infinity."""
        return "try a smaller lr or clip_norm=1.0"

    def out_shape(self, x: Shape, given: Shape) -> Shape:
        (check_labels if "labels" in self.inputs else check_target)(self, x, given)
        return (1,)


@dataclass(frozen=True, repr=False)
class CrossEntropy(Loss):
    """Mean over the batch of -log softmax(logits)[label].

    ``CrossEntropy()`` maps logits (N, C) and labels (N,) to one number, in float64; (N, C, H, W) and (N, H, W) give the
    mean over all pixels. Labels are integers from 0 to C - 1.

    With both options it is PyTorch's formula: a row's loss is -sum(q * log softmax(logits)), where
    q[c] = weight[c] * (label_smoothing / C + (1 - label_smoothing) * (c == label)), and the sum over rows is divided by
    the sum of the labels' weights. Where the labels of a batch all have weight 0, that sum is 0: the loss is NaN, or
    infinite with ``label_smoothing``, as in PyTorch, and training stops with ``NonFiniteError``.

    Parameters
    ----------
    label_smoothing : float
        The share of a label that is spread evenly over all classes, from 0 to 1 (Szegedy et al., 2016).
    weight : list, tuple or 1-D array, optional
        How much each class counts: one number per class in the order of the classes, zero or more.

    Raises
    ------
    OptionError
        For an option out of range.
    ShapeError
        Where there is not one weight per class.
    """

    label_smoothing: float = field(default=0.0, kw_only=True)
    weight: tuple[float, ...] | None = field(default=None, kw_only=True)

    inputs: ClassVar = ("x", "labels")
    integer_inputs: ClassVar = ("labels",)
    includes: ClassVar = (Softmax,)
    saved: ClassVar = ("probabilities", "weight_sum")
    backward_reads: ClassVar = ("labels", "out", "probabilities", "weight_sum")

    def __post_init__(self):
        settle(self, label_smoothing=number(self.label_smoothing, "label_smoothing", least=0, most=1))
        if self.weight is not None:
            settle(self, weight=_class_weights(self.weight))

    def nonfinite_mend(self) -> str:
        usual = super().nonfinite_mend()
        if self.weight is None or all(self.weight):
            return usual
        return (
            f"where all labels of a batch have weight 0, there is no loss: use a larger batch_size, or a small weight "
            f"for 0 in {self.weight}; else {usual}"
        )

    def out_shape(self, x: Shape, labels: Shape) -> Shape:
        out = super().out_shape(x, labels)
        if self.weight is not None and len(self.weight) != x[-1]:
            raise ShapeError(
                f"CrossEntropy has weights for {len(self.weight)} classes, but there are {x[-1]} logits per row; "
                f"pass one weight per class"
            )
        return out

    def saved_shapes(self, x: Shape, labels: Shape) -> dict[str, Buffer]:
        return {"probabilities": Buffer(x, "float"), "weight_sum": Buffer((1,), "float64")}

    def flops(self, x: Shape, labels: Shape) -> int:
        """Maximum, difference, exponential, sum and quotient of each logit."""
        return 5 * prod(x)

    def elements_moved(self, x: Shape, labels: Shape) -> int:
        return 2 * prod(x) + prod(labels)


def _class_weights(weight) -> tuple[float, ...]:
    if not isinstance(weight, (tuple, list, np.ndarray)) or getattr(weight, "ndim", 1) != 1:
        raise OptionError(
            f"weight must be one number per class, got {weight!r}; pass a list with one weight per class, such as "
            f"[1, 5, 1]"
        )
    weights = tuple(number(value, "each weight", least=0) for value in weight)
    if not any(weights):
        raise OptionError(f"weight must have a class that counts, got {weight!r}; give one of them a positive weight")
    return weights


@dataclass(frozen=True, repr=False)
class Hinge(Loss):
    """The multiclass support vector machine's loss (Weston & Watkins, 1999; CS231n).

    ``Hinge()`` maps scores (N, C) and labels (N,) to one number: the mean over rows of the sum over all other classes j
    of max(0, x[j] - x[label] + margin). (N, C, H, W) and (N, H, W) give the mean over all pixels. PyTorch's
    ``MultiMarginLoss`` is this divided by C.

    Each margin above zero adds 1 to the gradient of its score and -1 to that of the label's, over the number of rows; a
    margin of exactly zero adds none. Raises ``OptionError`` for a margin that is not positive.
    """

    margin: float = 1.0

    inputs: ClassVar = ("x", "labels")
    integer_inputs: ClassVar = ("labels",)
    backward_reads: ClassVar = ("x", "labels", "out")

    def __post_init__(self):
        settle(self, margin=number(self.margin, "margin", above=0))

    def flops(self, x: Shape, labels: Shape) -> int:
        """Difference, margin, maximum and sum of each score."""
        return 4 * prod(x)

    def elements_moved(self, x: Shape, labels: Shape) -> int:
        return prod(x) + prod(labels)


@dataclass(frozen=True, repr=False)
class MSE(Loss):
    """Mean over all elements of (x - target)^2.

    ``MSE()`` maps an output of any shape (N, ...) and targets of the same shape to one number.
    """

    inputs: ClassVar = ("x", "target")
    constants: ClassVar = ("target",)
    backward_reads: ClassVar = ("x", "target", "out")

    def flops(self, x: Shape, target: Shape) -> int:
        return 3 * prod(x)

    def elements_moved(self, x: Shape, target: Shape) -> int:
        return 2 * prod(x)


@dataclass(frozen=True, repr=False)
class BCEWithLogits(Loss):
    """Mean over all elements of the binary cross entropy of sigmoid(x) and a target from 0 to 1.

    ``BCEWithLogits()`` maps logits of any shape (N, ...) and targets of the same shape to one number, computed as
    max(x, 0) - x * target + log1p(exp(-|x|)), which no logit overflows. The gradient is (sigmoid(x) - target) / size.
    An infinite logit has an infinite loss, or NaN where the target is the one that it is sure of.
    """

    includes: ClassVar = (Sigmoid,)
    inputs: ClassVar = ("x", "target")
    constants: ClassVar = ("target",)
    saved: ClassVar = ("probabilities",)
    backward_reads: ClassVar = ("target", "out", "probabilities")
    target_range: ClassVar = (0.0, 1.0)

    def saved_shapes(self, x: Shape, target: Shape) -> dict[str, Buffer]:
        return {"probabilities": Buffer(x, "float")}

    def flops(self, x: Shape, target: Shape) -> int:
        """Maximum, product, difference, exponential, logarithm and two sums of each logit; sum and quotient."""
        return 9 * prod(x)

    def elements_moved(self, x: Shape, target: Shape) -> int:
        return 3 * prod(x)
