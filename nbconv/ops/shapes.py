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


def single(value, name, *, least=1) -> int:
    """Return the one number of an option in one dimension: ``single((3,), "stride") == single(3, "stride") == 3``."""
    alone = isinstance(value, (tuple, list)) and len(value) == 1
    return integer(value[0] if alone else value, name, least=least)


def padding_option(value, names: tuple[str, ...] = ("same", "valid")) -> str | Pads:
    """Return a padding as (top, bottom, left, right) or as one of ``names``, of which ``"valid"`` is no border.

    ``padding_option((1, 2)) == (1, 1, 2, 2)``.
    """
    if isinstance(value, str):
        name = _padding_name(value, names, "an integer, a pair or a 4-tuple")
        return (0, 0, 0, 0) if name == "valid" else name
    if isinstance(value, (tuple, list)) and len(value) == 4:
        top, bottom, left, right = (integer(v, "padding", least=0) for v in value)
        return top, bottom, left, right
    if isinstance(value, (tuple, list)) and len(value) != 2:
        raise OptionError(f"padding takes 1, 2 (height, width) or 4 (top, bottom, left, right) integers, got {value!r}")
    height, width = pair(value, "padding", least=0)
    return height, height, width, width


def sequence_padding_option(value, names: tuple[str, ...] = ("same", "valid")) -> str | tuple[int, int]:
    """Return a padding as (left, right) or as one of ``names``: ``sequence_padding_option(2) == (2, 2)``."""
    if isinstance(value, str):
        name = _padding_name(value, names, "an integer or a pair (left, right)")
        return (0, 0) if name == "valid" else name
    sides = value if isinstance(value, (tuple, list)) else (value,)
    if len(sides) not in (1, 2):
        raise OptionError(f"padding of a sequence takes 1 or 2 (left, right) integers, got {value!r}")
    return integer(sides[0], "padding", least=0), integer(sides[-1], "padding", least=0)


def _padding_name(value: str, names: tuple[str, ...], numbers: str) -> str:
    if value not in names:
        listed = "".join(f'"{name}", ' for name in names)
        raise OptionError(f"padding must be {listed}{numbers}, got {value!r}")
    return value


def check_wrap(size: int, pads: tuple[int, int], axis: str) -> None:
    """Raise ``ShapeError`` for a circular border of an axis that is larger than the axis itself."""
    if max(pads) > size:
        raise ShapeError(
            f"circular padding {pads[0]} + {pads[1]} wraps more than once round {axis} {size}; use at most {size}"
        )


def resolve_padding(padding: str | Pads, size, kernel, stride, dilation) -> Pads:
    """Return (top, bottom, left, right) for an image of ``size`` (height, width).

    ``"same"`` gives ceil(size / stride) windows, and puts the odd pixel on the right and bottom (ONNX's SAME_UPPER).
    ``"full"`` has a window for every pixel that it can touch.
    """
    if not isinstance(padding, str):
        return padding
    pads: list[int] = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        if padding == "full":
            pads += [span(k, d) - 1] * 2
            continue
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
    """Return (N, H, W, C), (N, L, C) or (N, C), or say that an op was given neither images, sequences nor features."""
    if len(shape) not in (2, 3, 4):
        raise ShapeError(
            f"{type(op).__name__} needs images (N, C, H, W), sequences (N, C, L) or features (N, C), got an array of "
            f"shape {tuple(shape)}; reshape it to one of them"
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


def sequence(shape, op) -> tuple[int, int, int]:
    """Return (N, L, C), or say that an op on sequences was given something else."""
    if len(shape) != 3:
        raise ShapeError(
            f"{type(op).__name__} needs sequences (channels, length), got samples of shape {tuple(shape[1:])}; "
            f"place it before Flatten, or reshape the input to sequences"
        )
    n, length, c = shape
    return n, length, c


def of_height_one(shape) -> tuple[int, int, int, int]:
    """Return sequences as images: ``of_height_one((2, 50, 8)) == (2, 1, 50, 8)``."""
    n, length, c = shape
    return n, 1, length, c


def without_height(shape) -> tuple[int, int, int]:
    """Return images of height 1 as sequences: ``without_height((2, 1, 50, 8)) == (2, 50, 8)``."""
    n, _, length, c = shape
    return n, length, c
