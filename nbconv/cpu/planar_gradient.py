"""The gradients of weights and biases of convolutions to few channels: sums over pixels, with lanes over pixels.

As in ``planar.py``, images are cut into bands, and each channel of x that a band sees has a plane. So has each channel
of dy, with lines as long: zeros stand where a window would reach from one line into the next. If a pool is fused, the
planes of dy are filled from what comes back to the pool, and the gradient of the results is never in memory as images.

Bands are shared out to a number of *pieces* that depends on shapes only; these are added in order, and lanes at last.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numba import prange, uint64

from ..ops.base import Buffer
from .compile import helper, kernel, sequential, serial
from .convolution import SERIAL_BELOW, share
from .fused_pool import rows_to_pool
from .geometry import Axis, Channels
from .memory import clear, copy
from .planar import BANDS, cut_bands, fill_planes, pooled_plane, pools_planes, split_lines, whole_lines
from .planar_tiles import SUM_COLUMNS, SUM_ROWS, sum_pixels
from .plane_blocks import BYTES, split_bytes
from .plane_pool import unpool_pixels
from .records import geometry_record
from .strips import worker_count
from .vector import lanes

PIECE_PIXELS = 1024
"""Pixels of a piece at least: each costs an addition of the weight's size."""

MOST_PIECES = 32
"""Pieces at most, so that there is work for as many cores."""

PIECE_ELEMENTS = 1 << 18
"""Elements of the partial sums of all pieces at most, unless one piece has more."""


class PlanarGradient(NamedTuple):
    """What the kernels must know: records, where each weight reads x, and what buffers are needed."""

    geometry: np.ndarray
    bands: np.ndarray
    pool: np.ndarray
    offsets: np.ndarray
    scratch: dict[str, Buffer]
    work: int

    @property
    def pooled(self) -> bool:
        """Whether dy is that of the pool's result."""
        return bool(self.pool[0]["fused"])


def describe(
    dtype, source, rows: Axis, columns: Axis, channels: Channels, filters, *, relu, pool, circular
) -> PlanarGradient | None:
    """Return the ``PlanarGradient`` of a convolution over images of shape ``source``, or ``None`` if another is faster.

    ``pool`` is the record of a pool behind it. Filters fill at most half of a vector.
    """
    geometry = geometry_record(dtype, source, rows, columns, channels, filters)
    geometry["relu"] = relu
    if not (pools_planes(geometry, pool) and pool[0]["step_h"] * pool[0]["height"] == rows.count):
        pool = np.zeros_like(pool)  # x may be infinite where a pool leaves out rows: their zeros count
    g = geometry[0]
    taps = len(rows.phases[0].taps) * len(columns.phases[0].taps)
    if (
        circular
        or channels.depthwise
        or not g["step_h"] == g["step_w"] == 1
        or taps == 1
        or 2 * g["columns"] > g["lanes"]
    ):
        return None
    if pool[0]["fused"]:
        geometry["result_height"] = pool[0]["height"]
    products = taps * channels.depth
    work = source[0] * rows.count * columns.count * filters * products
    return _describe(dtype, geometry, pool, _offsets(g, rows, columns), products, work)


