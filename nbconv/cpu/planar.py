"""Convolution to few channels, such as the input gradient of a first layer: lanes run over pixels instead of channels.

Work is cut into bands of rows of an image. A unit copies what its band sees into planes, one for each channel, with the
border; in a plane, windows that are neighbours lie side by side, also across the end of a line: what is computed there
is not used. Results are planes too, until they are pooled, if a pool is fused, and written to the image.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numba import prange

from ..ops.base import Buffer
from . import plane_pool
from .compile import helper, kernel, routine, serial
from .convolution import SERIAL_BELOW, Convolution, share
from .fused_pool import grid_rows, rows_to_pool
from .memory import clear, copy
from .microkernel import CHAIN
from .planar_tiles import eight_columns, four_columns, one_column, three_columns, tile_vectors
from .plane_blocks import BYTES, DENSE, join_bytes, join_planes, split_pixels
from .plane_pool import pool_pixels
from .strips import UNITS, worker_count
from .vector import lanes
from .vectors import REGISTERS

BAND_PIXELS = 1024
"""Pixels of a band, about: enough for full tiles, and few enough for the planes to stay in the cache."""

VECTORS = tuple(tile_vectors(max(1, columns)) for columns in range(9))
"""Vectors of pixels of a tile, by its columns: 8, 4, 3 or 1."""


MANY_REGISTERS = REGISTERS >= 32
"""Whether a tile of eight columns has some vectors of pixels."""

BANDS = np.dtype([(name, np.int64) for name in ("count", "line", "plane", "result_plane", "pooled_plane")])
"""Bands of an image, and elements of a line and of planes."""


class Planar(NamedTuple):
    """What ``convolve_planes`` must know: that of a ``Convolution``, its bands, and offsets in planes."""

    geometry: np.ndarray
    phases: np.ndarray
    pool: np.ndarray
    taps: np.ndarray
    bands: np.ndarray
    offsets: np.ndarray
    weights: dict[str, Buffer]
    scratch: dict[str, Buffer]
    work: int


def serves(c: Convolution) -> bool:
    """Tell whether this kernel can compute a convolution, and faster: at most half of a vector of columns in a group.

    Windows must be one pixel apart, the border zeros, and a pool behind it one of ``plane_pool.py``: to pool in planes
    saves so much that a vector of columns may be full. To see one pixel is not worth the copy.
    """
    g = c.geometry[0]
    most = g["lanes"] if c.pool[0]["fused"] else g["lanes"] // 2
    dense = g["step_h"] == g["step_w"] == 1 and not g["circular"] and not g["depthwise"]
    return bool(dense and _pools(c) and g["columns"] <= most and c.phases["taps"].max() > 1)


def _pools(c):
    """Tell whether this kernel can compute the pool, if there is one."""
    return not c.pool[0]["fused"] or pools_planes(c.geometry, c.pool)


def pools_planes(geometry, pool) -> bool:
    """Tell whether results can be pooled in planes, or their gradient returned to them."""
    g = geometry[0]
    return bool(
        g["groups"] == 1
        and (g["columns"] in DENSE or g["columns"] == g["lanes"])
        and plane_pool.serves(pool, int(g["lanes"]))
    )


def describe(c: Convolution, dtype) -> Planar:
    """Return the same convolution for this kernel."""
    g, most = c.geometry[0], max(VECTORS) * lanes(dtype)
    count, rows, line, points = cut_bands(c.geometry, c.pool, c.work)
    planes = (
        whole_lines(points + (int(g["reach_h"]) - 1) * line + int(g["reach_w"]) + most),
        whole_lines(points + most),
        pooled_plane(c.pool, rows, dtype),
    )
    columns = int(g["columns"])
    sizes = [count * plane for count, plane in zip((int(g["depth"]), columns, columns), planes, strict=True)]
    workers = 1 if c.work < SERIAL_BELOW else worker_count(numba.config.NUMBA_NUM_THREADS, sum(sizes), dtype)
    scratch = {
        "planes": Buffer((workers, sizes[0]), dtype),
        "plane_results": Buffer((workers, sizes[1]), dtype),
        "pooled": Buffer((workers, max(1, sizes[2])), dtype),
        "plane_winners": Buffer((workers, max(1, sizes[2]) + BYTES * columns), "uint8"),
    }
    offsets = _offsets(c, line, planes[0])
    return Planar(
        c.geometry,
        c.phases,
        c.pool,
        c.taps,
        np.array([(count, line, *planes)], BANDS),
        offsets,
        c.weights,
        scratch,
        c.work,
    )


def cut_bands(geometry, pool, work):
    """Return bands of an image, rows of the result and pixels of a line, and windows of a band with its border."""
    g = geometry[0]
    line, height = int((g["grid_width"] - 1) * g["step_w"] + g["reach_w"]), int(g["result_height"])
    rows = max(1, min(height, BAND_PIXELS // int(grid_rows(pool, 1) * line)))
    bands = -(-height // rows)
    bands = max(bands, min(height, -(-UNITS // int(g["images"]))) if work >= SERIAL_BELOW else 1)
    rows = -(-height // bands)
    return bands, rows, line, int(grid_rows(pool, rows)) * line


def pooled_plane(pool, rows, dtype):
    """Return the elements of a plane of so many rows of windows of a pool; none where there is no pool."""
    p = pool[0]
    return whole_lines(rows * int(p["width"]) + max(BYTES, lanes(dtype))) if p["fused"] else 0


def whole_lines(elements):
    """Fill up to whole cache lines: vectors that begin in the midst of one take twice as long."""
    return -(-elements // 16) * 16


def _offsets(c, line, plane):
    """Return where in planes each product reads, from where it reads in images."""
    g = c.geometry[0]
    pixels, channel = np.divmod(c.offsets, int(g["channels"]))
    rows, columns = np.divmod(pixels, int(g["strip_width"]))
    return (rows * line + columns + channel * plane).astype(np.int32)


def bind(p: Planar, source, packed, out, argmax, scratch):
    """Return the call that computes ``out`` (and ``argmax``) from ``source`` and packed weights."""
    call = serial(convolve_planes) if p.work < SERIAL_BELOW else convolve_planes
    argmax = np.empty(0, np.uint8) if argmax is None else argmax
    records = p.geometry, p.phases, p.pool, p.bands, p.offsets
    operands = *records, source.reshape(-1), packed, out.reshape(-1), argmax.reshape(-1)
    buffers = [scratch[name] for name in ("planes", "plane_results", "pooled", "plane_winners")]

    def run():
        call(*operands, *buffers)

    return run


@kernel
def convolve_planes(
    geometry, phases, pool, bands, offsets, source, packed, out, argmax, planes, results, pooled, winners
):
    """Compute all bands of all images; each worker has its own planes, of which the border at the sides stays zero."""
    workers = len(planes)
    for worker in prange(workers):
        g, b, p = geometry[0], bands[0], pool[0]
        clear(planes[worker], 0, planes.shape[1])
        units = g.images * b.count
        for unit in range(worker * units // workers, (worker + 1) * units // workers):
            n, rows = unit // b.count, share(unit % b.count, b.count, g.result_height)
            band = rows_to_pool(p, rows)
            for group in range(g.groups):
                fill_planes(g, b, source, n, band, group, planes[worker])
                for phase in phases:
                    compute_planes(g, b, phase, group, band, offsets, planes[worker], packed, results[worker])
                    if not p.fused:
                        write_results(g, b, phase, n, group, band, results[worker], out)
            if p.fused:
                pool_results(g, b, p, n, rows, results[worker], pooled[worker], winners[worker], out, argmax)


@helper
def fill_planes(g, b, source, n, band, group, planes):
    """Copy what a band sees of an image, channel by channel."""
    line, width, channels = b.line, g.width, g.channels
    first = min(max(0, g.pad_left), line)
    end = max(first, min(line, width + g.pad_left))
    top = band[0] - g.pad_top
    lines = band[1] - band[0] + g.reach_h - 1
    above = min(lines, max(0, -top))
    below = max(above, min(lines, g.height - top))
    for c in range(g.depth):
        clear(planes, c * b.plane, above * line)
    start = ((n * g.height + top + above) * width + first - g.pad_left) * channels + group * g.depth
    steps, size = (width * channels, channels), (below - above, end - first, g.depth)
    split_lines(source, start, steps, size, g.lanes, planes, above * line + first, (line, b.plane))
    for c in range(g.depth):
        clear(planes, c * b.plane + below * line, (lines - below) * line)


@routine
def split_lines(source, start, steps, size, lanes, planes, place, plane_steps):
    """Copy lines of pixels to planes; zeros follow each line, up to a whole vector.

    ``size`` are lines, pixels and channels, ``steps`` those of lines and pixels, ``plane_steps`` of lines and planes.
    """
    for i in range(size[0]):
        for k in range(0, size[2], lanes):
            for w in range(0, size[1], lanes):
                here, there = (
                    start + i * steps[0] + w * steps[1] + k,
                    place + i * plane_steps[0] + k * plane_steps[1] + w,
                )
                block = min(lanes, size[1] - w), min(lanes, size[2] - k)
                split_pixels(source, here, steps[1], block, planes, there, plane_steps[1])


@helper
def compute_planes(g, b, phase, group, band, offsets, planes, packed, results):
    """Compute all columns of a phase, some at a time: each needs no more than a chain of products in one go."""
    offsets = offsets[phase.first_product : phase.first_product + phase.products]
    panel, relu, pixels = (
        phase.panel + group * g.padded * (1 + phase.products),
        g.relu != 0,
        (band[1] - band[0]) * b.line,
    )
    plane, lanes, products, count = b.result_plane, g.lanes, phase.products, g.columns
    column = 0
    while column < count:
        left = count - column
        columns = 8 if MANY_REGISTERS and left >= 8 else 4 if left >= 4 and left != 6 else 3 if left >= 3 else 1
        size = VECTORS[columns] * lanes
        weights = panel + column, lanes
        for pixel in range(0, pixels, size):
            place, start = (column * plane + pixel, plane), 0
            while start == 0 or start < products:
                some, onto = (start, min(products, start + CHAIN)), start > 0
                gate = relu and start + CHAIN >= products
                if columns == 8:
                    eight_columns(planes, pixel, offsets, some, packed, weights, results, place, onto, gate)
                elif columns == 4:
                    four_columns(planes, pixel, offsets, some, packed, weights, results, place, onto, gate)
                elif columns == 3:
                    three_columns(planes, pixel, offsets, some, packed, weights, results, place, onto, gate)
                else:
                    one_column(planes, pixel, offsets, some, packed, weights, results, place, onto, gate)
                start += CHAIN
        column += columns


@helper
def write_results(g, b, phase, n, group, band, results, out):
    """Write the results of windows to their places in the image."""
    first, end = max(band[0], phase.first_row), min(band[1], phase.end_row)
    start = phase.out_start + n * phase.out_image + first * phase.out_row + phase.first_column * phase.out_pixel
    pixel, size = (first - band[0]) * b.line + phase.first_column, (end - first, phase.end_column - phase.first_column)
    steps, plane_steps = (phase.out_row, phase.out_pixel), (b.line, b.result_plane)
    join_lines(results, pixel, plane_steps, (*size, g.columns), g.lanes, out, start + group * g.columns, steps)


@routine
def join_lines(planes, place, plane_steps, size, lanes, target, start, steps):
    """Copy lines of planes to pixels: the reverse of ``split_lines``."""
    for i in range(size[0]):
        for w in range(0, size[1], lanes):
            here, there = place + i * plane_steps[0] + w, start + i * steps[0] + w * steps[1]
            join_planes(planes, here, plane_steps[1], (min(lanes, size[1] - w), size[2]), target, there, steps[1])


@helper
def pool_results(g, b, p, n, rows, results, pooled, winners, out, argmax):
    """Pool the results of a band, in planes without gaps, and write these to the image."""
    line, plane, lanes, columns, step, width = p.step_h * b.line, b.result_plane, g.lanes, g.columns, p.step_w, p.width
    windows, pooled_plane, next_line = (rows[1] - rows[0]) * width, b.pooled_plane, b.line
    for column in range(columns):
        for i in range(rows[1] - rows[0]):
            start, place = column * plane + i * line, column * pooled_plane + i * width
            for j in range(0, width, lanes):
                pool_pixels(results, start + j * step, next_line, step, pooled, winners, place + j)
    start = (n * p.height + rows[0]) * width * columns
    join_lines(pooled, 0, (0, pooled_plane), (1, windows, columns), lanes, out, start, (0, columns))
    spare = columns * pooled_plane
    for j in range(0, windows, BYTES):
        count = min(BYTES, windows - j) * columns
        if count == BYTES * columns:
            join_bytes(winners, j, pooled_plane, columns, argmax, start + j * columns)
        else:
            join_bytes(winners, j, pooled_plane, columns, winners, spare)
            copy(winners, spare, argmax, start + j * columns, count)
