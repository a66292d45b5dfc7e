"""Dropout: what it is. Kernels: ``<device>/dropout.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

from .base import Layer, Shape
from .options import flag, number, settle
from .shapes import samples


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """In training, set each value to zero with probability ``p`` and scale the others by 1 / (1 - p).

    ``Dropout(0.5)`` keeps every shape, and does nothing at inference.

    Parameters
    ----------
    p : float
        Probability of dropping a value, from 0 to 1.
    training
        Set by the engine: whether anything is dropped.

    Raises
    ------
    OptionError
        If ``p`` is not between 0 and 1.

    Notes
    -----
    Srivastava et al., "Dropout" (2014). The mask is a function of (seed, step, node, index) through Philox 4x32-10
    (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): the key is the seed's low and high word, the
    counter (index // 4, its high word, step, node), and word ``index % 4`` of the result decides: a value is kept where
    that word is at least ``threshold``. ``index`` counts elements in memory order, channels last. The mask is the same
    on every device and for any number of threads, and backward computes it again instead of storing it.
    """

    p: float = 0.5
    training: bool = field(default=True, kw_only=True)

    context: ClassVar = ("rng",)
    backward_reads: ClassVar = ("rng",)

    def __post_init__(self):
        super().__post_init__()
        p = number(self.p, "p (the probability of dropping a value)", least=0, most=1)
        settle(self, p=p, training=flag(self.training, "training"))

    @property
    def threshold(self) -> int:
        """A value is kept where its random 32-bit word is at least this; 2**32 keeps none."""
        return round(self.p * 2**32) if self.training else 0

    @property
    def scale(self) -> float:
        """What a kept value is multiplied by."""
        return 1 / (1 - self.p) if self.training and self.p < 1 else 1.0

    def out_shape(self, x: Shape) -> Shape:
        return samples(x, self)

    def flops(self, x: Shape) -> int:
        return prod(x)

    def elements_moved(self, x: Shape) -> int:
        return 2 * prod(x)


@dataclass(frozen=True, repr=False)
class Dropout2d(Dropout):
    """In training, set whole channels of each image to zero with probability ``p`` and scale the others by 1 / (1 - p).

    ``Dropout2d(0.2)`` maps (N, C, H, W) to (N, C, H, W): one draw for each of the N * C planes. On features (N, C) each
    value is a channel, and this is ``Dropout``. It does nothing at inference. ``SpatialDropout2d`` is another name.

    Parameters
    ----------
    p : float
        Probability of dropping a channel of an image, from 0 to 1.
    training
        Set by the engine: whether anything is dropped.

    Raises
    ------
    OptionError
        If ``p`` is not between 0 and 1.

    Notes
    -----
    Tompson et al., "Efficient object localization using convolutional networks" (2015). The mask is that of ``Dropout``
    on an array (N, C): ``index`` is image * C + channel.
    """

    uses_scratch: ClassVar = True
