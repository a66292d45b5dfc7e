"""The kernel of every convolution, forward and input gradient: strips of bordered source, tiles of results.

Work is cut into units: a strip of the grid, times a share of the blocks of columns. A unit copies its strip of the source
with a border (where there is one), computes tiles from it, and pools them if a pool is fused: what lies between stays in
the core's cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numba import prange

from ..ops.base import Buffer
from .compile import helper, kernel, serial
from .fused_pool import grid_rows, pool_strip, rows_to_pool
from .geometry import Axis, Channels, Taps
from .microkernel import NARROW_ROWS, WIDE_ROWS, channel_tile, narrow_tile, wide_tile
from .records import PHASE, POOL, geometry_record, one
from .strips import UNITS, Cut, choose_strips, copy_strip, strip_bounds, strip_origin

SERIAL_BELOW = 400_000
"""Multiply-adds below which waking the other threads takes longer than they save."""


class Convolution(NamedTuple):
    """What ``convolve`` must know: records, the offsets of taps, taps in the weight, and what buffers it needs."""

    geometry: np.ndarray
    phases: np.ndarray
    pool: np.ndarray
    taps: np.ndarray
    weights: np.ndarray
    packed: Buffer
    scratch: dict[str, Buffer]
    work: int


def describe(
    dtype, source, rows: Axis, columns: Axis, channels: Channels, result, kernel_w, *, circular=False, relu=False, pool=None
) -> Convolution:
    """Return the ``Convolution`` from images of shape ``source`` (N, H, W, C) to ``result`` (N, H, W, C).

    ``pool`` is the record of a pool behind it.
    """
    pool = one(POOL) if pool is None else pool
    geometry = geometry_record(dtype, source, rows, columns, channels, result[3])
    geometry["circular"], geometry["relu"] = circular, relu
    if pool[0]["fused"]:
        geometry["result_height"] = pool[0]["height"]
    phases, taps, weights = _phases(geometry[0], rows, columns, result, kernel_w)
    products = int(phases["weights"].sum()) * channels.depth
    work = source[0] * rows.count * columns.count * products * channels.columns * channels.groups // len(phases)
    scratch = _cut(geometry, pool, products, dtype, serial=work < SERIAL_BELOW)
    packed = Buffer((channels.groups * channels.padded(dtype) * (products + len(phases)),), dtype)
    return Convolution(geometry, phases, pool, taps, weights, packed, scratch, work)


def _phases(g, rows, columns, result, kernel_w):
    """Return the records of all phases, and of all of them the offsets of taps and the taps in the weight."""
    _, height, width, channels = result
    records, offsets, weights, panel = [], [], [], 0
    for r in rows.phases:
        for c in columns.phases:
            taps = Taps.of(r, c, g["strip_width"] * g["channels"], g["channels"], g["depth"], kernel_w)
            records.append((
                *(len(offsets), len(taps.offsets), taps.depth),
                *(len(weights), len(taps.weights), panel),
                *(r.first, r.end, c.first, c.end),
                *((r.start * width + c.start) * channels, height * width * channels),
                *(r.step * width * channels, c.step * channels),
            ))  # fmt: skip
            offsets += taps.offsets
            weights += taps.weights
            panel += g["groups"] * g["padded"] * (1 + len(taps.weights) * g["depth"])
    return np.array(records, PHASE), np.array(offsets, np.int64), np.array(weights, np.int64)


def _cut(geometry, pool, products, dtype, *, serial):
    """Choose the strips and how many units share one; return the buffers of all workers."""
    g = geometry[0]
    blocks = int(g["groups"] * g["blocks"])

    def lines(rows):
        return max(0, (grid_rows(pool, rows) - 1) * g["step_h"] + g["reach_h"])

    def elements(rows):
        return int(lines(rows) * g["strip_width"] * g["channels"] * g["copied"])

    cut = Cut(
        images=int(g["images"]),
        rows=int(g["result_height"]),
        points=lambda rows: int(grid_rows(pool, rows) * g["grid_width"]),
        elements=elements,
        tile_rows=NARROW_ROWS if g["depthwise"] or g["columns"] <= g["lanes"] else WIDE_ROWS,
        tile_work=int(4 * NARROW_ROWS * max(1, products) * blocks),
        blocks=blocks,
    )
    strips = choose_strips(cut)
    for name, value in zip(("strip_images", "strip_rows", "strips_per_image", "strips"), strips, strict=True):
        geometry[name] = value
    geometry["parts"] = parts = min(blocks, -(-UNITS // strips.count))
    workers = 1 if serial else numba.config.NUMBA_NUM_THREADS
    points = strips.images * cut.points(strips.rows)
    share = -(-blocks // parts) * int(g["block"])
    return {
        "rows": Buffer((workers, points + NARROW_ROWS, 2), "int64"),
        "inputs": Buffer((workers, _aligned(strips.images * elements(strips.rows))), dtype),
        "results": Buffer((workers, _aligned(points * share if pool[0]["fused"] else 0)), dtype),
    }


def _aligned(elements):
    """Fill up to whole cache lines, so that no two workers write to one."""
    return -(-max(elements, 1) // 16) * 16


def bind(c: Convolution, source, packed, out, argmax, scratch):
    """Return the call that computes ``out`` (and ``argmax``) from ``source`` and packed weights."""
    call = serial(convolve) if c.work < SERIAL_BELOW else convolve
    argmax = np.empty(0, np.uint8) if argmax is None else argmax
    operands = c.geometry, c.phases, c.pool, c.taps, source.reshape(-1), packed, out.reshape(-1), argmax.reshape(-1)
    buffers = scratch["inputs"], scratch["results"], scratch["rows"]

    def run():
        call(*operands, *buffers)

    return run


@kernel
def convolve(geometry, phases, pool, taps, source, packed, out, argmax, inputs, results, rows):
    """Compute all units; each worker has its own of ``inputs`` and ``results`` (strips) and ``rows`` (addresses)."""
    workers = len(rows)
    for worker in prange(workers):
        g, p = geometry[0], pool[0]
        units, copied = g.strips * g.parts, -1
        for unit in range(worker * units // workers, (worker + 1) * units // workers):
            strip, part = unit // g.parts, unit % g.parts
            images, result_rows = strip_bounds(g, strip)
            grid = rows_to_pool(g, p, result_rows)
            blocks = share(part, g.parts, g.groups * g.blocks)
            if g.copied and strip != copied:
                copy_strip(g, source, images, grid, inputs[worker])
                copied = strip
            here = inputs[worker] if g.copied else source
            there = results[worker] if p.fused else out
            for phase in phases:
                count = place_windows(g, p, phase, images, grid, blocks, rows[worker])
                compute_tiles(g, phase, blocks, taps, here, packed, there, rows[worker], count)
            if p.fused:
                channels = first_channel(g, blocks[0]), first_channel(g, blocks[1])
                pool_strip(g, p, results[worker], images, grid, result_rows, channels, out, argmax)


@helper
def share(part, parts, size):
    """Return one of ``parts`` about equal shares: ``share(0, 2, 5) == (0, 2)``."""
    return part * size // parts, (part + 1) * size // parts


@helper
def first_channel(g, block):
    """Return the channel of the result that a block of columns (of any group) begins with."""
    return block // g.blocks * g.columns + block % g.blocks * g.block


@helper
def place_windows(g, p, phase, images, grid, blocks, rows):
    """Write down where each window of a strip begins in the source and has its result; return how many there are.

    Behind the last come repetitions of it, so that every tile is full.
    """
    start, image_step = strip_origin(g, images, grid)
    line, pixel = g.step_h * g.strip_width * g.channels, g.step_w * g.channels
    out_start, out_image, out_row, out_pixel = phase.out_start, phase.out_image, phase.out_row, phase.out_pixel
    out_start += images[0] * out_image + grid[0] * out_row
    if p.fused:
        out_pixel = first_channel(g, blocks[1]) - first_channel(g, blocks[0])
        out_row = g.grid_width * out_pixel
        out_image = (grid[1] - grid[0]) * out_row
        out_start = -first_channel(g, blocks[0])
    count = 0
    for n in range(images[1] - images[0]):
        for i in range(max(grid[0], phase.first_row) - grid[0], min(grid[1], phase.end_row) - grid[0]):
            source, out = start + n * image_step + i * line, out_start + n * out_image + i * out_row
            for j in range(phase.first_column, phase.end_column):
                rows[count, 0] = source + j * pixel
                rows[count, 1] = out + j * out_pixel
                count += 1
    if count > 0:
        for m in range(NARROW_ROWS):
            rows[count + m, 0] = rows[count - 1, 0]
            rows[count + m, 1] = rows[count - 1, 1]
    return count


@helper
def compute_tiles(g, phase, blocks, taps, source, packed, out, rows, count):
    """Compute the results of ``count`` windows for a range of blocks of columns."""
    phase_taps, relu = taps[phase.first_tap : phase.first_tap + phase.taps], g.relu != 0
    panel_rows = 1 + phase.weights * g.depth
    for b in range(blocks[0], blocks[1]):
        group, column = b // g.blocks, b % g.blocks * g.block
        columns = min(g.block, g.columns - column)
        panel = phase.panel + (group * g.padded + column) * panel_rows
        place = group * g.columns + column
        depth, origin = phase.depth, group * g.depth
        if g.depthwise:
            for m in range(0, count, NARROW_ROWS):
                channel_tile(source, column, rows, m, phase_taps, depth, packed, panel, out, place, columns, relu)
        elif columns > g.lanes:
            for m in range(0, count, WIDE_ROWS):
                wide_tile(source, origin, rows, m, phase_taps, depth, packed, panel, out, place, columns, relu)
        else:
            for m in range(0, count, NARROW_ROWS):
                narrow_tile(source, origin, rows, m, phase_taps, depth, packed, panel, out, place, columns, relu)
