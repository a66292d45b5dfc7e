"""The kernel of every convolution, forward and input gradient: strips of bordered source, tiles of results.

Work is cut into units: a strip of the grid, times a share of the blocks of columns. A unit copies its strip of the
source with a border (where there is one), computes tiles from it, and pools them if a pool is fused: what lies between
stays in the core's cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numba import prange

from ..errors import ShapeError
from ..ops.base import Buffer
from .compile import helper, kernel, serial
from .fused_pool import grid_rows, pool_strip, rows_to_pool
from .geometry import Axis, Channels
from .microkernel import ROWS, channel_tile, narrow_tile, wide_tile
from .moments import UNMEASURED, measure_strip
from .records import PHASE, POOL, geometry_record, one
from .strips import UNITS, Cut, choose_strips, copy_strip, strip_bounds, strip_origin, worker_count

SERIAL_BELOW = 400_000
"""Multiply-adds below which waking the other threads takes longer than they save."""


class Convolution(NamedTuple):
    """What ``convolve`` must know: records, where a window reads the source, and what buffers are needed.

    ``taps`` lists for each phase which taps of the weight reach it, ``offsets`` the product of a tap with each channel.
    """

    geometry: np.ndarray
    phases: np.ndarray
    pool: np.ndarray
    taps: np.ndarray
    offsets: np.ndarray
    weights: dict[str, Buffer]
    scratch: dict[str, Buffer]
    work: int


def describe(
    dtype,
    source,
    rows: Axis,
    columns: Axis,
    channels: Channels,
    result,
    kernel_w,
    *,
    circular=False,
    relu=False,
    pool=None,
) -> Convolution:
    """Return the ``Convolution`` from images of shape ``source`` (N, H, W, C) to ``result`` (N, H, W, C).

    ``pool`` is the record of a pool behind it.
    """
    pool = one(POOL) if pool is None else pool
    geometry = geometry_record(dtype, source, rows, columns, channels, result[3])
    geometry["circular"], geometry["relu"] = circular, relu
    if pool[0]["fused"]:
        geometry["result_height"] = pool[0]["height"]
    phases, taps, offsets = _phases(geometry[0], rows, columns, result, kernel_w)
    products = len(offsets)
    work = source[0] * rows.count * columns.count * products * channels.columns * channels.groups // len(phases)
    scratch = _cut(geometry, pool, products, dtype, serial=work < SERIAL_BELOW)
    packed = Buffer((channels.groups * channels.padded(dtype) * (products + len(phases)),), dtype)
    return Convolution(geometry, phases, pool, taps, offsets, {"packed": packed}, scratch, work)


def _phases(g, rows, columns, result, kernel_w):
    """Return the records of all phases, and of all of them the taps in the weight and the offsets of products."""
    _, height, width, channels = result
    records: list[tuple] = []
    taps: list[int] = []
    offsets: list[int] = []
    panel = 0
    for r in rows.phases:
        for c in columns.phases:
            reached = [
                (i * kernel_w + j, (y * g["strip_width"] + x) * g["channels"]) for i, y in r.taps for j, x in c.taps
            ]
            products = len(reached) * g["depth"]
            records.append((
                *(len(taps), len(reached), len(offsets), products, panel),
                *(r.first, r.end, c.first, c.end),
                *((r.start * width + c.start) * channels, height * width * channels),
                *(r.step * width * channels, c.step * channels),
            ))  # fmt: skip
            taps += [tap for tap, _ in reached]
            offsets += [offset + k for _, offset in reached for k in range(g["depth"])]
            panel += g["groups"] * g["padded"] * (1 + products)
    if max(offsets, default=0) > np.iinfo(np.int32).max:
        raise ShapeError(
            f"the taps of a window lie up to {max(offsets)} values apart, which exceeds 2**31; "
            f"use a smaller dilation, or cut the images into parts"
        )
    return np.array(records, PHASE), np.array(taps, np.int64), np.array(offsets, np.int32)


def _cut(geometry, pool, products, dtype, *, serial):
    """Choose the strips and how many units share one; return the buffers of all workers."""
    g, fused = geometry[0], int(pool[0]["fused"])
    blocks = int(g["groups"] * g["blocks"])

    def points(rows):
        return int(grid_rows(pool, rows) * g["grid_width"])

    def source_elements(rows):
        lines = max(0, (grid_rows(pool, rows) - 1) * g["step_h"] + g["reach_h"])
        return int(lines * g["strip_width"] * g["channels"] * g["copied"])

    strips = choose_strips(
        Cut(
            images=int(g["images"]),
            rows=int(g["result_height"]),
            points=points,
            elements=lambda rows: source_elements(rows) + fused * points(rows) * blocks * int(g["block"]),
            tile_work=int(8 * ROWS * max(1, products) * blocks),
            blocks=blocks,
        )
    )
    for name, value in zip(("strip_images", "strip_rows", "strips_per_image", "strips"), strips, strict=True):
        geometry[name] = value
    geometry["parts"] = parts = min(blocks, -(-UNITS // strips.count))
    grid_points, share = strips.images * points(strips.rows), -(-blocks // parts) * int(g["block"])
    inputs, results = _aligned(strips.images * source_elements(strips.rows)), _aligned(fused * grid_points * share)
    workers = 1 if serial else worker_count(numba.config.NUMBA_NUM_THREADS, inputs + results, dtype)
    return {
        "rows": Buffer((workers, grid_points + ROWS, 2), "int64"),
        "inputs": Buffer((workers, inputs), dtype),
        "results": Buffer((workers, results), dtype),
    }


def _aligned(elements):
    """Fill up to whole cache lines, so that no two workers write to one."""
    return -(-max(elements, 1) // 16) * 16


def bind(c: Convolution, source, packed, out, argmax, scratch):
    """Return the call that computes ``out`` (and ``argmax``) from ``source`` and packed weights."""
    call = serial(convolve) if c.work < SERIAL_BELOW else convolve
    argmax = np.empty(0, np.uint8) if argmax is None else argmax
    operands = c.geometry, c.phases, c.pool, c.offsets, source.reshape(-1), packed, out.reshape(-1), argmax.reshape(-1)
    buffers = scratch["inputs"], scratch["results"], scratch["rows"], scratch.get("moments", UNMEASURED)

    def run():
        call(*operands, *buffers)

    return run


@kernel
def convolve(geometry, phases, pool, offsets, source, packed, out, argmax, inputs, results, rows, moments):
    """Compute all units; each worker has its own of ``inputs`` and ``results`` (strips) and ``rows`` (addresses)."""
    workers = len(rows)
    for worker in prange(workers):
        g, p = geometry[0], pool[0]
        units, copied = g.strips * g.parts, -1
        for unit in range(worker * units // workers, (worker + 1) * units // workers):
            strip, part = unit // g.parts, unit % g.parts
            images, result_rows = strip_bounds(g, strip)
            grid = rows_to_pool(p, result_rows)
            blocks = share(part, g.parts, g.groups * g.blocks)
            if g.copied and strip != copied:
                copy_strip(g, source, images, grid, inputs[worker])
                copied = strip
            here = inputs[worker] if g.copied else source
            there = results[worker] if p.fused else out
            for phase in phases:
                count = place_windows(g, p, phase, images, grid, blocks, rows[worker])
                compute_tiles(g, phase, blocks, offsets, here, packed, there, rows[worker], count)
            channels = first_channel(g, blocks[0]), first_channel(g, blocks[1])
            if p.fused:
                pool_strip(p, results[worker], images, grid, result_rows, channels, out, argmax, g.lanes)
            if moments.size:
                measure_strip(g, images, result_rows, channels, out, moments[strip])


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
    count, width = 0, phase.end_column - phase.first_column
    for n in range(images[1] - images[0]):
        for i in range(max(grid[0], phase.first_row) - grid[0], min(grid[1], phase.end_row) - grid[0]):
            source = start + n * image_step + i * line + phase.first_column * pixel
            out = out_start + n * out_image + i * out_row + phase.first_column * out_pixel
            row = rows[count : count + width]
            for j in range(width):
                row[j, 0] = source + j * pixel
                row[j, 1] = out + j * out_pixel
            count += width
    for m in range(count, count + ROWS if count else 0):
        rows[m, 0], rows[m, 1] = rows[count - 1, 0], rows[count - 1, 1]
    return count


@helper
def compute_tiles(g, phase, blocks, offsets, source, packed, out, rows, count):
    """Compute the results of ``count`` windows for a range of blocks of columns."""
    offsets, relu = offsets[phase.first_product : phase.first_product + phase.products], g.relu != 0
    for b in range(blocks[0], blocks[1]):
        group, column = b // g.blocks, b % g.blocks * g.block
        columns = min(g.block, g.columns - column)
        panel = phase.panel + (group * g.padded + column) * (1 + phase.products)
        place = group * g.columns + column
        if g.depthwise:
            for m in range(0, count, ROWS):
                channel_tile(source, column, rows, m, offsets, packed, panel, out, place, columns, relu)
        elif columns > g.lanes:
            for m in range(0, count, ROWS):
                wide_tile(source, group * g.depth, rows, m, offsets, packed, panel, out, place, columns, relu)
        else:
            for m in range(0, count, ROWS):
                narrow_tile(source, group * g.depth, rows, m, offsets, packed, panel, out, place, columns, relu)
