"""Filters on picture files: read, filter, make it visible, write."""

from __future__ import annotations

from inspect import signature
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..data.pictures import check_holds, check_picture_path, read_picture, write_picture
from ..engine.registry import Device
from ..errors import OptionError
from .apply import ALPHA, apply, keeps_brightness, of_full_range
from .kernels import filter_by_name

GREY_WEIGHTS = (0.299, 0.587, 0.114)
"""Of red, green and blue in brightness (ITU-R BT.601)."""


class Shown(NamedTuple):
    """A picture that was written, and what its brightness means."""

    shape: tuple[int, ...]
    replaced: bool
    meaning: str


def filter_picture(
    source: str | PathLike,
    target: str | PathLike,
    name: str,
    *,
    border: str = "reflect",
    grey: bool = False,
    device: str | Device = "cpu",
    **options,
) -> Shown:
    """Filter a picture file into another one: ``filter_picture("photo.jpg", "edges.png", "sobel")``.

    Parameters
    ----------
    source, target : str or path
        Picture files of any size and of any format that Pillow knows. ``target`` is replaced if it is there.
    name : str
        One of ``FILTERS``.
    border, device
        As for ``apply``.
    grey : bool
        Whether colours become grey first.
    options
        Those of the filter: ``sigma=2.5`` for "gaussian".

    Returns
    -------
    Shown
        The shape, whether a file was replaced, and the meaning of brightness. What smooths or sharpens is clipped to
        the range of the file. The length of a gradient is stretched from black (0) to white (the largest), and what has
        a sign from black to white round a middle grey (0).

    Raises
    ------
    OptionError, DataError, FileFormatError
        Before anything is computed: an unknown filter or option, a source that is no picture, a target that cannot be
        written or is the source.
    """
    matrices = _matrices(name, options)
    target = check_picture_path(target)
    replaced = target.exists()
    if replaced and Path(source).exists() and target.samefile(source):
        raise OptionError(f"{target} would be replaced by its own filtered copy; write to another file")
    picture = read_picture(source)
    check_holds(target, picture)
    image = _grey(picture) if grey else picture
    pixels, meaning = _visible(apply(image, matrices, border=border, device=device), matrices, picture.dtype)
    write_picture(target, pixels)
    return Shown(pixels.shape, replaced, meaning)


def _matrices(name: str, options: dict) -> np.ndarray:
    make = filter_by_name(name)
    known = signature(make).parameters
    unknown = [option for option in options if option not in known]
    if unknown:
        raise OptionError(f"the filter {name} takes no {unknown[0]}; it takes {', '.join(known) or 'no options'}")
    return make(**options)


def _grey(picture: np.ndarray) -> np.ndarray:
    """One channel of brightness, in the picture's dtype; alpha stays."""
    if picture.ndim == 2 or picture.shape[2] < 3:
        return picture
    brightness = np.rint(picture[..., :3] @ np.array(GREY_WEIGHTS)).astype(picture.dtype)
    return brightness if picture.shape[2] == 3 else np.stack([brightness, picture[..., 3]], axis=-1)


def _visible(result: np.ndarray, matrices: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, str]:
    """Brightness from 0 to what a dtype can hold, and what it means."""
    full = of_full_range(dtype)
    alpha = ALPHA.get(result.shape[2]) if result.ndim == 3 else None
    colours = result if alpha is None else result[..., :alpha]
    if keeps_brightness(matrices):
        shown, meaning = colours, "brightness as in the source"
    else:
        most = float(np.abs(colours).max())
        scaled = colours / (most or 1)
        is_length = matrices.ndim == 3
        shown = full * (scaled if is_length else (1 + scaled) / 2)
        black = "black is 0" if is_length else f"black is {-most / full:.3g}, middle grey is 0"
        meaning = f"{black}, white is {most / full:.3g} of full brightness"
    if alpha is not None:
        shown = np.concatenate([shown, result[..., alpha:]], axis=-1)
    return np.rint(np.clip(shown, 0, full)).astype(dtype), meaning
