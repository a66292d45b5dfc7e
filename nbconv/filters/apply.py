"""A filter over a picture of any size: a convolution per channel."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np

from ..data.checks import as_array
from ..engine.registry import Device
from ..errors import DataError, OptionError, ShapeError
from ..functional.conv import conv2d
from .kernels import filter_by_name

BORDERS = {"reflect": "reflect", "edge": "edge", "zeros": "constant", "circular": "wrap"}
"""What lies beyond the edge of a picture, by our name and by NumPy's: the picture mirrored, its outermost pixels, zeros
(black), or the picture again."""

ALPHA = {2: 1, 4: 3}
"""For a number of channels, which of them is opacity: grey and alpha, red, green, blue and alpha."""
SEPARABLE = 1e-12
"""A matrix is a column times a row where its second singular value is this small a part of the first."""

SUMS_TO_ONE = 1e-5
"""How far the sum of a matrix in float32 may be from 1."""


def apply(image, kernel, *, border: str = "reflect", device: str | Device = "cpu") -> np.ndarray:
    """Filter a picture: (H, W), (H, W, 3) or (H, W, 4) give the same shape.

    ``apply(photo, "sobel")`` is the strength of the edges; ``apply(photo, gaussian(sigma=3))`` is the photo, blurred.

    Parameters
    ----------
    image : array
        Grey (H, W) or (H, W, 1), with alpha (H, W, 2), colour (H, W, 3), with alpha (H, W, 4); integers or floats.
    kernel : str or array
        A name of ``FILTERS``, or a matrix with odd sides. Of several matrices (K, h, w) the answers are taken as a
        vector, and the result is its length: that is how "sobel" and "scharr" give the strength of an edge.
    border : "reflect", "edge", "zeros" or "circular"
        What lies beyond the edges.
    device : str
        What computes.

    Returns
    -------
    array
        float64 for float64, else float32, in the units of the image: nothing is clipped or rounded.

    Raises
    ------
    DataError, ShapeError, OptionError
        Before anything is computed.

    Notes
    -----
    Channels are filtered one by one. With alpha, colours count by their opacity, so that what is invisible does not
    show: a filter that sums to 1 gives the alpha-weighted mean of the colours and filters alpha too; any other leaves
    alpha as it is. A large matrix that is a column times a row (box, Gaussian) is applied as these two.
    """
    checked = _checked_image(image)
    matrices = _checked_kernel(kernel, checked.dtype)
    if border not in BORDERS:
        raise OptionError(f"border must be one of {', '.join(map(repr, BORDERS))}, got {border!r}")
    planes = checked[..., None] if checked.ndim == 2 else checked

    def answer(plane: np.ndarray) -> np.ndarray:
        return _length(_correlate(plane, matrices, BORDERS[border], device))

    alpha = ALPHA.get(planes.shape[2])
    if alpha is None:
        result = np.stack([answer(planes[..., c]) for c in range(planes.shape[2])], axis=-1)
    else:
        full = of_full_range(np.asarray(image).dtype)
        result = _with_alpha(planes, alpha, full, answer, filters_alpha=keeps_brightness(matrices))
    return result.reshape(checked.shape)


def keeps_brightness(matrices: np.ndarray) -> bool:
    """Whether a filter leaves a flat area as it is: one matrix whose sum is 1."""
    single = matrices.ndim == 2 or len(matrices) == 1
    return single and bool(abs(matrices.sum(dtype=np.float64) - 1) < SUMS_TO_ONE)


def of_full_range(dtype: np.dtype) -> float:
    """The largest brightness: that of the integer type, and 1 for floats and booleans."""
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0


def _with_alpha(planes: np.ndarray, alpha: int, full: float, answer, *, filters_alpha: bool) -> np.ndarray:
    """Filter the colours before channel ``alpha``, by its opacity from 0 to 1, which is ``full`` in the picture."""
    opacity = planes[..., alpha] / planes.dtype.type(full)
    result = planes.copy()
    for c in range(alpha):
        result[..., c] = answer(planes[..., c] * opacity)
    if filters_alpha:
        filtered = answer(opacity)
        visible = filtered > 0
        result[..., :alpha] /= np.where(visible, filtered, 1)[..., None]
        result[~visible, :alpha] = 0
        result[..., alpha] = filtered * planes.dtype.type(full)
    return result


def _correlate(plane: np.ndarray, matrices: np.ndarray, mode: Any, device) -> np.ndarray:
    """(H, W) and (K, h, w) give (K, H, W)."""
    halves = [size // 2 for size in matrices.shape[1:]]
    x = np.pad(plane, [(half, half) for half in halves], mode=mode)[None, None]
    factors = _factors(matrices)
    for weight in (matrices,) if factors is None else factors:
        x = conv2d(x, weight[:, None], device=device)
    return x[0]


def _factors(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """A column and a row whose product is the matrix, where there are such and they are less work."""
    count, h, w = matrices.shape
    if count > 1 or h * w <= 4 * (h + w):
        return None
    u, s, v = np.linalg.svd(matrices[0].astype(np.float64))
    if s[1] > max(SEPARABLE, np.finfo(matrices.dtype).eps * max(h, w)) * s[0]:
        return None
    scale = np.sqrt(s[0])
    return tuple((scale * part).astype(matrices.dtype)[None] for part in (u[:, :1], v[:1]))


def _length(answers: np.ndarray) -> np.ndarray:
    return answers[0] if len(answers) == 1 else np.sqrt(np.square(answers).sum(axis=0))


def _checked_image(image) -> np.ndarray:
    if isinstance(image, (str, bytes, PathLike)):
        raise DataError(
            f"image must be an array, got the name {str(image)!r}: read it with nbconv.data.pictures.read_picture, or "
            f"filter file to file with nbconv.filters.filter_picture"
        )
    image = as_array(image, "image")
    if image.dtype.kind not in "biuf":
        raise DataError(f"image must hold real numbers, got dtype {image.dtype}")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 2, 3, 4)):
        mend = (
            "; channels come last: use image.transpose(1, 2, 0)"
            if image.ndim == 3 and image.shape[0] in (1, 3, 4)
            else ""
        )
        raise ShapeError(f"image must be (H, W), or (H, W, channels) with 1 to 4 channels, got {image.shape}{mend}")
    if not image.size:
        raise DataError(f"image is empty: it has shape {image.shape}")
    return image.astype(np.float64 if image.dtype.name == "float64" else np.float32, copy=False)


def _checked_kernel(kernel, dtype) -> np.ndarray:
    """A kernel as matrices (K, h, w) of the image's dtype."""
    if callable(kernel):
        name = getattr(kernel, "__name__", "kernel")
        raise DataError(f"kernel must be a matrix or a name, got the function {name}: call it, as in {name}()")
    matrices = filter_by_name(kernel)() if isinstance(kernel, str) else as_array(kernel, "kernel")
    if matrices.dtype.kind not in "biuf" or not np.isfinite(matrices).all():
        raise DataError(f"kernel must hold finite real numbers, got {matrices.dtype} {matrices.tolist()!r:.60}")
    if matrices.ndim not in (2, 3) or not matrices.size or not all(size % 2 for size in matrices.shape[-2:]):
        raise ShapeError(
            f"kernel must be (height, width) or (K, height, width) with odd height and width, so that the picture "
            f"stays where it is, got {matrices.shape}; fill it up with zeros"
        )
    return matrices.reshape(-1, *matrices.shape[-2:]).astype(dtype)
