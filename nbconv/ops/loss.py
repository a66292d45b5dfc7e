"""Losses: what they are. Kernels: ``<device>/loss.py``.

A loss compares the net's output ``x`` with ``labels``, one integer per row, or with a ``target``, one number per element.
It is one number, in float64. Where it is not finite, its gradient is NaN, so that no optimiser follows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, prod
from typing import ClassVar

from ..errors import OptionError, ShapeError
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
class CrossEntropy(Op):
    """Mean over the batch of -log softmax(logits)[label].

    ``CrossEntropy()`` maps logits (N, C) and labels (N,) to one number, in float64; (N, C, H, W) and (N, H, W) give the
    mean over all pixels. Labels are integers from 0 to C - 1.

    With both options it is PyTorch's formula: a row's loss is -sum(q * log softmax(logits)), where
    q[c] = weight[c] * (label_smoothing / C + (1 - label_smoothing) * (c == label)), and the sum over rows is divided by
    the sum of the labels' weights. A batch whose labels all have weight 0 has no loss: it is NaN.

    Parameters
    ----------
    label_smoothing : float
        The share of a label that is spread evenly over all classes, from 0 to 1 (Szegedy et al., 2016).
    weight : sequence of float, optional
        How much each class counts: one number per class, zero or more.

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
    saved: ClassVar = ("probabilities", "weight_sum")
    backward_reads: ClassVar = ("labels", "out", "probabilities", "weight_sum")
    uses_scratch: ClassVar = True
    out_dtype: ClassVar = "float64"

    def __post_init__(self):
        settle(self, label_smoothing=number(self.label_smoothing, "label_smoothing", least=0, most=1))
        if self.weight is not None:
            settle(self, weight=_class_weights(self.weight))

    def out_shape(self, x: Shape, labels: Shape) -> Shape:
        check_labels(self, x, labels)
        if self.weight is not None and len(self.weight) != x[-1]:
            raise ShapeError(
                f"CrossEntropy has weights for {len(self.weight)} classes, but there are {x[-1]} logits per row; "
                f"pass one weight per class"
            )
        return (1,)

    def saved_shapes(self, x: Shape, labels: Shape) -> dict[str, Buffer]:
        return {"probabilities": Buffer(x, "float"), "weight_sum": Buffer((1,), "float64")}

    def flops(self, x: Shape, labels: Shape) -> int:
        """Maximum, difference, exponential, sum and quotient of each logit."""
        return 5 * prod(x)

    def elements_moved(self, x: Shape, labels: Shape) -> int:
        return 2 * prod(x) + prod(labels)


def _class_weights(weight) -> tuple[float, ...]:
    try:
        weights = tuple(number(value, "each weight", least=0) for value in weight)
    except TypeError:
        raise OptionError(f"weight must be one number per class, such as (1.0, 2.5), got {weight!r}") from None
    if not any(weights):
        raise OptionError(f"weight must have a class that counts, got {weight!r}; give one of them a positive weight")
    return weights


@dataclass(frozen=True, repr=False)
class Hinge(Op):
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
    uses_scratch: ClassVar = True
    out_dtype: ClassVar = "float64"

    def __post_init__(self):
        settle(self, margin=number(self.margin, "margin", above=0))

    def out_shape(self, x: Shape, labels: Shape) -> Shape:
        check_labels(self, x, labels)
        return (1,)

    def flops(self, x: Shape, labels: Shape) -> int:
        """Difference, margin, maximum and sum of each score."""
        return 4 * prod(x)

    def elements_moved(self, x: Shape, labels: Shape) -> int:
        return prod(x) + prod(labels)


@dataclass(frozen=True, repr=False)
class MSE(Op):
    """Mean over all elements of (x - target)^2.

    ``MSE()`` maps an output of any shape (N, ...) and targets of the same shape to one number.
    """

    inputs: ClassVar = ("x", "target")
    constants: ClassVar = ("target",)
    backward_reads: ClassVar = ("x", "target", "out")
    uses_scratch: ClassVar = True
    out_dtype: ClassVar = "float64"
    target_range: ClassVar[tuple[float, float]] = (-inf, inf)

    def out_shape(self, x: Shape, target: Shape) -> Shape:
        check_target(self, x, target)
        return (1,)

    def flops(self, x: Shape, target: Shape) -> int:
        return 3 * prod(x)

    def elements_moved(self, x: Shape, target: Shape) -> int:
        return 2 * prod(x)


@dataclass(frozen=True, repr=False)
class BCEWithLogits(Op):
    """Mean over all elements of the binary cross entropy of sigmoid(x) and a target from 0 to 1.

    ``BCEWithLogits()`` maps logits of any shape (N, ...) and targets of the same shape to one number, computed as
    max(x, 0) - x * target + log1p(exp(-|x|)), which no logit overflows. The gradient is (sigmoid(x) - target) / size.
    """

    inputs: ClassVar = ("x", "target")
    constants: ClassVar = ("target",)
    saved: ClassVar = ("probabilities",)
    backward_reads: ClassVar = ("target", "out", "probabilities")
    uses_scratch: ClassVar = True
    out_dtype: ClassVar = "float64"
    target_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def out_shape(self, x: Shape, target: Shape) -> Shape:
        check_target(self, x, target)
        return (1,)

    def saved_shapes(self, x: Shape, target: Shape) -> dict[str, Buffer]:
        return {"probabilities": Buffer(x, "float")}

    def flops(self, x: Shape, target: Shape) -> int:
        """Maximum, product, difference, exponential, logarithm and two sums of each logit; sum and quotient."""
        return 9 * prod(x)

    def elements_moved(self, x: Shape, target: Shape) -> int:
        return 3 * prod(x)
