"""Images and labels from files: what a person has on disk, as what a model takes."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..ops.base import Shape
from .pictures import open_picture, why

ARRAY_SUFFIXES = (".npy", ".npz")
IMAGE_MODES = {1: "L", 3: "RGB"}
BRIGHTEST = 255


def read_images(path: str | PathLike, shape: Shape, *, invert: bool = False) -> np.ndarray:
    """Return the images of a file as float32 (N, C, H, W) for a model that takes ``shape`` = (C, H, W).

    ``read_images("seven.png", (1, 8, 8))`` gives (1, 1, 8, 8); ``read_images("test.npz", (1, 8, 8))`` gives as many
    as the file holds.

    Parameters
    ----------
    path : str or path
        An image file of any size and any format that Pillow reads, or an array in ``.npy`` or ``.npz`` (there its
        array ``x`` or ``images``, or the only one) of shape (N, C, H, W), (N, H, W, C), (N, H, W) or that of a single
        image. Image files become grey or RGB as the model needs, transparency becomes white, and the size is changed
        by Lanczos resampling; arrays must have the model's height and width.
    shape : (int, int, int)
        Channels, height and width.
    invert : bool
        Make dark light: for dark ink on white paper, where the model learned light ink on black.

    Raises
    ------
    DataError
        If the file cannot be read, holds no numbers, or does not have the model's shape.

    Notes
    -----
    Integers are pixels from 0 to 255 and are divided by 255. Floats are taken as they are.
    """
    path = Path(path)
    if path.suffix.lower() in ARRAY_SUFFIXES:
        x = _arrange(_scale(_array(path, ("x", "images")), path), shape, path)
    else:
        x = _decode(path, shape)
    return 1 - x if invert else x


def as_bytes(x: np.ndarray) -> np.ndarray:
    """Return numbers from 0 to 1 as bytes: what ``read_images`` made of pixels, as the pixels.

    Raises ``DataError`` for other numbers.
    """
    if not ((x >= 0) & (x <= 1)).all():
        raise DataError(
            f"the model takes bytes, which are made of numbers from 0 to 1, but these are from {x.min()} to {x.max()}; "
            f"save integers from 0 to 255"
        )
    return np.rint(BRIGHTEST * x).astype(np.uint8)


def read_labelled(path: str | PathLike, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of an ``.npz`` file with arrays ``x`` (or ``images``) and ``y`` (or ``labels``).

    ``x, y = read_labelled("test.npz", (1, 8, 8))``. Images are read as by ``read_images``. Raises ``DataError``.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz":
        raise DataError(f"{path} must be an .npz file with arrays x and y (np.savez(file, x=images, y=labels))")
    return read_images(path, shape), _array(path, ("y", "labels"), named=True)


def _array(path: Path, names: tuple[str, ...], *, named: bool = False) -> np.ndarray:
    """The array of an ``.npy``; of an ``.npz`` the one with one of these names or, unless ``named``, the only one."""
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            have = loaded.files
            chosen = [name for name in names if name in have] or (have if len(have) == 1 and not named else [])
            if chosen:
                return loaded[chosen[0]]
    except Exception as error:
        raise DataError(f"cannot read {path}: {why(error)}") from None
    raise DataError(
        f"{path} holds {', '.join(have) or 'no array'}; name the array {names[0]!r} (np.savez(file, {names[0]}=...))"
    )


def _scale(values: np.ndarray, path: Path) -> np.ndarray:
    if values.dtype.kind == "f":
        return values.astype(np.float32, copy=False)
    if values.dtype.kind == "b":
        return values.astype(np.float32)
    if values.dtype.kind not in "iu":
        raise DataError(f"{path} holds {values.dtype} values; save integers from 0 to 255, or floats")
    if values.size and (values.min() < 0 or values.max() > BRIGHTEST):
        raise DataError(
            f"{path} holds integers from {values.min()} to {values.max()}, but integers are read as pixels from 0 to "
            f"{BRIGHTEST}; scale them yourself and save floats, which are taken as they are"
        )
    return values.astype(np.float32) / BRIGHTEST


def _arrange(x: np.ndarray, shape: Shape, path: Path) -> np.ndarray:
    """Bring an array to (N, C, H, W), or say what the model needs."""
    channels, height, width = shape
    first, last, grey = shape, (height, width, channels), (height, width)
    if x.ndim == 4 and x.shape[1:] == first:
        return x
    if x.ndim == 4 and x.shape[1:] == last:
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    if x.shape == first:
        return x[None]
    if x.shape == last:
        return np.ascontiguousarray(x.transpose(2, 0, 1))[None]
    if channels == 1 and x.shape == grey:
        return x[None, None]
    if channels == 1 and x.ndim == 3 and x.shape[1:] == grey:
        return x[:, None]
    accepted = [f"(N, {channels}, {height}, {width})", f"(N, {height}, {width}, {channels})"]
    accepted += [f"(N, {height}, {width})", str(grey)] if channels == 1 else [str(first), str(last)]
    raise DataError(
        f"{path} holds an array of shape {x.shape}; the model needs {', '.join(accepted[:-1])} or {accepted[-1]}"
    )


def _decode(path: Path, shape: Shape) -> np.ndarray:
    """Read an image file with Pillow: (1, C, H, W), from 0 to 1."""
    from PIL import Image

    channels, height, width = shape
    if channels not in IMAGE_MODES:
        raise DataError(
            f"{path} is an image file, which has 1 or 3 channels, but the model takes {channels}; "
            f"give an .npy or .npz array of shape (N, {channels}, {height}, {width})"
        )
    image = _flatten(open_picture(path, or_array=True)).convert(IMAGE_MODES[channels])
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, dtype=np.float32).reshape(height, width, channels) / BRIGHTEST
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]


def _flatten(image):
    """Put an image on white where it is transparent, and reduce more than 8 bits to 8."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image
