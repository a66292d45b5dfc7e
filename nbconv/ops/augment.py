"""What is done to pictures on their way into a net: normalisation, random flips and crops.

Kernels: ``<device>/augment.py``. They take bytes (uint8) as well as floating-point numbers, so that a data set can stay
in memory as it is stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

import numpy as np

from ..errors import OptionError, ShapeError
from .base import Layer, Shape
from .options import flag, number, settle
from .receptive import Window
from .shapes import AXES, image, pair, samples

PerChannel = float | tuple[float, ...]


@dataclass(frozen=True, repr=False)
class Normalize(Layer):
    """Make of bytes, or numbers, what a net likes to compute with: (x * scale - mean) / std, channel by channel.

    ``Normalize((0.491, 0.482, 0.447), (0.247, 0.243, 0.262))`` maps bytes (N, 3, 32, 32) to floats (N, 3, 32, 32).

    Parameters
    ----------
    mean, std : float, or one per channel
        Of the data after scaling, as torchvision has them: for images whose numbers are from 0 to 1.
    scale : float
        What a value is multiplied by first. Bytes become numbers from 0 to 1; ``scale=1`` leaves numbers as they are.

    Raises
    ------
    OptionError
        If ``std`` is not positive, or an option is no finite number.
    ShapeError
        When the graph is built: if there is not one mean or std per channel.

    Notes
    -----
    The input is uint8 or the model's dtype, in which the output is computed, in the order of the formula. The gradient
    of numbers is dx = dy * scale / std; bytes have none. Nothing is learned: ``BatchNorm`` is another thing.
    """

    mean: PerChannel = 0.0
    std: PerChannel = 1.0
    scale: float = 1 / 255

    takes_bytes: ClassVar = True

    def __post_init__(self):
        super().__post_init__()
        settle(self, mean=_per_channel(self.mean, "mean"), std=_per_channel(self.std, "std", above=0))
        settle(self, scale=number(self.scale, "scale"))

    def out_shape(self, x: Shape) -> Shape:
        *_, channels = samples(x, self)
        for name, given in ("mean", self.mean), ("std", self.std):
            if isinstance(given, tuple) and len(given) != channels:
                raise ShapeError(
                    f"{name} has {len(given)} numbers, but the input has {channels} channels; "
                    f"pass one number per channel, or one for all"
                )
        return x

    def flops(self, x: Shape) -> int:
        return 3 * prod(x)

    def elements_moved(self, x: Shape) -> int:
        return 2 * prod(x)


@dataclass(frozen=True, repr=False)
class RandomHorizontalFlip(Layer):
    """In training, exchange left and right in each image with probability ``p``.

    ``RandomHorizontalFlip()`` maps (N, C, H, W) to (N, C, H, W), of bytes or numbers, and does nothing at inference.

    Parameters
    ----------
    p : float
        Probability of turning an image round, from 0 to 1.
    training
        Set by the engine: whether anything is turned round.

    Raises
    ------
    OptionError
        If ``p`` is not between 0 and 1.
    ShapeError
        When the graph is built on something that is no image.

    Notes
    -----
    Which images are turned is a function of (seed, step, node, n) through Philox 4x32-10, as in ``Dropout``, where n is
    the place of the image in its batch: the key is the seed's low and high word, the counter (n, its high word, step,
    node), and image n is turned if the first word of the result is less than ``threshold``. The gradient is turned
    back. A receptive field is that at inference.
    """

    p: float = 0.5
    training: bool = field(default=True, kw_only=True)

    takes_bytes: ClassVar = True
    context: ClassVar = ("rng",)
    backward_reads: ClassVar = ("rng",)

    def __post_init__(self):
        super().__post_init__()
        p = number(self.p, "p (the probability of turning an image round)", least=0, most=1)
        settle(self, p=p, training=flag(self.training, "training"))

    @property
    def threshold(self) -> int:
        """An image is turned round where its random 32-bit word is less than this; 2**32 turns all."""
        return round(self.p * 2**32) if self.training else 0

    def out_shape(self, x: Shape) -> Shape:
        return image(x, self)

    def result_dtype(self, *dtypes: str) -> str:
        return dtypes[0]

    def elements_moved(self, x: Shape) -> int:
        return 2 * prod(x)


@dataclass(frozen=True, repr=False)
class RandomCrop(Layer):
    """In training, put a border of zeros round each image and cut a window out of it at a random place.

    ``RandomCrop(padding=4)`` maps (N, C, 32, 32) to images of the same size, each moved by up to four pixels along
    either axis; ``RandomCrop(28)`` maps (N, C, 32, 32) to (N, C, 28, 28). Bytes stay bytes. At inference the window is
    in the middle: with the images' own size, this does nothing.

    Parameters
    ----------
    size : int or (height, width), optional
        Of the window; that of the image by default.
    padding : int or (height, width)
        Border above and below, and left and right (torchvision's pair is the other way round). Its zeros are zeros of
        what comes in: black before ``Normalize``, the mean colour behind it.
    training
        Set by the engine: whether the place is random.

    Raises
    ------
    OptionError
        If an option is out of range.
    ShapeError
        When the graph is built: on something that is no image, or smaller than the window even with its border.

    Notes
    -----
    The window begins ``offsets`` pixels inside the image (outside, where that is negative). On an axis with n possible
    places it takes number floor(word * n / 2**32), where the words are the first for rows and the second for columns of
    Philox 4x32-10, with the key and counter of ``RandomHorizontalFlip``. At inference the window begins floor((size of
    the image - size of the window) / 2) inside. The gradient goes back to the pixels that were cut out, and is zero for
    the others.
    """

    size: int | tuple[int, int] | None = None
    padding: int | tuple[int, int] = 0
    training: bool = field(default=True, kw_only=True)

    takes_bytes: ClassVar = True
    context: ClassVar = ("rng",)
    backward_reads: ClassVar = ("rng",)

    def __post_init__(self):
        super().__post_init__()
        size = None if self.size is None else pair(self.size, "size")
        settle(self, size=size, padding=pair(self.padding, "padding", least=0))
        settle(self, training=flag(self.training, "training"))

    def out_shape(self, x: Shape) -> Shape:
        n, *sizes, c = image(x, self)
        height, width = self._window(x)
        for size, window, border, axis in zip(sizes, (height, width), self.padding, AXES, strict=True):
            if window > size + 2 * border:
                raise ShapeError(
                    f"a window of {window} does not fit {axis} {size} with padding {border} + {border}; "
                    f"use a smaller size, or a padding of at least {(window - size + 1) // 2}"
                )
        return n, height, width, c

    def result_dtype(self, *dtypes: str) -> str:
        return dtypes[0]

    def offsets(self, x: Shape) -> tuple[range, range]:
        """Where the window of an image (N, H, W, C) may begin, in rows and in columns."""
        if not self.training:
            top, left = self._middle(x)
            return range(top, top + 1), range(left, left + 1)
        rows, columns = (
            range(-border, size + border - window + 1)
            for size, window, border in zip(x[1:3], self._window(x), self.padding, strict=True)
        )
        return rows, columns

    def windows(self, x: Shape) -> tuple[Window, ...]:
        return tuple(Window(before=-first) for first in self._middle(x))

    def elements_moved(self, x: Shape) -> int:
        return 2 * prod(self.out_shape(x))

    def _window(self, x: Shape) -> tuple[int, int]:
        height, width = self.size or x[1:3]  # type: ignore[misc] # settled
        return height, width

    def _middle(self, x: Shape) -> tuple[int, int]:
        height, width = self._window(x)
        return (x[1] - height) // 2, (x[2] - width) // 2


def _per_channel(value, name: str, **limits: float) -> PerChannel:
    """Return a number, or a tuple of one per channel."""
    if not isinstance(value, (tuple, list, np.ndarray)):
        return number(value, name, **limits)
    if np.ndim(value) != 1 or not len(value):
        raise OptionError(f"{name} must be a number or one number per channel, got {value!r}")
    return tuple(number(each, f"each number of {name}", **limits) for each in value)
