"""The gradients of weights and biases: sums over all pixels, of x times dy and of dy.

The images are cut into strips, and strips into a few *pieces*; each piece has partial sums of its own, which are added
in order. Tiles of sums stay in registers over a strip (of a wide image: over a part of a row) and are added to the
piece's afterwards: a sum of a million products is a sum of sums of a few hundred, and its error stays small.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numba import prange

from ..ops.base import Buffer
from .compile import helper, kernel, serial
from .convolution import SERIAL_BELOW, first_channel, share
from .geometry import Axis, Channels
from .memory import clear
from .microkernel import NARROW_ROWS, ROWS, RUN_ROWS, channel_sum, narrow_sum, run_sum, wide_sum
from .records import SUMS, geometry_record, one
from .strips import MOST_ELEMENTS, copy_strip, strip_bounds, strip_origin, worker_count
from .vector import lanes

STRIP_PIXELS = 256
"""Pixels of a strip, about: their dy stays in the first cache, and x in the second."""

CHAIN_PIXELS = 512
"""Pixels that are summed in one go, at most: then their sum is added to that of those before."""

UNITS = 96
"""Into how many units of work the sums are cut, if the weight has too few tiles for as many cores."""

MOST_PIECES = 16
"""Pieces at most: each costs memory of the weight's size, and an addition of it."""

BIAS_WIDTH = 64
"""Numbers of dy that are added side by side, at least."""


class WeightGradient(NamedTuple):
    """What the kernels must know: records, where each weight reads x, and what buffers are needed."""

    geometry: np.ndarray
    sums: np.ndarray
    offsets: np.ndarray
    scratch: dict[str, Buffer]
    work: int


