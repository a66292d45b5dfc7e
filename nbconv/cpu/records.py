"""The numbers that describe a convolution to its kernels: records of integers, read by name here and in kernels."""

from __future__ import annotations

import numpy as np

from .vector import lanes


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
    *("first_tap", "taps"),  # its taps, in the list of all phases' taps
    *("first_product", "products", "panel"),  # a tap has ``depth`` products; the panel is where its weights are packed
    *("first_row", "end_row", "first_column", "end_column"),  # its windows
    *("out_start", "out_image", "out_row", "out_pixel"),  # window (n, i, j) has its result at start + n * image + ...
)
POOL = _record(
    *("fused", "height", "width", "image_height", "image_width", "channels"),  # of its result, and of what it pools
    *("kernel_h", "kernel_w", "step_h", "step_w", "pad_top", "pad_left", "dilation_h", "dilation_w"),
)
TILES = _record(
    *("points", "outputs", "taps", "across"),  # of Winograd's tiles, on each axis; and tiles in a row
    *("vectors", "filter_vectors"),  # of a group's channels, and of the filters that are multiplied together
)
WINDOWS = _record(
    *("height", "width", "channels", "groups", "out_height", "out_width"),  # of x and of y
    *("kernel_h", "kernel_w", "step_h", "step_w", "pad_top", "pad_left", "dilation_h", "dilation_w", "circular"),
)
SUMS = _record(
    *("rows", "wide_rows", "narrow_rows"),  # of the weight, of a wide tile, of a narrow one
    *("wide_blocks",),  # blocks of a group in wide tiles
    *("wide_tiles", "narrow_tiles", "tiles"),  # tiles of a wide block, of a narrow one, of all
    *("slot", "pieces", "bias"),  # elements of a tile, partial sums, and whether the bias is wanted
)


def one(dtype, values=()):
    """Return an array of one record with these values, the rest zero; kernels take arrays, not records."""
    array = np.zeros(1, dtype)
    for name, value in dict(values).items():
        array[name] = value
    return array


def channel_record(dtype, channels):
    """Return a geometry that knows nothing but ``channels``, a ``Channels``: what packing of weights depends on."""
    return one(
        GEOMETRY,
        (
            *zip(("groups", "depth", "columns", "depthwise"), channels, strict=True),
            *zip(("lanes", "block"), (lanes(dtype), channels.block(dtype)), strict=True),
            *zip(("blocks", "padded"), (channels.blocks(dtype), channels.padded(dtype)), strict=True),
        ),
    )


def geometry_record(dtype, source, rows, columns, channels, out_channels):
    """Return the record of windows over images of shape ``source``; strips, pool and activation are set elsewhere.

    ``rows`` and ``columns`` are each an ``Axis``, ``channels`` is a ``Channels``.
    """
    geometry = channel_record(dtype, channels)
    copied = rows.has_border or columns.has_border
    for names, values in (
        (("images", "height", "width", "channels"), source),
        (("pad_top", "step_h", "reach_h", "grid_height"), rows[1:5]),
        (("pad_left", "step_w", "reach_w", "grid_width"), columns[1:5]),
        (("copied", "strip_width"), (copied, columns.extent if copied else columns.size)),
        (("result_height", "out_channels"), (rows.count, out_channels)),
    ):
        for name, value in zip(names, values, strict=True):
            geometry[name] = value
    return geometry


def windows_record(op, x_shape, y_shape, pads):
    """Return the record of windows over x (N, H, W, C) that make y, with a border (top, bottom, left, right)."""
    values = (*x_shape[1:], op.groups, *y_shape[1:3], *op.kernel_size, *op.stride, pads[0], pads[2])
    return one(WINDOWS, zip(WINDOWS.names, (*values, *op.dilation, op.padding_mode == "circular"), strict=True))
