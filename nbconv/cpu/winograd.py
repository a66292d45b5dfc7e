"""Convolutions of 3 x 3 and 5 x 5 filters at stride 1 by Winograd's algorithm, forward and input gradient.

Work is cut into units as in ``convolution.py``: a strip of the grid, times a share of the blocks of columns. A unit
copies its strip of the source with a border, transforms it tile by tile, multiplies the values at each point with those
of the filters (one matrix product per point, by the tiles of ``point_tiles.py``), and transforms the products to
results: what lies between stays in the core's cache.

A number that is not finite would spread over its tile, and large numbers may overflow that would not have. So a tile
with any result that is not finite is computed again, as a sum of products.
"""

from __future__ import annotations

from math import gcd
from typing import NamedTuple

import numba
import numpy as np
from numba import prange

from ..ops.base import Buffer
from .compile import helper, kernel, serial
from .convolution import SERIAL_BELOW, first_channel, share
from .fused_pool import grid_rows, pool_strip, rows_to_pool
from .geometry import Axis, Channels
from .memory import odd_lines
from .microkernel import CHAIN, ROWS
from .moments import UNMEASURED, measure_strip
from .packing import weight_steps
from .point_tiles import NARROW_SIZES, WIDE_SIZES, clear_tails, filled, point_step, product_tile, values_size
from .records import POOL, TILES, geometry_record, one
from .strips import UNITS, Cut, choose_strips, copy_strip, strip_bounds, worker_count
from .vector import lanes
from .winograd_transforms import points_to_results, tile_to_points
from .winograd_weights import buffers

OUTPUTS = {3: (4, 2), 5: (2,)}
"""Results of a tile on each axis, by the size of the filter."""

ROOM = 196_608
"""Elements of a strip, its transform and the products of a block at most: most of a core's second cache."""

MOST_ROOM = 1 << 20
"""The same where there are as many weights: these are read again for each strip, and cost more than the strip does."""


