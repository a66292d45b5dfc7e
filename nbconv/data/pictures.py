"""Picture files as arrays and back, with Pillow: as they are, neither resized nor scaled."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

import numpy as np

from ..errors import DataError, FileFormatError

UNSCALED_MODES = {"F": "a float", "I": "a 32-bit integer"}
KEPT_MODES = ("L", "LA", "RGB", "RGBA")
HOLDS_16_BITS = ("PNG", "TIFF", "PPM", "JPEG2000")
"""Formats that keep 16 bits of grey; Pillow writes others all white, or not at all."""
ANY_PICTURE = ".png can hold every picture"
RESIZES = ("ICO", "ICNS")
"""Formats of icons, whose sizes are fixed: Pillow writes any other picture in another size."""


def read_picture(path: str | PathLike) -> np.ndarray:
    """Return a picture as uint8 (H, W), (H, W, 2), (H, W, 3) or (H, W, 4): grey or colour, each with alpha or without.

    ``read_picture("photo.jpg")`` gives (480, 640, 3). Grey with 16 bits gives uint16 (H, W). The picture is turned
    upright as its EXIF says; palettes and other colour spaces become RGB. Raises ``DataError``.
    """
    return _pixels(open_picture(path))


def write_picture(path: str | PathLike, pixels: np.ndarray) -> None:
    """Write what ``read_picture`` returns, in the format that the name ends in; an existing file is replaced.

    ``write_picture("edges.png", pixels)``. Raises ``FileFormatError`` if the folder is missing or the format cannot
    hold such a picture.
    """
    path = check_picture_path(path)
    check_holds(path, pixels)
    image = _image(pixels)
    scratch = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        image.save(scratch)
        os.replace(scratch, path)
    except (OSError, ValueError) as error:
        hint = f"; {ANY_PICTURE}" if path.suffix.lower() != ".png" else ""
        raise FileFormatError(f"cannot write {path}: {error}{hint}") from None
    finally:
        scratch.unlink(missing_ok=True)


def check_picture_path(path: str | PathLike) -> Path:
    """Return the path of a picture that can be written, or raise ``FileFormatError`` and say why it cannot."""
    from PIL import Image

    path = Path(path)
    if not path.parent.is_dir():
        raise FileFormatError(f"cannot write {path}: there is no folder {path.parent}; create it first")
    if path.is_dir():
        raise FileFormatError(f"cannot write {path}: it is a folder; name a file in it")
    if not os.access(path.parent, os.W_OK):
        raise FileFormatError(f"cannot write {path}: the folder {path.parent.absolute()} is not writable")
    format = _format(path)
    if format not in Image.SAVE:
        kind = f"{path.suffix!r} is no format of pictures" if path.suffix else "its name ends in no format"
        raise FileFormatError(f"cannot write {path}: {kind}; use .png, .jpg, .tif or another one")
    if format in RESIZES:
        raise FileFormatError(f"cannot write {path}: {format} holds icons, and would change the size; {ANY_PICTURE}")
    return path


def _format(path: Path) -> str | None:
    from PIL import Image

    return Image.registered_extensions().get(path.suffix.lower())


def check_holds(path: Path, pixels: np.ndarray) -> None:
    """Raise ``FileFormatError`` unless the format that the name ends in keeps numbers as large as these can be."""
    if pixels.dtype == np.uint16 and _format(path) not in HOLDS_16_BITS:
        raise FileFormatError(
            f"cannot write {path}: the picture has 16 bits per pixel, which {path.suffix} cannot hold; use .png or .tif"
        )


def open_picture(path: str | PathLike, *, or_array: bool = False):
    """Return a file as a Pillow image, decoded and upright; raise ``DataError`` if it is no picture with known range.

    With ``or_array`` the error also offers array files, for whoever takes both.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            image.load()
    except UnidentifiedImageError:
        arrays = ", .npy or .npz" if or_array else ""
        raise DataError(f"{path} is no image that can be read; give .png, .jpg or another image{arrays}") from None
    except Exception as error:
        raise DataError(f"cannot read {path}: {why(error)}") from None
    if image.mode in UNSCALED_MODES:
        arrays = ", or as .npy with floats scaled as the model needs" if or_array else ""
        raise DataError(
            f"{path} has {UNSCALED_MODES[image.mode]} per pixel, whose range is not known; "
            f"save it with 8 or 16 bits{arrays}"
        )
    return image


def why(error: Exception) -> str:
    """What went wrong with a file, in words for somebody who did not write the reader."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if "Object arrays" in str(error):
        return "it holds an object array, which may run code when read; save numbers of one shape instead (np.stack)"
    if "allow_pickle" in str(error):
        return "it is no array file, whatever its name says; write it with np.save or np.savez"
    return f"it is damaged or of another kind ({str(error).splitlines()[0] if str(error) else type(error).__name__})"


def _pixels(image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode not in KEPT_MODES:
        grey = image.mode in ("1", "La") or image.mode.startswith("L")
        image = image.convert(("L" if grey else "RGB") + "A" * image.has_transparency_data)
    elif image.has_transparency_data and not image.mode.endswith("A"):
        image = image.convert(image.mode + "A")
    return np.array(image)


def _image(pixels: np.ndarray):
    from PIL import Image

    if pixels.dtype == np.uint16:
        return Image.frombytes("I;16", pixels.shape[::-1], pixels.astype("<u2").tobytes())
    return Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
