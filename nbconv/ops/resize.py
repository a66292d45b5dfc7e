"""Ops that repeat pixels or put some round them: which shapes they make. Kernels: ``<device>/resize.py``."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..errors import ShapeError
from .base import Layer, Shape
from .options import choice, settle
from .receptive import Window, sliding, transposed
from .shapes import AXES, Pads, image, padding_option, pair

PIXEL = (1, 1)
PAD_MODES = ("zeros", "reflect", "edge", "circular")
MOST_PADDING = {"reflect": -1, "circular": 0}
"""How many pixels a border may have more than the image, where that is limited: no pixel is in it twice."""


@dataclass(frozen=True, repr=False)
class Pad2d(Layer):
    """Put a border round images.

    ``Pad2d(1, "reflect")`` maps (N, C, 28, 28) to (N, C, 30, 30).

    Parameters
    ----------
    padding : int, (height, width) or (top, bottom, left, right)
        Border in pixels.
    mode : "zeros", "reflect", "edge" or "circular"
        What the border holds: zeros; the image mirrored at its outermost pixels, which are not repeated (c b | a b c);
        its outermost pixel (a a | a b c); or the image from its other side (b c | a b c). NumPy calls them constant,
        reflect, edge and wrap, PyTorch constant, reflect, replicate and circular.

    Raises
    ------
    OptionError
        If an option is out of range.
    ShapeError
        When the graph is built: ``"reflect"`` needs a border smaller than the image, ``"circular"`` one no larger.

    Notes
    -----
    The gradient of a pixel is the sum of those of all its copies.
    """

    padding: int | tuple[int, ...]
    mode: str = "zeros"

    def __post_init__(self):
        super().__post_init__()
        settle(self, padding=padding_option(self.padding, names=()))
        choice(self.mode, "mode", PAD_MODES)

    @property
    def pads(self) -> Pads:
        """The border (top, bottom, left, right)."""
        top, bottom, left, right = self.padding  # type: ignore[misc] # settled
        return top, bottom, left, right

    def out_shape(self, x: Shape) -> Shape:
        n, h, w, c = image(x, self)
        top, bottom, left, right = self.pads
        for size, border, axis in zip((h, w), (max(top, bottom), max(left, right)), AXES, strict=True):
            most = size + MOST_PADDING.get(self.mode, border)
            if border > most:
                raise ShapeError(
                    f"a {self.mode} border of {border} is too large for {axis} {size}; "
                    f'use at most {most}, or mode="edge"'
                )
        return n, h + top + bottom, w + left + right, c

    def windows(self, x: Shape) -> tuple[Window, ...]:
        return sliding(PIXEL, PIXEL, self.pads)

    def elements_moved(self, x: Shape) -> int:
        return prod(x) + prod(self.out_shape(x))


@dataclass(frozen=True, repr=False)
class Upsample(Layer):
    """Repeat each pixel: nearest-neighbour enlargement by a whole factor.

    ``Upsample(2)`` maps (N, C, 14, 14) to (N, C, 28, 28).

    Parameters
    ----------
    scale_factor : int or (int, int)
        How many times each pixel is repeated, as (height, width).

    Raises
    ------
    OptionError
        If the factor is no positive integer.
    ShapeError
        When the graph is built on something that is no image.

    Notes
    -----
    y[n, c, i, j] = x[n, c, i // height, j // width]; the gradient of a pixel is the sum of those of all its copies.
    """

    scale_factor: int | tuple[int, int]

    def __post_init__(self):
        super().__post_init__()
        settle(self, scale_factor=pair(self.scale_factor, "scale_factor"))

    def out_shape(self, x: Shape) -> Shape:
        n, h, w, c = image(x, self)
        down, across = self.scale_factor  # type: ignore[misc] # settled
        return n, h * down, w * across, c

    def windows(self, x: Shape) -> tuple[Window, ...]:
        return tuple(map(transposed, self.scale_factor, self.scale_factor))

    def elements_moved(self, x: Shape) -> int:
        return prod(x) + prod(self.out_shape(x))
