"""Normalisation: what it is and which shapes it makes. Kernels: ``<device>/norm.py``, ``<device>/group_norm.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

from ..errors import OptionError, ShapeError
from .base import Buffer, Layer, Shape
from .conv import ACTIVATIONS
from .options import choice, flag, integer, number, settle
from .pool import MaxPool2d
from .receptive import Window
from .shapes import image, samples


class _Norm(Layer):
    """What all norms share: they infer the channels, which other libraries' norms are given first."""

    SIZES: ClassVar[int] = 0
    """How many options are given by position."""

    def __new__(cls, *given, **_):
        if len(given) > cls.SIZES:
            listed, kept = (", ".join(map(repr, part)) for part in (given, given[: cls.SIZES]))
            raise OptionError(
                f"{cls.__name__}({listed}): the channels are inferred: write {cls.__name__}({kept}); other options are "
                f"given by name, such as eps=1e-5"
            )
        return super().__new__(cls)


@dataclass(frozen=True, repr=False)
class BatchNorm(_Norm):
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

    eps: float = field(default=1e-5, kw_only=True)
    momentum: float = field(default=0.1, kw_only=True)
    affine: bool = field(default=True, kw_only=True)
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
        choice(self.activation, "activation", ACTIVATIONS)
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


class _GroupNorm(_Norm):
    """What layer, group and instance norm share: statistics of each sample by itself, over groups of its channels."""

    eps: float
    affine: bool

    params: ClassVar = ("weight", "bias")
    saved: ClassVar = ("mean", "inv_std")
    backward_reads: ClassVar = ("x", "weight", "mean", "inv_std")
    starts_at_one: ClassVar = ("weight",)
    uses_scratch: ClassVar = True
    MEND: ClassVar[str]
    """What to do about groups of a single value."""

    def __post_init__(self):
        super().__post_init__()
        settle(self, eps=number(self.eps, "eps", above=0), affine=flag(self.affine, "affine"))

    def groups(self, x: Shape) -> int:
        """Into how many groups the channels are divided; each has a mean and a variance over its pixels."""
        raise TypeError(f"{type(self).__name__} does not define groups")

    def windows(self, x: Shape) -> None:
        return None  # each value depends on the statistics of the sample

    def out_shape(self, x: Shape) -> Shape:
        if prod(x[1:]) == self.groups(x):
            raise ShapeError(
                f"{type(self).__name__} would normalise single values, which makes zeros of them, on samples of shape "
                f"{tuple(x[1:])} (channels last); {self.MEND}"
            )
        return x

    def param_shapes(self, x: Shape) -> dict[str, Shape]:
        return {"weight": (x[-1],), "bias": (x[-1],)} if self.affine else {}

    def saved_shapes(self, x: Shape) -> dict[str, Buffer]:
        """The mean and 1 / sqrt(variance + eps) of each group of each sample, in float64."""
        statistics = Buffer((x[0], self.groups(x)), "float64")
        return {"mean": statistics, "inv_std": statistics}

    def reads_in_backward(self):
        return self.backward_reads if self.affine else ("x", "mean", "inv_std")

    def flops(self, x: Shape) -> int:
        """Two for the mean, three for the variance, two for scale and shift, per element."""
        return 7 * prod(x)

    def elements_moved(self, x: Shape) -> int:
        return 2 * prod(x) + sum(prod(shape) for shape in self.param_shapes(x).values())


