"""Filters designed by hand, on a photograph (``filters_on_a_photograph.py photo.jpg``) or on a drawn scene."""

import sys

import numpy as np
from _figure import figure, finish, options, picture
from _scene import scene

import nbconv as nc
from nbconv.data.pictures import read_picture
from nbconv.errors import DataError

args = options(__doc__, "filters_on_a_photograph", "photo")
try:
    photo = read_picture(args.photo) if args.photo else scene()
except DataError as error:
    sys.exit(f"filters_on_a_photograph.py: {error}")
what = "photograph" if args.photo else "drawn scene"
if photo.ndim == 3:  # alpha, the last of 2 or 4 channels, is left out
    photo = photo[..., :3] if photo.shape[2] > 2 else photo[..., 0]
colour = photo / np.iinfo(photo.dtype).max
grey = colour.mean(axis=2) if colour.ndim == 3 else colour

filters = nc.filters
blurred = filters.apply(colour, filters.gaussian(sigma=3))
sharp = filters.apply(colour, filters.sharpen(2))
panels = [
    (f"the {what}" if args.photo else f"a {what}", colour, {}),
    ("Gaussian blur, sigma 3 pixels", blurred.clip(0, 1), {}),
    ("sharpened by twice the Laplacian", sharp.clip(0, 1), {}),
    ("Sobel: derivative to the right", filters.apply(grey, "sobel_x"), {"cmap": "RdBu_r"}),
    ("Sobel: derivative downwards", filters.apply(grey, "sobel_y"), {"cmap": "RdBu_r"}),
    ("Sobel: length of the gradient", filters.apply(grey, "sobel"), {"cmap": "magma", "vmin": 0}),
    (
        f"Laplacian of the blurred {what}",
        filters.apply(filters.apply(grey, "gaussian"), "laplacian"),
        {"cmap": "RdBu_r"},
    ),
    ("Gabor: upright stripes, 8 pixels", filters.apply(grey, filters.gabor(8, 0)), {"cmap": "RdBu_r"}),
    ("Gabor: level stripes, 8 pixels", filters.apply(grey, filters.gabor(8, 90)), {"cmap": "RdBu_r"}),
]

aspect = grey.shape[0] / grey.shape[1]
page, grid = figure(12, 4 * 3 * aspect + 1.3, 3, 3)
for axes, (title, pixels, how) in zip(grid.flat, panels, strict=True):
    if how:  # stretched to the range that nearly all pixels lie in
        most = abs(pixels).max() if pixels.size < 100 else sorted(abs(pixels).ravel())[int(0.995 * (pixels.size - 1))]
        how = {"vmax": most, "vmin": -most} | how
    picture(axes, pixels, title, **({"cmap": "gray"} | how if pixels.ndim == 2 else how))
page.suptitle(
    "A few fixed numbers blur, sharpen and find edges (red: brighter, blue: darker, white: no change)", weight="bold"
)

strength = filters.apply(grey, "sobel")
share = (strength > 0.1 * strength.max()).mean()
finish(page, args.output, f"a fixed convolution finds the edges, which are {share:.0%} of this picture's pixels")
