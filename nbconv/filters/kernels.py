"""The matrices of filters, in float64. They are laid over the picture as they are (cross-correlation, as ``Conv2d``).

Rows go down and columns to the right. What smooths sums to 1, so that a flat area keeps its brightness; what finds
edges sums to 0, so that a flat area becomes 0. Derivatives are in brightness per pixel: on a ramp that rises by 1 per
pixel they are 1.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np

from ..errors import OptionError
from ..ops.options import flag, integer, number

SMOOTHING_3 = np.array([1.0, 2.0, 1.0]) / 4
SCHARR_SMOOTHING = np.array([3.0, 10.0, 3.0]) / 16
DERIVATIVE = np.array([-1.0, 0.0, 1.0]) / 2
REACH = 3
"""How many standard deviations of a Gaussian its matrix covers on each side."""


def box(size: int = 3) -> np.ndarray:
    """Return the mean of a square: ``box(3)`` is (3, 3), each 1/9. Raises ``OptionError`` for an even size."""
    size = _odd(size)
    return np.full((size, size), 1 / size**2)


def gaussian(sigma: float = 1.0, size: int | None = None) -> np.ndarray:
    """Return a Gaussian blur: ``gaussian(1.5)`` is (11, 11) and sums to 1.

    Weights are exp(-(i^2 + j^2) / (2 sigma^2)), divided by their sum. ``sigma`` is in pixels; ``size`` is odd, and by
    default reaches 3 sigma to each side. Raises ``OptionError``.
    """
    sigma = number(sigma, "sigma", above=0)
    size = 2 * ceil(REACH * sigma) + 1 if size is None else _odd(size)
    line = np.exp(-(_offsets(size) ** 2) / (2 * sigma**2))
    line /= line.sum()
    return np.outer(line, line)


def sharpen(amount: float = 1.0) -> np.ndarray:
    """Return the picture minus ``amount`` times its Laplacian: ``sharpen()`` is [[0, -1, 0], [-1, 5, -1], [0, -1, 0]].

    It sums to 1. Gonzalez & Woods, "Digital image processing", section "Using the second-order derivative for image
    sharpening". Raises ``OptionError`` for a negative amount.
    """
    identity = np.zeros((3, 3))
    identity[1, 1] = 1
    return identity - number(amount, "amount", least=0) * laplacian()


def sobel() -> np.ndarray:
    """Return the pair (2, 3, 3) of ``sobel_x`` and ``sobel_y``; ``apply`` gives the length of the gradient."""
    return np.stack([sobel_x(), sobel_y()])


def sobel_x() -> np.ndarray:
    """Return the derivative to the right, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]] / 8.

    Sobel & Feldman, "A 3x3 isotropic gradient operator for image processing" (1968); mostly written without the 1/8.
    """
    return np.outer(SMOOTHING_3, DERIVATIVE)


def sobel_y() -> np.ndarray:
    """Return the derivative downwards, [[-1, -2, -1], [0, 0, 0], [1, 2, 1]] / 8: the transpose of ``sobel_x``."""
    return sobel_x().T


def scharr() -> np.ndarray:
    """Return the pair (2, 3, 3) of ``scharr_x`` and ``scharr_y``; ``apply`` gives the length of the gradient."""
    return np.stack([scharr_x(), scharr_y()])


def scharr_x() -> np.ndarray:
    """Return the derivative to the right, [[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]] / 32.

    Its length depends less on the direction of an edge than Sobel's. Scharr, "Optimale Operatoren in der digitalen
    Bildverarbeitung" (2000).
    """
    return np.outer(SCHARR_SMOOTHING, DERIVATIVE)


def scharr_y() -> np.ndarray:
    """Return the derivative downwards: the transpose of ``scharr_x``."""
    return scharr_x().T


def laplacian(diagonal: bool = False) -> np.ndarray:
    """Return the sum of the second derivatives, [[0, 1, 0], [1, -4, 1], [0, 1, 0]], in brightness per square pixel.

    With ``diagonal`` it is [[1, 1, 1], [1, -8, 1], [1, 1, 1]] / 3, the mean with the one along the diagonals (weighted
    1 to 2). On x^2 either is 2.
    """
    if flag(diagonal, "diagonal"):
        matrix = np.ones((3, 3))
        matrix[1, 1] = -8
        return matrix / 3
    return np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


def gabor(
    wavelength: float = 8.0,
    angle: float = 0.0,
    sigma: float | None = None,
    size: int | None = None,
    aspect: float = 0.5,
    phase: float = 0.0,
) -> np.ndarray:
    """Return a wave under a Gaussian, which answers to stripes of one width and direction.

    ``gabor(wavelength=6, angle=45)`` is (21, 21).

    Parameters
    ----------
    wavelength : float
        Of the wave, in pixels: at least 2.
    angle : float
        The direction in which the wave runs, in degrees, counter-clockwise: 0 answers to upright stripes.
    sigma : float, optional
        Of the Gaussian along the wave, in pixels; by default 0.56 * wavelength (a bandwidth of one octave).
    size : int, optional
        Odd; by default three sigma to each side.
    aspect : float
        sigma along the wave divided by sigma along the stripes.
    phase : float
        In degrees: 0 answers to a bright line, 90 to an edge.

    Raises
    ------
    OptionError
        If an option is out of range.

    Notes
    -----
    exp(-(u^2 + aspect^2 v^2) / (2 sigma^2)) * cos(2 pi u / wavelength + phase), u along the wave and v along the
    stripes (Daugman, "Uncertainty relation for resolution in space, spatial frequency, and orientation", 1985). The
    mean is taken off, so that a flat area gives 0, and the weights are divided by half of the sum of their absolute
    values, so that the answer lies between -1 and 1 for a picture between 0 and 1.
    """
    wavelength = number(wavelength, "wavelength", least=2)
    sigma = 0.56 * wavelength if sigma is None else number(sigma, "sigma", above=0)
    size = 2 * ceil(REACH * sigma) + 1 if size is None else _odd(size)
    if size < 3:
        raise OptionError(f"size must be at least 3 for gabor: one pixel has no direction, got {size}")
    aspect = number(aspect, "aspect", above=0)
    angle, phase = np.deg2rad(number(angle, "angle")), np.deg2rad(number(phase, "phase"))
    x, up = np.meshgrid(_offsets(size), -_offsets(size))
    u, v = x * np.cos(angle) + up * np.sin(angle), up * np.cos(angle) - x * np.sin(angle)
    wave = np.exp(-(u**2 + (aspect * v) ** 2) / (2 * sigma**2)) * np.cos(2 * np.pi * u / wavelength + phase)
    wave -= wave.mean()
    return 2 * wave / np.abs(wave).sum()


FILTERS: dict[str, Callable[..., np.ndarray]] = {
    "box": box,
    "gaussian": gaussian,
    "sharpen": sharpen,
    "sobel": sobel,
    "sobel_x": sobel_x,
    "sobel_y": sobel_y,
    "scharr": scharr,
    "scharr_x": scharr_x,
    "scharr_y": scharr_y,
    "laplacian": laplacian,
    "gabor": gabor,
}
"""The filters by name: functions that return a matrix (height, width), or several whose answers are one vector."""


def filter_by_name(name: str) -> Callable[..., np.ndarray]:
    """Return a filter's function, or raise ``OptionError`` with the names there are."""
    if name not in FILTERS:
        raise OptionError(f"there is no filter {name!r}; there are {', '.join(FILTERS)}")
    return FILTERS[name]


def _odd(size) -> int:
    size = integer(size, "size")
    if size % 2 == 0:
        raise OptionError(f"size must be odd, so that a filter has a pixel in its middle, got {size}")
    return size


def _offsets(size: int) -> np.ndarray:
    """How far each pixel of a line is from the middle one: ``_offsets(3)`` is [-1, 0, 1]."""
    return np.arange(size) - size // 2.0
