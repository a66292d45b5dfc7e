"""Integer arithmetic of sliding windows: the one place where output sizes are computed."""

from __future__ import annotations

from numbers import Integral

from ..errors import OptionError, ShapeError
from .options import integer

AXES = ("height", "width")
Pads = tuple[int, int, int, int]


def pair(value, name, *, least=1) -> tuple[int, int]:
    """Return ``value`` as (height, width): ``pair(3, "stride") == (3, 3)``."""
    both = (value, value) if isinstance(value, Integral) else value
    if not isinstance(both, (tuple, list)) or len(both) != 2:
        raise OptionError(f"{name} must be an integer or a pair (height, width), got {value!r}")
    return integer(both[0], name, least=least), integer(both[1], name, least=least)


def padding_option(value) -> str | Pads:
    """Return a padding as ``"same"`` or as (top, bottom, left, right): ``padding_option((1, 2)) == (1, 1, 2, 2)``."""
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise OptionError(f'padding must be "same", "valid", an integer, a pair or a 4-tuple, got {value!r}')
        return "same" if value == "same" else (0, 0, 0, 0)
    if isinstance(value, (tuple, list)) and len(value) == 4:
        top, bottom, left, right = (integer(v, "padding", least=0) for v in value)
        return top, bottom, left, right
    if isinstance(value, (tuple, list)) and len(value) != 2:
        raise OptionError(f"padding takes 1, 2 (height, width) or 4 (top, bottom, left, right) integers, got {value!r}")
    height, width = pair(value, "padding", least=0)
    return height, height, width, width


def resolve_padding(padding: str | Pads, size, kernel, stride, dilation) -> Pads:
    """Return (top, bottom, left, right) for an image of ``size`` (height, width).

    ``"same"`` gives ceil(size / stride) windows, and puts the odd pixel on the right and bottom (ONNX's SAME_UPPER).
    """
    if not isinstance(padding, str):
        return padding
    pads: list[int] = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        total = max(0, (-(-n // s) - 1) * s + span(k, d) - n)
        pads += [total // 2, total - total // 2]
    return pads[0], pads[1], pads[2], pads[3]


def span(kernel: int, dilation: int) -> int:
    """Return how many pixels a dilated kernel covers on one axis: ``span(3, 2) == 5``."""
    return (kernel - 1) * dilation + 1


def window_count(size, kernel, stride, pads, *, dilation=1, ceil_mode=False, axis) -> int:
    """Return how many windows fit on one axis: ``window_count(28, 2, 2, (0, 0), axis="width") == 14``.

    With ``ceil_mode`` a last window may hang over the edge, be it the only one, provided it starts inside the image or
    its leading border and its stride reaches as far as it hangs over (PyTorch's rule).
    """
    before, after = pads
    room = size + before + after - span(kernel, dilation)
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    if count < 1:
        raise ShapeError(
            f"a window of {span(kernel, dilation)} does not fit {axis} {size} with padding {before} + {after}; "
            f"use a smaller kernel_size or a padding of at least {before - (room // 2)}"
        )
    hangs_outside = (count - 1) * stride >= size + before
    return count - 1 if ceil_mode and hangs_outside else count


def samples(shape, op) -> tuple[int, ...]:
    """Return the shape of images (N, H, W, C) or features (N, C), or say that an op was given something else."""
    if len(shape) not in (2, 4):
        raise ShapeError(
            f"{type(op).__name__} needs images (N, C, H, W) or features (N, C), got an array of shape {tuple(shape)}; "
            f"reshape it to one of them"
        )
    return shape


def image(shape, op) -> tuple[int, int, int, int]:
    """Return (N, H, W, C), or say that an op on images was given something else."""
    if len(shape) != 4:
        raise ShapeError(
            f"{type(op).__name__} needs images (channels, height, width), got samples of shape {tuple(shape[1:])}; "
            f"place it before Flatten, or reshape the input to images"
        )
    n, h, w, c = shape
    return n, h, w, c
