"""Optimisers: what they are and which state they keep. Kernels: ``<device>/optimizer.py``.

Parameters and gradients come as two flat arrays, so that an update is one call. The learning rate and the step (from 1)
are in ``hyper``, float64, so that a schedule changes them without binding anything again. ``out`` receives the L2 norm
of the whole gradient before clipping, in float64; where that is not finite, nothing is updated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

from ..errors import OptionError
from .base import Buffer, Op, Shape
from .options import flag, number, settle


@dataclass(frozen=True, repr=False)
class Optimizer(Op):
    """What optimisers share. ``clip_norm`` scales the gradient down to this L2 norm, if it is longer, before all else.

    Clipping is PyTorch's ``clip_grad_norm_``: the factor is min(1, clip_norm / (norm + 1e-6)).
    """

    lr: float = 1e-3
    clip_norm: float | None = field(default=None, kw_only=True)

    inputs: ClassVar = ("param", "grad")
    updates: ClassVar = ("param",)
    context: ClassVar = ("hyper",)
    differentiable: ClassVar = False
    uses_scratch: ClassVar = True
    out_dtype: ClassVar = "float64"

    def __post_init__(self):
        settle(self, lr=number(self.lr, "lr", least=0))
        if self.clip_norm is not None:
            settle(self, clip_norm=number(self.clip_norm, "clip_norm", above=0))

    def out_shape(self, param: Shape, grad: Shape) -> Shape:
        return (1,)

    def saved_shapes(self, param: Shape, grad: Shape) -> dict[str, Buffer]:
        """The optimiser's state, as far as this form of it keeps one; it starts as zeros."""
        return {name: Buffer(param, "float") for name in self.saved}

    def elements_moved(self, param: Shape, grad: Shape) -> int:
        return (3 + 2 * len(self.saved)) * prod(param)


@dataclass(frozen=True, repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum, by PyTorch's formulas.

    ``SGD(lr=0.1, momentum=0.9)``. With g = gradient + weight_decay * p: v = momentum * v + g at every step (v = g at
    the first), then p -= lr * v, or p -= lr * (g + momentum * v) with ``nesterov``.

    Raises ``OptionError`` for a negative option, or ``nesterov`` without momentum.
    """

    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    saved: ClassVar = ("velocity",)

    def __post_init__(self):
        super().__post_init__()
        settle(self, momentum=number(self.momentum, "momentum", least=0), nesterov=flag(self.nesterov, "nesterov"))
        settle(self, weight_decay=number(self.weight_decay, "weight_decay", least=0))
        if self.nesterov and not self.momentum:
            raise OptionError(f"momentum must be positive with nesterov=True, got {self.momentum!r}")

    def flops(self, param: Shape, grad: Shape) -> int:
        return 6 * prod(param)


@dataclass(frozen=True, repr=False)
class Adam(Optimizer):
    """Adam (Kingma & Ba, 2015), by PyTorch's formulas.

    ``Adam(lr=1e-3)``. With g = gradient + weight_decay * p and t the step from 1: m = b1 * m + (1 - b1) * g,
    v = b2 * v + (1 - b2) * g^2, p -= lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).

    Raises ``OptionError`` for an option out of range.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    saved: ClassVar = ("exp_avg", "exp_avg_sq")
    decoupled: ClassVar[bool] = False
    """Whether weight decay acts on the parameter directly (AdamW) instead of through the gradient."""

    def __post_init__(self):
        super().__post_init__()
        betas = tuple(self.betas) if isinstance(self.betas, (tuple, list)) else ()
        if len(betas) != 2:
            raise OptionError(f"betas must be two numbers, at least 0 and less than 1, got {self.betas!r}")
        settle(self, betas=tuple(number(beta, "each of betas", least=0, below=1) for beta in betas))
        settle(self, eps=number(self.eps, "eps", above=0))
        settle(self, weight_decay=number(self.weight_decay, "weight_decay", least=0))

    def flops(self, param: Shape, grad: Shape) -> int:
        return 14 * prod(param)


@dataclass(frozen=True, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019): p -= lr * weight_decay * p, then Adam's step.

    ``AdamW(lr=1e-3, weight_decay=1e-2)``.
    """

    weight_decay: float = 1e-2

    decoupled: ClassVar[bool] = True


@dataclass(frozen=True, repr=False)
class RMSProp(Optimizer):
    """RMSProp (Hinton, 2012), by PyTorch's formulas.

    ``RMSProp(lr=1e-2)``. With g = gradient + weight_decay * p: v = alpha * v + (1 - alpha) * g^2 and
    u = g / (sqrt(v) + eps), then p -= lr * u; with ``momentum``, b = momentum * b + u and p -= lr * b.
    ``centered`` (Graves, 2013) has m = alpha * m + (1 - alpha) * g and takes v - m^2 for v; where rounding makes that
    negative, it is 0.

    Raises ``OptionError`` for an option out of range.
    """

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False

    saved: ClassVar = ("square_avg", "grad_avg", "momentum_buffer")

    def __post_init__(self):
        super().__post_init__()
        settle(self, alpha=number(self.alpha, "alpha", least=0, below=1), eps=number(self.eps, "eps", above=0))
        settle(self, weight_decay=number(self.weight_decay, "weight_decay", least=0))
        settle(self, momentum=number(self.momentum, "momentum", least=0), centered=flag(self.centered, "centered"))

    def saved_shapes(self, param: Shape, grad: Shape) -> dict[str, Buffer]:
        kept = {"square_avg": True, "grad_avg": self.centered, "momentum_buffer": self.momentum > 0}
        return {name: buffer for name, buffer in super().saved_shapes(param, grad).items() if kept[name]}

    def flops(self, param: Shape, grad: Shape) -> int:
        return (9 + 5 * self.centered + 2 * (self.momentum > 0)) * prod(param)

    def elements_moved(self, param: Shape, grad: Shape) -> int:
        return (3 + 2 * len(self.saved_shapes(param, grad))) * prod(param)
