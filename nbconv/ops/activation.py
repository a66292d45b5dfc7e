"""Activations: what they are. Kernels: ``<device>/activation.py``."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from .base import Layer, Shape
from .options import number, settle
from .shapes import samples


@dataclass(frozen=True, repr=False)
class _Activation(Layer):
    """Base of the functions that keep every shape, and whose gradient follows from their result alone."""

    backward_reads: ClassVar = ("out",)
    flops_per_element: ClassVar[int] = 1

    def out_shape(self, x: Shape) -> Shape:
        return samples(x, self)

    def flops(self, x: Shape) -> int:
        """An exponential counts as one operation, like a sum."""
        return self.flops_per_element * prod(x)

    def elements_moved(self, x: Shape) -> int:
        return 2 * prod(x)


@dataclass(frozen=True, repr=False)
class ReLU(_Activation):
    """Replace negative values by zero; NaN stays NaN.

    ``ReLU()`` keeps every shape. The gradient at 0 is 0, as in PyTorch.
    """


@dataclass(frozen=True, repr=False)
class LeakyReLU(_Activation):
    """Multiply what is not positive by ``negative_slope``: x where x > 0, else negative_slope * x.

    ``LeakyReLU(0.1)`` keeps every shape, and maps -2 to -0.2. The gradient at 0 is ``negative_slope``, as in PyTorch.
    Raises ``OptionError`` unless ``negative_slope`` is zero or more, and finite: with such a slope the sign of x is
    that of the result, and backward needs no x (Maas, Hannun & Ng, "Rectifier nonlinearities improve neural network
    acoustic models", 2013).
    """

    negative_slope: float = 0.01

    flops_per_element: ClassVar = 2

    def __post_init__(self):
        super().__post_init__()
        settle(self, negative_slope=number(self.negative_slope, "negative_slope", least=0))


@dataclass(frozen=True, repr=False)
class Sigmoid(_Activation):
    """Map every number to one between 0 and 1: 1 / (1 + exp(-x)).

    ``Sigmoid()`` keeps every shape; of 0 it is 0.5, of infinity 1, of minus infinity 0. It is computed from exp(-|x|),
    which cannot overflow: small results keep all their digits. The gradient is dy * y * (1 - y).
    """

    flops_per_element: ClassVar = 4


@dataclass(frozen=True, repr=False)
class Tanh(_Activation):
    """Map every number to one between -1 and 1: (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    ``Tanh()`` keeps every shape; small numbers stay what they are, to the last digits. The gradient is
    dy * (1 - y) * (1 + y).
    """

    flops_per_element: ClassVar = 6


@dataclass(frozen=True, repr=False)
class Softmax(_Activation):
    """Turn the logits of each row into probabilities: exp(x) / sum(exp(x)), over channels.

    ``Softmax()`` keeps every shape: (N, C), or (N, C, H, W) with a row of C logits per pixel. A logit of minus infinity
    has probability 0; a row with NaN, with infinity, or of minus infinity alone is NaN. The gradient is
    p * (dy - sum(dy * p)).

    Not for training with ``cross_entropy``, which takes logits: ``compile`` raises ``OptionError`` for a model that
    ends in a softmax.
    """

    flops_per_element: ClassVar = 5


@dataclass(frozen=True, repr=False)
class LogSoftmax(_Activation):
    """The logarithms of a softmax over channels, without forming it: x - log(sum(exp(x))).

    ``LogSoftmax()`` keeps every shape: (N, C), or (N, C, H, W) with a row of C logits per pixel. Nothing overflows, and
    small probabilities keep their digits. A row with NaN, with infinity, or of minus infinity alone is NaN. The
    gradient is dy - p * sum(dy), with the probabilities p.
    """

    flops_per_element: ClassVar = 5