def _describe(dtype, geometry, pool, place_offsets, products, work):
    g = geometry[0]
    count, band_rows, line, points = cut_bands(geometry, pool, work)
    size = max(1, int(pool[0]["step_w"]))
    planes = (
        whole_lines(points + (int(g["reach_h"]) - 1) * line + int(g["reach_w"]) + lanes(dtype)),
        whole_lines(points + (size + 1) * lanes(dtype)),
        pooled_plane(pool, band_rows, dtype),
    )
    columns = -(-int(g["columns"]) // SUM_COLUMNS) * SUM_COLUMNS
    tiles = int(g["groups"]) * -(-products // SUM_ROWS) * (columns // SUM_COLUMNS)
    sums = tiles * (SUM_ROWS + 1) * SUM_COLUMNS * lanes(dtype)
    units = int(g["images"]) * count
    pieces = max(1, min(units, units * points // PIECE_PIXELS, MOST_PIECES, PIECE_ELEMENTS // sums))
    sizes = int(g["depth"]) * planes[0], columns * planes[1], max(1, int(g["columns"]) * planes[2])
    threads = 1 if work < SERIAL_BELOW else numba.config.NUMBA_NUM_THREADS
    workers = worker_count(threads, sum(sizes) + sizes[2], dtype)
    scratch = {
        "x_planes": Buffer((workers, sizes[0]), dtype),
        "dy_planes": Buffer((workers, sizes[1]), dtype),
        "gated_windows": Buffer((workers, sizes[2]), dtype),
        "window_planes": Buffer((workers, sizes[2]), dtype),
        "window_winners": Buffer((workers, sizes[2] + BYTES * columns), "uint8"),
        "plane_sums": Buffer((pieces, sums), dtype),
    }
    bands = np.array([(count, line, *planes)], BANDS)
    return PlanarGradient(geometry, bands, pool, place_offsets(line, planes[0]), scratch, work)


def _offsets(g, rows, columns):
    """Return where in planes each row of the weight (tap by tap, channel by channel) reads, as a function of these."""
    r, s = (np.array([offset for _, offset in axis.phases[0].taps], np.int64) for axis in (rows, columns))

    def place(line, plane):
        taps = (r[:, None] * line + s).reshape(-1, 1)
        offsets = (taps + np.arange(g["depth"]) * plane).reshape(-1)
        return np.concatenate([offsets, np.full(SUM_ROWS, offsets[-1])])

    return place


def bind(d: PlanarGradient, x, dy, dweight, dbias, scratch, *, out=None, argmax=None):
    """Return the call that computes the gradients that are wanted, ``dweight`` and ``dbias``.

    With a fused pool, ``dy``, ``out`` and ``argmax`` are its own.
    """
    none, no_bytes = np.empty(0, x.dtype), np.empty(0, np.uint8)
    flat = [none if array is None else array.reshape(-1) for array in (x, dy, out, dweight, dbias)]
    argmax = no_bytes if argmax is None else argmax.reshape(-1)
    add = serial(sum_bands) if d.work < SERIAL_BELOW else sum_bands
    operands = d.geometry, d.bands, d.pool, d.offsets, *flat[:3], argmax, *(scratch[name] for name in d.scratch)
    results = d.geometry, len(d.offsets) - SUM_ROWS, scratch["plane_sums"], *flat[3:]

    def run():
        add(*operands)
        add_band_pieces(*results)

    return run


@kernel
def sum_bands(
    geometry, bands, pool, offsets, x, dy, out, argmax, planes, gradients, gated, pooled, winners, sums
):  # fmt: skip
    """Compute the partial sums of all pieces; each worker has its own planes."""
    workers = len(planes)
    for worker in prange(workers):
        g, b, p = geometry[0], bands[0], pool[0]
        clear(planes[worker], 0, planes.shape[1])
        clear(gradients[worker], 0, gradients.shape[1])
        pieces = len(sums)
        for piece in range(worker * pieces // workers, (worker + 1) * pieces // workers):
            clear(sums[piece], 0, sums.shape[1])
            first, end = share(piece, pieces, g.images * b.count)
            for unit in range(first, end):
                n, rows = unit // b.count, share(unit % b.count, b.count, g.result_height)
                band = rows_to_pool(p, rows)
                for group in range(g.groups):
                    fill_planes(g, b, x, n, band, group, planes[worker])
                    if p.fused:
                        gate_windows(g, p, n, rows, dy, out, gated[worker])
                        split_windows(g, b, p, n, rows, argmax, gated[worker], pooled[worker], winners[worker])
                        unpool_planes(g, b, p, rows, pooled[worker], winners[worker], gradients[worker])
                    else:
                        fill_gradients(g, b, dy, n, band, group, gradients[worker])
                    end_planes(g, b, band, gradients[worker])
                    sum_tiles(g, b, band, group, offsets, planes[worker], gradients[worker], sums[piece])


@helper
def fill_gradients(g, b, dy, n, band, group, gradients):
    """Copy the lines of dy of a band."""
    channels, width, line, plane, lanes, columns = (
        g.out_channels,
        g.grid_width,
        b.line,
        b.result_plane,
        g.lanes,
        g.columns,
    )
    start = (n * g.grid_height + band[0]) * width * channels + group * columns
    steps, size = (width * channels, channels), (band[1] - band[0], width, columns)
    split_lines(dy, start, steps, size, lanes, gradients, 0, (line, plane))


@helper
def gate_windows(g, p, n, rows, dy, out, gated):
    """Copy the gradients of rows of windows, of those that a ReLU let pass."""
    size = p.width * g.columns
    start, end = (n * p.height + rows[0]) * size, (n * p.height + rows[1]) * size
    source, result, target, zero = dy[start:end], out[start:end], gated[: end - start], gated.dtype.type(0)
    stops = zero if g.relu else zero / zero  # nothing is less than NaN, or equal to it
    for k in range(uint64(end - start)):
        target[k] = zero if result[k] <= stops else source[k]


@helper
def split_windows(g, b, p, n, rows, argmax, gated, pooled, winners):
    """Split gradients and winners of rows of windows into planes without gaps."""
    columns, plane, windows = g.columns, b.pooled_plane, (rows[1] - rows[0]) * p.width
    split_lines(gated, 0, (0, columns), (1, windows, columns), g.lanes, pooled, 0, (0, plane))
    start, spare = (n * p.height + rows[0]) * p.width * columns, columns * plane
    for j in range(0, windows, BYTES):
        count = min(BYTES, windows - j) * columns
        if count == BYTES * columns:
            split_bytes(argmax, start + j * columns, plane, columns, winners, j)
        else:
            copy(argmax, start + j * columns, winners, spare, count)
            split_bytes(winners, spare, plane, columns, winners, j)


@helper
def unpool_planes(g, b, p, rows, pooled, winners, gradients):
    """Give the gradients of windows to their pixels; what no window sees stays zero."""
    width, size, line, plane, lanes, pooled_plane = p.width, p.step_w, b.line, b.result_plane, g.lanes, b.pooled_plane
    for column in range(g.columns):
        for i in range(rows[1] - rows[0]):
            place, start = column * pooled_plane + i * width, column * plane + i * size * line
            for j in range((width - 1) // lanes * lanes, -1, -lanes):  # the last write over the next line's first
                windows = min(lanes, width - j)
                unpool_pixels(pooled, winners, place + j, windows, size, gradients, start + j * size, line)


@helper
def end_planes(g, b, band, gradients):
    """Write zeros behind the last line of a band, up to a whole vector: an earlier band may have been longer."""
    for column in range(g.columns):
        clear(gradients, column * b.result_plane + (band[1] - band[0]) * b.line, g.lanes)


@helper
def sum_tiles(g, b, band, group, offsets, planes, gradients, sums):
    """Add the products of one band to all tiles of sums."""
    rows, lanes, plane, columns = len(offsets) - SUM_ROWS, g.lanes, b.result_plane, g.columns
    vectors = ((band[1] - band[0]) * b.line + lanes - 1) // lanes
    slot = tile_slot(g, rows, group, 0, 0)
    for row in range(0, rows, SUM_ROWS):
        for column in range(0, columns, SUM_COLUMNS):
            sum_pixels(planes, offsets, row, gradients, column * plane, plane, vectors, sums, slot)
            slot += (SUM_ROWS + 1) * SUM_COLUMNS * lanes


@helper
def tile_slot(g, rows, group, row, column):
    """Return where a tile of sums begins, by group, row and column of the weight."""
    across, down = (g.columns + SUM_COLUMNS - 1) // SUM_COLUMNS, (rows + SUM_ROWS - 1) // SUM_ROWS
    tile = (group * down + row // SUM_ROWS) * across + column // SUM_COLUMNS
    return tile * (SUM_ROWS + 1) * SUM_COLUMNS * g.lanes


@sequential
def add_band_pieces(geometry, rows, sums, dweight, dbias):
    """Add the partial sums of all pieces, in order, and then their lanes; the bias is in tiles of the first rows."""
    g, total = geometry[0], sums[0]
    for piece in range(1, len(sums)):
        part = sums[piece]
        for k in range(len(total)):
            total[k] += part[k]
    for group in range(g.groups):
        for column in range(g.columns):
            filter, j = group * g.columns + column, column % SUM_COLUMNS
            if len(dweight):
                for row in range(rows):
                    slot = tile_slot(g, rows, group, row, column)
                    number = slot + (row % SUM_ROWS * SUM_COLUMNS + j) * g.lanes
                    dweight[row * g.out_channels + filter] = sum_lanes(total, number, g.lanes)
            if len(dbias):
                number = tile_slot(g, rows, group, 0, column) + (SUM_ROWS * SUM_COLUMNS + j) * g.lanes
                dbias[filter] = sum_lanes(total, number, g.lanes)


@helper
def sum_lanes(sums, start, lanes):
    """Return the sum of all lanes of a vector."""
    total = sums.dtype.type(0)
    for lane in range(lanes):
        total += sums[start + lane]
    return total
