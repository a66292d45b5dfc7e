"""Filters designed by hand: fixed convolutions for pictures, on the kernels that nets are trained with.

    edges = nc.filters.apply(picture, "sobel")                          # (H, W) or (H, W, 3) -> the same
    soft = nc.filters.apply(picture, nc.filters.gaussian(sigma=2.5))    # a filter with options is its matrix

``FILTERS`` has them by name; each is a function that returns its matrix. ``nbconv filter`` does it to files.
"""

from .apply import BORDERS, apply
from .kernels import (
    FILTERS,
    box,
    gabor,
    gaussian,
    laplacian,
    scharr,
    scharr_x,
    scharr_y,
    sharpen,
    sobel,
    sobel_x,
    sobel_y,
)
from .picture import filter_picture

__all__ = [
    "BORDERS",
    "FILTERS",
    "apply",
    "box",
    "filter_picture",
    "gabor",
    "gaussian",
    "laplacian",
    "scharr",
    "scharr_x",
    "scharr_y",
    "sharpen",
    "sobel",
    "sobel_x",
    "sobel_y",
]
