"""Normalisation: what it is and which shapes it makes. Kernels: ``<device>/norm.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

from ..errors import OptionError, ShapeError
from .base import Buffer, Layer, Shape
from .conv import ACTIVATIONS
from .options import flag, number, settle
from .pool import MaxPool2d
from .receptive import Window
from .shapes import samples


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Give each channel mean 0 and variance 1 over the batch, then a learned scale and shift.

    ``BatchNorm()`` maps (N, C, H, W) to (N, C, H, W), and (N, C) to (N, C).

    Parameters
    ----------
    eps : float
        Added to the variance.
    momentum : float
        Weight of the *new* value in the running mean and variance (PyTorch's meaning). The running variance is the
        unbiased one. A batch statistic that is not finite is not learnt.
    affine : bool
        Whether there is a learned scale (``weight``) and shift (``bias``).
    activation, pool, training
        Set by the engine: a ReLU and a max-pool computed in the same kernel; whether the batch's or the running
        statistics are used. The pool has no dilation: each of its windows sees some pixel.

    Raises
    ------
    OptionError
        If an option is out of range.
    ShapeError
        In training, for a batch with one value per channel, whose variance is not defined.

    Notes
    -----
    Ioffe & Szegedy, "Batch normalization" (2015).
    """

    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True
    activation: str | None = field(default=None, kw_only=True)
    pool: MaxPool2d | None = field(default=None, kw_only=True)
    training: bool = field(default=True, kw_only=True)

    params: ClassVar = ("weight", "bias")
    state: ClassVar = ("running_mean", "running_var")
    saved: ClassVar = ("mean", "inv_std", "argmax", "winners")
    backward_reads: ClassVar = ("x", "weight", "out", "mean", "inv_std", "argmax", "winners")
    starts_at_one: ClassVar = ("weight", "running_var")
    uses_scratch: ClassVar = True

    def __post_init__(self):
        super().__post_init__()
        momentum = number(self.momentum, "momentum (the weight of the new value)", least=0, most=1)
        settle(self, eps=number(self.eps, "eps", above=0), momentum=momentum)
        settle(self, affine=flag(self.affine, "affine"), training=flag(self.training, "training"))
        if self.activation not in ACTIVATIONS:
            raise OptionError(f"activation must be one of {ACTIVATIONS}, got {self.activation!r}")
        if self.pool and not self.can_fuse(self.pool):
            raise OptionError(f"pool must have no dilation, got {self.pool!r}; leave it a layer of its own")

    @staticmethod
    def can_fuse(pool: MaxPool2d) -> bool:
        """Whether a max-pool can be computed in the same kernel: a dilated window may see nothing but border."""
        return pool.dilation == (1, 1)

    def out_shape(self, x: Shape) -> Shape:
        return self.pool.out_shape(x) if self.pool else samples(x, self)

    def param_shapes(self, x: Shape) -> dict[str, Shape]:
        return {"weight": (x[-1],), "bias": (x[-1],)} if self.affine else {}

    def state_shapes(self, x: Shape) -> dict[str, Shape]:
        return {"running_mean": (x[-1],), "running_var": (x[-1],)}

    def saved_shapes(self, x: Shape) -> dict[str, Buffer]:
        """The mean and 1 / sqrt(variance + eps) that forward used, in float64; x of each window's winner."""
        statistics = {"mean": Buffer((x[-1],), "float64"), "inv_std": Buffer((x[-1],), "float64")}
        if not self.pool:
            return statistics
        return {**statistics, **self.pool.saved_shapes(x), "winners": Buffer(self.out_shape(x), "float")}

    def windows(self, x: Shape) -> tuple[Window, ...] | None:
        return self.pool.windows(x) if self.pool else super().windows(x)

    def reads_in_backward(self):
        used = {"weight": self.affine, "out": self.activation, "argmax": self.pool, "winners": self.pool}
        return tuple(name for name in self.backward_reads if used.get(name, True))

    def check_batch(self, x: Shape) -> None:
        if self.training and prod(x[:-1]) < 2:
            raise ShapeError(
                "batch normalisation needs more than one value per channel in training, got a batch of one sample; "
                "use a batch_size that leaves no single sample at the end"
            )

    def flops(self, x: Shape) -> int:
        """Two for the mean, three for the variance, two for scale and shift, per element."""
        return prod(x) * (7 if self.training else 2) + (self.pool.flops(x) if self.pool else 0)

    def elements_moved(self, x: Shape) -> int:
        return prod(x) * (2 if self.training else 1) + prod(self.out_shape(x))