def describe(
    dtype, source, rows: Axis, columns: Axis, channels: Channels, filters, *, circular=False, weight=True, bias=True
) -> WeightGradient:
    """Return the ``WeightGradient`` of a convolution over images of shape ``source`` with so many ``filters``.

    ``weight`` and ``bias`` tell which gradients are wanted.
    """
    geometry = geometry_record(dtype, source, rows, columns, channels, filters)
    geometry["circular"] = circular
    strips = _choose_strips(geometry)
    g = geometry[0]
    offsets = _offsets(g, rows.phases[0], columns.phases[0])
    narrow_rows = RUN_ROWS if not channels.depthwise and _in_runs(offsets) else NARROW_ROWS
    sums = sums_record(channels, dtype, len(offsets), ROWS, narrow_rows)
    sums["pieces"], sums["bias"] = min(-(-UNITS // int(sums[0]["tiles"])), strips, MOST_PIECES), bias
    if not weight:
        sums["tiles"] = 0
    work = source[0] * rows.count * columns.count * filters * (len(offsets) if weight else 1)
    offsets = np.concatenate([offsets, np.full(max(ROWS, NARROW_ROWS), offsets[-1])])
    return WeightGradient(geometry, sums, offsets, _scratch(g, sums[0], dtype, work), work)


def sums_record(channels: Channels, dtype, rows, wide_rows, narrow_rows):
    """Return the record of tiles that cover ``rows`` rows of a weight: so many at a time in wide and narrow blocks."""
    wide, wide_tiles, narrow_tiles = channels.wide_blocks(dtype), -(-rows // wide_rows), -(-rows // narrow_rows)
    tiles = channels.groups * (wide * wide_tiles + (channels.blocks(dtype) - wide) * narrow_tiles)
    slot = max(wide_rows * channels.block(dtype), narrow_rows * lanes(dtype))
    numbers = rows, wide_rows, narrow_rows, wide, wide_tiles, narrow_tiles, tiles, slot, 0, 0
    return one(SUMS, zip(SUMS.names, numbers, strict=True))


def _choose_strips(geometry):
    """Cut the images into strips of about ``STRIP_PIXELS`` pixels; return how many.

    Where lines are copied, of which windows of the next strip see some again, strips have more rows: as far as these
    stay in the cache, at least half of what is copied is new.
    """
    g = geometry[0]
    images, height, points = (int(g[name]) for name in ("images", "grid_height", "grid_width"))
    rows = min(height, max(1, STRIP_PIXELS // points))
    if g["copied"]:
        shared, line = int(g["reach_h"] - g["step_h"]), int(g["strip_width"] * g["channels"])
        fitting = (MOST_ELEMENTS // line - shared) // int(g["step_h"])
        rows = max(rows, min(height, -(-shared // int(g["step_h"])), fitting))
    together = max(1, STRIP_PIXELS // (height * points)) if rows == height else 1
    per_image = -(-height // rows)
    strips = -(-images // together) * per_image
    for name, value in zip(
        ("strip_images", "strip_rows", "strips_per_image", "strips"),
        (together, -(-height // per_image), per_image, strips),
        strict=True,
    ):
        geometry[name] = value
    return strips


def _offsets(g, rows, columns):
    """Return where in a window each row of the weight (tap by tap, channel by channel) reads x."""
    r, s = (np.array([offset for _, offset in phase.taps], np.int64) for phase in (rows, columns))
    taps = (r[:, None] * g["strip_width"] + s).reshape(-1, 1) * g["channels"]
    return (taps + np.arange(g["depth"])).reshape(-1)


def _in_runs(offsets):
    """Tell whether each ``RUN_ROWS`` rows of the weight read x side by side."""
    return len(offsets) % RUN_ROWS == 0 and bool((np.diff(offsets.reshape(-1, RUN_ROWS)) == 1).all())


def _scratch(g, sums, dtype, work):
    lines = (g["strip_rows"] - 1) * g["step_h"] + g["reach_h"]
    strip = int(g["strip_images"] * lines * g["strip_width"] * g["channels"]) if g["copied"] else 1
    workers = 1 if work < SERIAL_BELOW else worker_count(numba.config.NUMBA_NUM_THREADS, strip, dtype)
    return {
        "runs": Buffer((workers, int(g["strip_images"] * g["strip_rows"]), 2), "int64"),
        "windows": Buffer((workers, -(-strip // 16) * 16), dtype),
        "weight_sums": Buffer((max(1, int(sums["pieces"] * sums["tiles"] * sums["slot"])),), dtype),
        "bias_sums": Buffer((int(sums["pieces"]), _bias_width(int(g["out_channels"]))), "float64"),
    }


def _bias_width(channels):
    """Return how many sums of dy a piece has: several pixels' channels, where those of one do not fill vectors."""
    return -(-BIAS_WIDTH // channels) * channels


def bind(w: WeightGradient, x, dy, dweight, dbias, scratch):
    """Return the call that computes the gradients that are wanted, ``dweight`` and ``dbias``."""
    none = np.empty(0, x.dtype)
    flat = [none if array is None else array.reshape(-1) for array in (x, dy, dweight, dbias)]
    operands = w.geometry, w.sums, w.offsets, *flat[:2], *(scratch[name] for name in w.scratch)
    results = w.geometry, w.sums, *(scratch[name] for name in ("weight_sums", "bias_sums")), *flat[2:]
    add, combine = (serial(k) if w.work < SERIAL_BELOW else k for k in (sum_products, add_pieces))

    def run():
        add(*operands)
        combine(*results)

    return run


@kernel
def sum_products(geometry, sums, offsets, x, dy, runs, windows, weight_sums, bias_sums):
    """Compute the partial sums of all pieces. A unit is one tile, or the bias, of one piece."""
    workers = len(runs)
    for worker in prange(workers):
        g, s = geometry[0], sums[0]
        per_piece = s.tiles + s.bias
        unit, end = share(worker, workers, s.pieces * per_piece)
        while unit < end:
            piece, first = unit // per_piece, unit % per_piece
            unit = min(end, (piece + 1) * per_piece)
            tiles = first, unit - piece * per_piece
            clear_sums(g, s, piece, tiles, weight_sums, bias_sums)
            strips = share(piece, s.pieces, g.strips)
            for strip in range(strips[0], strips[1]):
                images, grid = strip_bounds(g, strip)
                if g.copied and tiles[0] < s.tiles:
                    copy_strip(g, x, images, grid, windows[worker])
                count, pixels = place_runs(g, images, grid, runs[worker])
                here = windows[worker] if g.copied else x
                for tile in range(tiles[0], min(tiles[1], s.tiles)):
                    slot = (piece * s.tiles + tile) * s.slot
                    sum_tile(g, s, tile, offsets, here, dy, runs[worker], count, pixels, weight_sums, slot)
                if tiles[1] > s.tiles:
                    bounds = strip_of(g, images, grid)
                    sum_channels(dy[bounds[0] : bounds[1]], bias_sums[piece])


@helper
def clear_sums(g, s, piece, tiles, weight_sums, bias_sums):
    """Begin the sums of a range of units of a piece at zero."""
    count = min(tiles[1], s.tiles) - tiles[0]
    if count > 0:
        clear(weight_sums, (piece * s.tiles + tiles[0]) * s.slot, count * s.slot)
    if tiles[1] > s.tiles:
        for k in range(bias_sums.shape[1]):
            bias_sums[piece, k] = 0


@helper
def place_runs(g, images, grid, runs):
    """Write down where the rows of pixels of a strip begin in x and in dy; return how many, and how long they are.

    Where neither x nor dy has a gap between rows, the whole strip is one row.
    """
    start, image_step = strip_origin(g, images, grid)
    line, pixels = g.step_h * g.strip_width * g.channels, g.grid_width
    rows, count = grid[1] - grid[0], 0
    for n in range(images[1] - images[0]):
        for i in range(rows):
            runs[count, 0] = start + n * image_step + i * line
            runs[count, 1] = (((images[0] + n) * g.grid_height + grid[0] + i) * pixels) * g.out_channels
            count += 1
    if line == pixels * g.step_w * g.channels and (images[1] - images[0] == 1 or image_step == rows * line):
        return 1, count * pixels
    return count, pixels


@helper
def tile_place(g, s, tile):
    """Return group, block of columns, columns of it, and rows (first, end) of a tile of the weight.

    Of a group, tiles of narrow blocks come last: these have one vector of columns, and other rows.
    """
    wide = s.wide_blocks * s.wide_tiles
    group_tiles = wide + (g.blocks - s.wide_blocks) * s.narrow_tiles
    group, tile = tile // group_tiles, tile % group_tiles
    if tile < wide:
        block, row, rows = tile // s.wide_tiles, tile % s.wide_tiles * s.wide_rows, s.wide_rows
    else:
        tile -= wide
        block, row, rows = s.wide_blocks + tile // s.narrow_tiles, tile % s.narrow_tiles * s.narrow_rows, s.narrow_rows
    return group, block, min(g.block, g.columns - block * g.block), (row, min(row + rows, s.rows))


@helper
def sum_tile(g, s, tile, offsets, x, dy, runs, count, pixels, sums, slot):
    """Add the products of one strip to one tile of sums, in parts, each with sums of its own."""
    group, block, columns, (row, _) = tile_place(g, s, tile)
    dy_start = first_channel(g, group * g.blocks + block)
    x_start = dy_start if g.depthwise else group * g.depth
    x_step, dy_step = g.step_w * g.channels, g.out_channels
    together = max(1, CHAIN_PIXELS // pixels)
    for run in range(0, count, together):
        rows = runs[run : min(count, run + together)]
        for done in range(0, pixels, CHAIN_PIXELS):
            part, xs, dys = min(CHAIN_PIXELS, pixels - done), x_start + done * x_step, dy_start + done * dy_step
            if g.depthwise:
                channel_sum(x, xs, offsets, row, dy, dys, rows, len(rows), part, x_step, dy_step, columns, sums, slot)
            elif columns > g.lanes:
                wide_sum(x, xs, offsets, row, dy, dys, rows, len(rows), part, x_step, dy_step, columns, sums, slot)
            elif s.narrow_rows == RUN_ROWS:
                run_sum(x, xs, offsets, row, dy, dys, rows, len(rows), part, x_step, dy_step, columns, sums, slot)
            else:
                narrow_sum(x, xs, offsets, row, dy, dys, rows, len(rows), part, x_step, dy_step, columns, sums, slot)


@helper
def strip_of(g, images, grid):
    """Return where the pixels of a strip lie in dy (first, end)."""
    line = g.grid_width * g.out_channels
    first = images[0] * g.grid_height + grid[0]
    end = (images[1] - 1) * g.grid_height + grid[1]
    return first * line, end * line


@helper
def sum_channels(dy, sums):
    """Add up channels of pixels, in double precision: four rows of ``len(sums)`` numbers at a time, then the rest."""
    size = len(sums)
    whole = len(dy) // (4 * size) * (4 * size)
    for start in range(0, whole, 4 * size):
        a, b = dy[start : start + size], dy[start + size : start + 2 * size]
        c, d = dy[start + 2 * size : start + 3 * size], dy[start + 3 * size : start + 4 * size]
        for k in range(size):
            sums[k] += (np.float64(a[k]) + np.float64(b[k])) + (np.float64(c[k]) + np.float64(d[k]))
    for start in range(whole, len(dy), size):
        a = dy[start : start + size]
        for k in range(len(a)):
            sums[k] += np.float64(a[k])


@kernel
def add_pieces(geometry, sums, weight_sums, bias_sums, dweight, dbias):
    """Add the partial sums of all pieces, in order."""
    for tile in prange(sums[0].tiles + sums[0].bias):
        g, s = geometry[0], sums[0]
        if tile == s.tiles:
            add_bias(g, s, bias_sums, dbias)
        else:
            add_tile(g, s, tile, weight_sums, dweight)


@helper
def add_bias(g, s, bias_sums, dbias):
    """Add the pieces of the bias."""
    for k in range(g.out_channels):
        total = 0.0
        for piece in range(s.pieces):
            for column in range(k, bias_sums.shape[1], g.out_channels):
                total += bias_sums[piece, column]
        dbias[k] = total


@helper
def add_tile(g, s, tile, weight_sums, dweight):
    """Add the pieces of one tile of the weight."""
    group, block, columns, rows = tile_place(g, s, tile)
    width = g.block if columns > g.lanes else g.lanes
    for m in range(rows[1] - rows[0]):
        place = (rows[0] + m) * g.out_channels + first_channel(g, group * g.blocks + block)
        total = dweight[place : place + columns]
        for piece in range(s.pieces):
            start = (piece * s.tiles + tile) * s.slot + m * width
            part = weight_sums[start : start + columns]
            for j in range(columns):
                total[j] = part[j] if piece == 0 else total[j] + part[j]