@dataclass(frozen=True, repr=False)
class LayerNorm(_GroupNorm):
    """Give each sample mean 0 and variance 1 over all its values, then a learned scale and shift for each of them.

    ``LayerNorm()`` maps (N, D) to (N, D), with ``weight`` and ``bias`` of shape (D,); and (N, C, H, W) to
    (N, C, H, W), with ``weight`` and ``bias`` of shape (C, H, W): PyTorch's ``LayerNorm(x.shape[1:])``.

    Parameters
    ----------
    eps : float
        Added to the variance, which is the biased one.
    affine : bool
        Whether there is a learned scale (``weight``) and shift (``bias``).

    Raises
    ------
    OptionError
        If an option is out of range.
    ShapeError
        When the graph is built on samples of a single value.

    Notes
    -----
    Ba, Kiros & Hinton, "Layer normalization" (2016). Training and inference compute the same.
    """

    eps: float = field(default=1e-5, kw_only=True)
    affine: bool = field(default=True, kw_only=True)

    canonical_axes: ClassVar = {"weight": (2, 0, 1), "bias": (2, 0, 1)}
    MEND: ClassVar = "give it more than one feature, or leave it out"

    def axes_outside(self, name: str, ndim: int) -> tuple[int, ...]:
        return ndim - 1, *range(ndim - 1)

    def groups(self, x: Shape) -> int:
        samples(x, self)
        return 1

    def param_shapes(self, x: Shape) -> dict[str, Shape]:
        """``weight`` and ``bias``: one number for each value of a sample, (D,) or (H, W, C)."""
        return {"weight": x[1:], "bias": x[1:]} if self.affine else {}


@dataclass(frozen=True, repr=False)
class GroupNorm(_GroupNorm):
    """Give groups of channels of each sample mean 0 and variance 1, then a learned scale and shift for each channel.

    ``GroupNorm(4)`` maps (N, 16, H, W) to (N, 16, H, W): each image has 4 means, over 4 channels and all pixels. It
    maps (N, 16) to (N, 16) alike.

    Parameters
    ----------
    num_groups : int
        Into how many groups of channels, next to each other and of equal size, a sample is divided.
    eps : float
        Added to the variance, which is the biased one.
    affine : bool
        Whether there is a learned scale (``weight``) and shift (``bias``), both of shape (C,).

    Raises
    ------
    OptionError
        If an option is out of range.
    ShapeError
        When the graph is built, if ``num_groups`` does not divide the channels or groups have a single value.

    Notes
    -----
    Wu & He, "Group normalization" (2018). Training and inference compute the same.
    """

    num_groups: int
    eps: float = field(default=1e-5, kw_only=True)
    affine: bool = field(default=True, kw_only=True)

    SIZES: ClassVar = 1
    MEND: ClassVar = "use a smaller num_groups"

    def __post_init__(self):
        settle(self, num_groups=integer(self.num_groups, "num_groups"))
        super().__post_init__()

    def groups(self, x: Shape) -> int:
        channels = samples(x, self)[-1]
        if channels % self.num_groups:
            divisors = ", ".join(str(n) for n in range(1, channels + 1) if channels % n == 0)
            raise ShapeError(
                f"GroupNorm cannot divide {channels} channels into num_groups={self.num_groups} equal groups; use a "
                f"num_groups that divides {channels} ({divisors}), or another number of channels"
            )
        return self.num_groups


@dataclass(frozen=True, repr=False)
class InstanceNorm(_GroupNorm):
    """Give each channel of each image mean 0 and variance 1 over its pixels.

    ``InstanceNorm()`` maps (N, C, H, W) to (N, C, H, W), and (N, C, L) alike: PyTorch's ``InstanceNorm2d``, without
    running statistics.

    Parameters
    ----------
    eps : float
        Added to the variance, which is the biased one.
    affine : bool
        Whether there is a learned scale (``weight``) and shift (``bias``), both of shape (C,).

    Raises
    ------
    OptionError
        If an option is out of range.
    ShapeError
        When the graph is built on something that is no image, or on images of one pixel.

    Notes
    -----
    Ulyanov, Vedaldi & Lempitsky, "Instance normalization" (2016). Training and inference compute the same.
    """

    eps: float = field(default=1e-5, kw_only=True)
    affine: bool = field(default=False, kw_only=True)

    MEND: ClassVar = "place it where images have more than one pixel, or use LayerNorm"

    def groups(self, x: Shape) -> int:
        return (samples if len(x) == 3 else image)(x, self)[-1]