class Winograd(NamedTuple):
    """What the kernels must know: records, the order of the taps, and what buffers are needed."""

    geometry: np.ndarray
    tiles: np.ndarray
    pool: np.ndarray
    channels: Channels
    taps: np.ndarray
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
    outputs,
    *,
    circular=False,
    relu=False,
    pool=None,
) -> Winograd:
    """Return the ``Winograd`` from images of shape ``source`` (N, H, W, C) to ``result`` (N, H, W, C).

    Tiles have ``outputs`` x ``outputs`` results; ``pool`` is the record of a pool behind it.
    """
    pool = one(POOL) if pool is None else pool
    taps = [i * rows.reach + j for i, _ in rows.phases[0].taps for j, _ in columns.phases[0].taps]
    points, across = rows.reach + outputs - 1, -(-columns.count // outputs)
    vectors = -(-channels.depth // lanes(dtype))
    together = min(channels.block(dtype), channels.padded(dtype)) // lanes(dtype)
    tiles = one(TILES, zip(TILES.names, (points, outputs, rows.reach, across, vectors, together), strict=True))
    geometry = geometry_record(dtype, source, rows, columns, channels, result[3])
    geometry["circular"], geometry["relu"] = circular, relu
    geometry["copied"], geometry["strip_width"] = True, across * outputs + rows.reach - 1
    if pool[0]["fused"]:
        geometry["result_height"] = pool[0]["height"]
    pixels, products = source[0] * rows.count * columns.count, channels.depth * channels.columns * channels.groups
    work = pixels * products * points**2 // outputs**2
    scratch = _cut(geometry, tiles, pool, dtype, serial=work < SERIAL_BELOW)
    weights = buffers(channels, dtype, len(taps), points)
    return Winograd(geometry, tiles, pool, channels, np.array(taps, np.int64), weights, scratch, work)


def _cut(geometry, tiles, pool, dtype, *, serial):
    """Choose the strips and how many units share one; return the buffers of all workers."""
    g, w, fused = geometry[0], tiles[0], int(pool[0]["fused"])
    blocks, block, channels = int(g["groups"] * g["blocks"]), int(g["block"]), int(g["channels"])
    outputs, values, lanes = int(w["outputs"]), int(w["points"]) ** 2, int(g["lanes"])
    vectors, filter_vectors = int(g["groups"] * w["vectors"]), int(w["filter_vectors"])
    weights = int(g["groups"] * g["padded"] * g["depth"]) * values

    def down(rows):
        return -(-int(grid_rows(pool, rows)) // outputs)

    def source_elements(rows):
        return int((down(rows) * outputs + w["taps"] - 1) * g["strip_width"] * channels)

    def points(rows):
        return int(down(rows) * w["across"])

    def result_elements(rows):
        return fused * int(grid_rows(pool, rows) * g["grid_width"]) * blocks * block

    def elements(rows):
        return (
            source_elements(rows) + values * points(rows) * (vectors + filter_vectors) * lanes + result_elements(rows)
        )

    strips = choose_strips(
        Cut(
            images=int(g["images"]),
            rows=int(g["result_height"]),
            points=points,
            elements=elements,
            tile_work=int(8 * ROWS * int(g["depth"]) * values * blocks),
            blocks=blocks,
            weights=weights,
            room=max(ROOM, min(weights, MOST_ROOM)),
            step=outputs // gcd(outputs, int(pool[0]["step_h"])) if fused else outputs,
            tile=WIDE_SIZES[1],
        )
    )
    for name, value in zip(("strip_images", "strip_rows", "strips_per_image", "strips"), strips, strict=True):
        geometry[name] = value
    geometry["parts"] = parts = min(blocks, -(-UNITS // strips.count))
    count = strips.images * points(strips.rows)
    pooled = strips.images * fused * int(grid_rows(pool, strips.rows) * g["grid_width"]) * -(-blocks // parts) * block
    sizes = {
        "inputs": odd_lines.py_func(strips.images * source_elements(strips.rows) + lanes),
        "data": values_size(values, count, vectors, lanes),
        "products": values_size(values, count, filter_vectors, lanes),
        "results": odd_lines.py_func(pooled),
    }
    workers = 1 if serial else worker_count(numba.config.NUMBA_NUM_THREADS, sum(sizes.values()), dtype)
    return {name: Buffer((workers, size), dtype) for name, size in sizes.items()}


def bind(w: Winograd, source, weight, transformed, bias, out, argmax, scratch, *, transposed=False):
    """Return the call that computes ``out`` (and ``argmax``) from ``source`` and transformed weights.

    ``weight`` is what they were transformed from, with the same ``transposed``.
    """
    call = serial(convolve_tiles) if w.work < SERIAL_BELOW else convolve_tiles
    argmax = np.empty(0, np.uint8) if argmax is None else argmax
    bias = np.zeros(w.channels.groups * w.channels.columns, source.dtype) if bias is None else bias
    steps = np.array(weight_steps(w.channels, weight, transposed=transposed))
    filters = transformed.reshape(-1), bias, w.taps, steps, weight.reshape(-1)
    operands = w.geometry, w.tiles, w.pool, source.reshape(-1), *filters
    results = out.reshape(-1), argmax.reshape(-1)
    working = tuple(scratch[name] for name in ("inputs", "data", "products", "results"))
    moments = scratch.get("moments", UNMEASURED)

    def run():
        call(*operands, *results, *working, moments)

    return run


@kernel
def convolve_tiles(
    geometry, tiles, pool, source, transformed, bias, taps, steps, weight, out, argmax,
    inputs, data, products, results, moments,
):  # fmt: skip
    """Compute all units; each worker has its own of ``inputs``, ``data``, ``products`` and ``results``."""
    workers = len(inputs)
    for worker in prange(workers):
        g, w, p = geometry[0], tiles[0], pool[0]
        units, present, count = g.strips * g.parts, -1, 0
        for unit in range(worker * units // workers, (worker + 1) * units // workers):
            strip, part = unit // g.parts, unit % g.parts
            images, result_rows = strip_bounds(g, strip)
            grid = rows_to_pool(p, result_rows)
            down = (grid[1] - grid[0] + w.outputs - 1) // w.outputs
            blocks = share(part, g.parts, g.groups * g.blocks)
            if strip != present:
                copy_strip(g, source, images, (grid[0], grid[0] + down * w.outputs), inputs[worker])
                count = transform_strip(g, w, images[1] - images[0], down, inputs[worker], data[worker])
                clear_tails(data[worker], count, g.groups * w.vectors, g.lanes, w.points * w.points)
                present = strip
            channels = first_channel(g, blocks[0]), first_channel(g, blocks[1])
            there = results[worker] if p.fused else out
            for block in range(blocks[0], blocks[1]):
                multiply(g, w, block, count, data[worker], transformed, products[worker])
                places = places_of_results(g, p, images, grid, channels, first_channel(g, block))
                size = images[1] - images[0], grid[1] - grid[0]
                filters = bias, taps, steps, weight
                write_results(g, w, block, size, places, products[worker], filters, inputs[worker], there)
            if p.fused:
                pool_strip(p, results[worker], images, grid, result_rows, channels, out, argmax, g.lanes)
            if moments.size:
                measure_strip(g, images, result_rows, channels, out, moments[strip])


@helper
def transform_strip(g, w, images, down, strip, data):
    """Transform all tiles of a strip, as ``point_tiles.py`` wants them; return how many there are."""
    count = images * down * w.across
    step = point_step(count, g.groups * w.vectors, g.lanes)
    line, pixel = g.strip_width * g.channels, g.channels
    image = (down * w.outputs + w.taps - 1) * line
    tile = 0
    for n in range(images):
        for i in range(down):
            for j in range(w.across):
                start = n * image + i * w.outputs * line + j * w.outputs * pixel
                for group in range(g.groups):
                    for c in range(0, g.depth, g.lanes):
                        place = ((group * w.vectors + c // g.lanes) * filled(count) + tile) * g.lanes
                        channel = start + group * g.depth + c
                        if w.points == 4:
                            tile_to_points(4, strip, channel, line, pixel, data, place, step)
                        else:
                            tile_to_points(6, strip, channel, line, pixel, data, place, step)
                tile += 1
    return count


@helper
def multiply(g, w, block, count, data, transformed, products):
    """Multiply, at each point, the values of all tiles with those of one block of filters."""
    group, column = block // g.blocks, block % g.blocks * g.block
    panel, panel_step = (group * g.padded + column) * g.depth, g.groups * g.padded * g.depth
    vector_step = filled(count) * g.lanes
    step, place_step = point_step(count, g.groups * w.vectors, g.lanes), point_step(count, w.filter_vectors, g.lanes)
    is_wide = g.columns - column > g.lanes
    for point in range(w.points * w.points):
        start = point * step + group * w.vectors * vector_step
        at, place = panel + point * panel_step, point * place_step
        for first in range(0, g.depth, CHAIN):
            some, onto = (first, min(g.depth, first + CHAIN)), first > 0
            for m in range(0, count, WIDE_SIZES[0] if is_wide else NARROW_SIZES[0]):
                values = data, start + m * g.lanes, vector_step
                multiply_some(
                    values, some, (transformed, at), (products, place + m * g.lanes), is_wide, count - m, onto
                )


@helper
def multiply_some(values, some, filters, target, is_wide, count, onto):
    """Multiply the values of some tiles, as many as a register tile takes."""
    (data, start, step), (packed, panel), (products, place) = values, filters, target
    if is_wide and count > WIDE_SIZES[1]:
        product_tile(WIDE_SIZES[0], 2, data, start, step, some, packed, panel, products, place, step, onto)
    elif is_wide:
        product_tile(WIDE_SIZES[1], 2, data, start, step, some, packed, panel, products, place, step, onto)
    elif count > NARROW_SIZES[1]:
        product_tile(NARROW_SIZES[0], 1, data, start, step, some, packed, panel, products, place, step, onto)
    else:
        product_tile(NARROW_SIZES[1], 1, data, start, step, some, packed, panel, products, place, step, onto)


@helper
def places_of_results(g, p, images, grid, channels, channel):
    """Return where the first result of a strip belongs, and the steps to the next image, row and pixel.

    What is pooled belongs to an array of the strip alone.
    """
    pixel = channels[1] - channels[0] if p.fused else g.out_channels
    row = g.grid_width * pixel
    if p.fused:
        return channel - channels[0], (grid[1] - grid[0]) * row, row, pixel
    image = g.grid_height * row
    return images[0] * image + grid[0] * row + channel, image, row, pixel


@helper
def write_results(g, w, block, size, places, products, filters, strip, out):
    """Transform the products of one block to the results of ``size`` (images, rows), and write them to their places."""
    columns = min(g.block, g.columns - block % g.blocks * g.block)
    (images, rows), (start, image, row, pixel) = size, places
    down = (rows + w.outputs - 1) // w.outputs
    count, tile = images * down * w.across, 0
    step = point_step(count, w.filter_vectors, g.lanes)
    for n in range(images):
        for i in range(0, rows, w.outputs):
            for j in range(0, g.grid_width, w.outputs):
                inside = min(w.outputs, rows - i), min(w.outputs, g.grid_width - j)
                place = start + n * image + i * row + j * pixel
                window = (n * (down * w.outputs + w.taps - 1) + i) * g.strip_width + j
                for c in range(0, columns, g.lanes):
                    here = (c // g.lanes * filled(count) + tile) * g.lanes
                    channel, lanes = first_channel(g, block) + c, min(g.lanes, columns - c)
                    target = out, place + c, row, pixel
                    if not write_tile(g, w, (products, here, step), filters, channel, lanes, inside, target):
                        sum_tile(g, w, strip, window * g.channels, filters, channel, lanes, inside, target)
                tile += 1


@helper
def write_tile(g, w, source, filters, channel, channels, size, target):
    """Transform the products of one tile, for one vector of channels; return whether all results are finite."""
    (products, start, step), (out, place, row, pixel), (height, width) = source, target, size
    bias, relu = filters[0], g.relu != 0
    if w.points == 4:
        return points_to_results(
            4, 2, products, start, step, bias, channel, out, place, row, pixel, height, width, channels, relu
        )
    if w.outputs == 4:
        return points_to_results(
            6, 4, products, start, step, bias, channel, out, place, row, pixel, height, width, channels, relu
        )
    return points_to_results(
        6, 2, products, start, step, bias, channel, out, place, row, pixel, height, width, channels, relu
    )


@helper
def sum_tile(g, w, strip, window, filters, channel, channels, size, target):
    """Compute the results of one tile as sums of products, which keeps what is not finite where it belongs."""
    (bias, taps, steps, weight), (out, place, row, pixel) = filters, target
    group = channel // g.columns
    first_filter = group * steps[3] + (channel - group * g.columns) * steps[2]
    for i in range(size[0]):
        for j in range(size[1]):
            for c in range(channels):
                total = np.float64(bias[channel + c])
                for t in range(len(taps)):
                    line, column = i + t // w.taps, j + t % w.taps
                    source = window + (line * g.strip_width + column) * g.channels + group * g.depth
                    tap = first_filter + c * steps[2] + taps[t] * steps[0]
                    for k in range(g.depth):
                        total += np.float64(strip[source + k]) * np.float64(weight[tap + k * steps[1]])
                out[place + i * row + j * pixel + c] = 0 if g.relu and total <= 0 else total
