"""Convolution to few channels, such as the input gradient of a first layer: lanes run over pixels instead of channels.

Work is cut into bands of rows of an image. A unit copies what its band sees into planes, one for each channel, with the
border; in a plane, windows that are neighbours lie side by side, also across the end of a line: what is computed there
is not used. Results are planes too, until they are written to the image.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numba import prange

from ..ops.base import Buffer
from .compile import helper, kernel, serial
from .convolution import SERIAL_BELOW, Convolution, share
from .memory import clear
from .microkernel import CHAIN
from .planar_tiles import eight_columns, four_columns, one_column, three_columns, tile_vectors
from .plane_blocks import join_planes, split_pixels
from .strips import UNITS, worker_count
from .vector import lanes

BAND_PIXELS = 1024
"""Pixels of a band, about: enough for full tiles, and few enough for the planes to stay in the cache."""

VECTORS = tuple(tile_vectors(max(1, columns)) for columns in range(9))
"""Vectors of pixels of a tile, by its columns: 8, 4, 3 or 1."""


BANDS = np.dtype([(name, np.int64) for name in ("rows", "count", "line", "plane", "result_plane")])
"""Rows of a band, bands of an image, and elements of a line and of planes."""


class Planar(NamedTuple):
    """What ``convolve_planes`` must know: that of a ``Convolution``, its bands, and offsets in planes."""

    geometry: np.ndarray
    phases: np.ndarray
    taps: np.ndarray
    bands: np.ndarray
    offsets: np.ndarray
    weights: dict[str, Buffer]
    scratch: dict[str, Buffer]
    work: int


def serves(c: Convolution) -> bool:
    """Tell whether this kernel can compute a convolution, and faster: at most half of a vector of columns in a group.

    Windows must be one pixel apart, the border zeros, and no pool behind it. To see one pixel is not worth the copy.
    """
    g = c.geometry[0]
    dense = g["step_h"] == g["step_w"] == 1 and not g["circular"] and not c.pool[0]["fused"]
    return bool(dense and not g["depthwise"] and 2 * g["columns"] <= g["lanes"] and c.phases["taps"].max() > 1)


def describe(c: Convolution, dtype) -> Planar:
    """Return the same convolution for this kernel."""
    g, most = c.geometry[0], max(VECTORS) * lanes(dtype)
    line = int((g["grid_width"] - 1) * g["step_w"] + g["reach_w"])
    rows = max(1, min(int(g["grid_height"]), BAND_PIXELS // line))
    bands = -(-int(g["grid_height"]) // rows)
    bands = max(bands, min(int(g["grid_height"]), -(-UNITS // int(g["images"]))) if c.work >= SERIAL_BELOW else 1)
    rows = -(-int(g["grid_height"]) // bands)
    plane = _whole_lines((rows + int(g["reach_h"]) - 1) * line + int(g["reach_w"]) + most)
    result_plane = _whole_lines(rows * line + most)
    band = np.array([(rows, bands, line, plane, result_plane)], BANDS)
    planes, results = int(g["depth"]) * plane, int(g["columns"]) * result_plane
    workers = 1 if c.work < SERIAL_BELOW else worker_count(numba.config.NUMBA_NUM_THREADS, planes + results, dtype)
    scratch = {"planes": Buffer((workers, planes), dtype), "plane_results": Buffer((workers, results), dtype)}
    return Planar(c.geometry, c.phases, c.taps, band, _offsets(c, line, plane), c.weights, scratch, c.work)


def _whole_lines(elements):
    """Fill up to whole cache lines: vectors that begin in the midst of one take twice as long."""
    return -(-elements // 16) * 16


def _offsets(c, line, plane):
    """Return where in planes each product reads, from where it reads in images."""
    g = c.geometry[0]
    pixels, channel = np.divmod(c.offsets, int(g["channels"]))
    rows, columns = np.divmod(pixels, int(g["strip_width"]))
    return (rows * line + columns + channel * plane).astype(np.int32)


def bind(p: Planar, source, packed, out, argmax, scratch):
    """Return the call that computes ``out`` from ``source`` and packed weights; ``argmax`` is not in use."""
    call = serial(convolve_planes) if p.work < SERIAL_BELOW else convolve_planes
    operands = p.geometry, p.phases, p.bands, p.offsets, source.reshape(-1), packed, out.reshape(-1)
    buffers = scratch["planes"], scratch["plane_results"]

    def run():
        call(*operands, *buffers)

    return run


@kernel
def convolve_planes(geometry, phases, bands, offsets, source, packed, out, planes, results):
    """Compute all bands of all images; each worker has its own planes, of which the border at the sides stays zero."""
    workers = len(planes)
    for worker in prange(workers):
        g, b = geometry[0], bands[0]
        clear(planes[worker], 0, planes.shape[1])
        units = g.images * b.count
        for unit in range(worker * units // workers, (worker + 1) * units // workers):
            n, band = unit // b.count, share(unit % b.count, b.count, g.grid_height)
            for group in range(g.groups):
                fill_planes(g, b, source, n, band, group, planes[worker])
                for phase in phases:
                    compute_planes(g, b, phase, group, band, offsets, planes[worker], packed, results[worker])
                    write_results(g, b, phase, n, group, band, results[worker], out)


@helper
def fill_planes(g, b, source, n, band, group, planes):
    """Copy what a band sees of an image, channel by channel."""
    first = min(max(0, g.pad_left), b.line)
    end = max(first, min(b.line, g.width + g.pad_left))
    for line in range(band[0], band[1] + g.reach_h - 1):
        h, at = line - g.pad_top, (line - band[0]) * b.line
        start = ((n * g.height + h) * g.width + first - g.pad_left) * g.channels + group * g.depth
        for k in range(0, g.depth, g.lanes):
            depth = min(g.lanes, g.depth - k)
            if 0 <= h < g.height:
                for w in range(first, end, g.lanes):
                    size = min(g.lanes, end - w), depth
                    pixel, place = start + (w - first) * g.channels + k, k * b.plane + at + w
                    split_pixels(source, pixel, g.channels, size, planes, place, b.plane)
            else:
                for c in range(k, k + depth):
                    clear(planes, c * b.plane + at, b.line)


@helper
def compute_planes(g, b, phase, group, band, offsets, planes, packed, results):
    """Compute all columns of a phase, some at a time: each needs no more than a chain of products in one go."""
    offsets = offsets[phase.first_product : phase.first_product + phase.products]
    panel, relu, pixels = (
        phase.panel + group * g.padded * (1 + phase.products),
        g.relu != 0,
        (band[1] - band[0]) * b.line,
    )
    column = 0
    while column < g.columns:
        left = g.columns - column
        columns = 8 if left >= 8 else 4 if left >= 4 and left != 6 else 3 if left >= 3 else 1
        vectors = VECTORS[columns]
        weights = panel + column, g.lanes
        for pixel in range(0, pixels, vectors * g.lanes):
            place, start = (column * b.result_plane + pixel, b.result_plane), 0
            while start == 0 or start < phase.products:
                some, last = (start, min(phase.products, start + CHAIN)), start + CHAIN >= phase.products
                if columns == 8:
                    eight_columns(
                        planes, pixel, offsets, some, packed, weights, results, place, start > 0, relu and last
                    )
                elif columns == 4:
                    four_columns(
                        planes, pixel, offsets, some, packed, weights, results, place, start > 0, relu and last
                    )
                elif columns == 3:
                    three_columns(
                        planes, pixel, offsets, some, packed, weights, results, place, start > 0, relu and last
                    )
                else:
                    one_column(planes, pixel, offsets, some, packed, weights, results, place, start > 0, relu and last)
                start += CHAIN
        column += columns


@helper
def write_results(g, b, phase, n, group, band, results, out):
    """Write the results of windows to their places in the image."""
    for i in range(max(band[0], phase.first_row), min(band[1], phase.end_row)):
        start = phase.out_start + n * phase.out_image + i * phase.out_row + group * g.columns
        for j in range(phase.first_column, phase.end_column, g.lanes):
            size, pixel = (min(g.lanes, phase.end_column - j), g.columns), (i - band[0]) * b.line + j
            join_planes(results, pixel, b.result_plane, size, out, start + j * phase.out_pixel, phase.out_pixel)
