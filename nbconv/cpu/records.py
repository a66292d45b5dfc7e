"""The numbers that describe a convolution to its kernels: records of integers, read by name in Python and in kernels."""

from __future__ import annotations

import numpy as np


def _record(*names):
    return np.dtype([(name, np.int64) for name in names])


GEOMETRY = _record(
    *("images", "height", "width", "channels"),  # of the source
    *("pad_top", "pad_left", "circular", "copied"),  # its border, and whether strips are copied to have one
    *("step_h", "step_w", "reach_h", "reach_w"),  # windows: from one to the next, and how far they reach
    *("grid_height", "grid_width", "result_height"),  # windows, and rows of the result: fewer where it is pooled
    *("strip_images", "strip_rows", "strips_per_image", "strips", "strip_width"),  # width: of a source line, in pixels
    *("groups", "depth", "columns", "depthwise"),  # channels per group, see ``Channels``
    *("lanes", "block", "blocks", "padded", "parts"),  # columns of a tile, of a group; units that share a strip
    *("out_channels", "relu"),
)
PHASE = _record(
    *("first_tap", "taps", "depth"),  # see ``Taps``
    *("first_weight", "weights", "panel"),  # its taps in the weight, and where they begin when packed
    *("first_row", "end_row", "first_column", "end_column"),  # its windows
    *("out_start", "out_image", "out_row", "out_pixel"),  # window (n, i, j) has its result at start + n * image + ...
)
POOL = _record(
    *("fused", "height", "width"),  # of its result
    *("kernel_h", "kernel_w", "step_h", "step_w", "pad_top", "pad_left", "dilation_h", "dilation_w"),
)


def one(dtype, values=()):
    """Return an array of one record with these values, the rest zero; kernels take arrays, not records."""
    array = np.zeros(1, dtype)
    for name, value in dict(values).items():
        array[name] = value
    return array
