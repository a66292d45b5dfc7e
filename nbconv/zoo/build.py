"""What the nets of the zoo share: the shape of their images, and a model from a chain of layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..model import Sequential
from ..ops.base import Layer, Shape
from ..ops.options import integer


def sequential(
    net: str, layers: Sequence[Layer], input_shape: Sequence[int] | None, *, usual: Shape, least: int, **options
) -> Sequential:
    """Return the layers as a model: ``sequential("LeNet5", layers, None, usual=(1, 28, 28), least=12, seed=0)``.

    ``options`` are those of ``Model``; the others as in ``image_shape``.
    """
    shape = image_shape(net, input_shape, usual=usual, least=least, data_format=options.get("data_format", "NCHW"))
    return Sequential(*layers, input_shape=shape, **options)


def image_shape(net: str, input_shape: Sequence[int] | None, *, usual: Shape, least: int, data_format: str) -> Shape:
    """Return the shape of one image in this data format, or say which net cannot take it and why.

    ``usual`` is the (C, H, W) that is meant if none is given, ``least`` the number of pixels that both sides need.
    Raises ``OptionError`` for sizes that are no positive integers, ``ShapeError`` for what is no image, or too small.
    """
    last = data_format == "NHWC"
    given = ((*usual[1:], usual[0]) if last else usual) if input_shape is None else input_shape
    axes = "(height, width, channels)" if last else "(channels, height, width)"
    if not isinstance(given, (tuple, list, np.ndarray)) or len(given) != 3:
        raise ShapeError(f'{net} needs images: an input shape is {axes} (data_format="{data_format}"), got {given!r}')
    shape = tuple(integer(size, f"each size of {net}'s input_shape {axes}") for size in given)
    height, width = shape[:2] if last else shape[1:]
    if min(height, width) < least:
        raise ShapeError(
            f"{net} needs images of at least {least}x{least} pixels, because it makes them smaller, got height "
            f'{height} and width {width} (input_shape={shape}, data_format="{data_format}"); '
            f"enlarge the images, or take a net with fewer pools or strides"
        )
    return shape
