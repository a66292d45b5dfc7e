"""The gradient of 3 x 3 and 5 x 5 filters at stride 1 by Winograd's algorithm.

The roles are turned round: dy, in tiles of ``outputs`` x ``outputs`` pixels, is the filter, and the weight's gradient
is the result, of as many points as forward. The images are cut into strips, and strips into a few *pieces* with sums of
their own; at each point the values of x and dy are multiplied and summed over the tiles of a strip in registers. The
pieces are added in order, and transformed to the gradient at the end.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numba import prange

from ..ops.base import Buffer
from .compile import helper, kernel, serial
from .convolution import SERIAL_BELOW, first_channel, share
from .geometry import Axis, Channels, each_pixel
from .memory import clear, odd_lines
from .point_tiles import NARROW_SUM_ROWS, SUM_ROWS, filled, point_step, sum_tile, values_size
from .records import TILES, geometry_record, one
from .strips import copy_strip, strip_bounds, worker_count
from .vector import lanes
from .weight_gradient import sums_record, tile_place
from .winograd import transform_strip
from .winograd_transforms import filter_to_points, points_to_results

STRIP_TILES = 56
"""Tiles of a strip, about: what they are transformed to stays in the second cache."""

PIECE_TILES = 48
"""Tiles of a piece, at least."""

MOST_PIECES = 16
"""Pieces at most."""

MOST_SUMS = 1 << 20
"""Elements of all pieces' sums at most, unless two pieces need more."""


class WinogradGradient(NamedTuple):
    """What the kernels must know: records of x and dy, of tiles and sums, and what buffers are needed."""

    geometry: np.ndarray
    gradient: np.ndarray
    tiles: np.ndarray
    sums: np.ndarray
    scratch: dict[str, Buffer]
    work: int


def describe(dtype, source, rows: Axis, columns: Axis, channels: Channels, filters, outputs, *, circular=False):
    """Return the ``WinogradGradient`` of a convolution over images of shape ``source`` with so many ``filters``.

    Tiles of dy have ``outputs`` x ``outputs`` pixels.
    """
    points, across = rows.reach + outputs - 1, -(-columns.count // outputs)
    read = -(-channels.depth // NARROW_SUM_ROWS) * NARROW_SUM_ROWS
    vectors, filter_vectors = -(-read // lanes(dtype)), channels.padded(dtype) // lanes(dtype)
    tiles = one(TILES, zip(TILES.names, (points, outputs, rows.reach, across, vectors, filter_vectors), strict=True))
    geometry = geometry_record(dtype, source, rows, columns, channels, filters)
    geometry["circular"], geometry["copied"] = circular, True
    geometry["strip_width"] = across * outputs + rows.reach - 1
    height, width = each_pixel(rows.count), each_pixel(columns.count)
    gradient = geometry_record(dtype, (source[0], rows.count, columns.count, filters), height, width, channels, filters)
    gradient["copied"], gradient["strip_width"] = True, across * outputs

    down = -(-rows.count // outputs)
    strips = _choose_strips(geometry, down, across, outputs)
    g = geometry[0]
    sums = sums_record(channels, dtype, channels.depth, SUM_ROWS, NARROW_SUM_ROWS)
    values = points * points * int(sums[0]["tiles"] * sums[0]["slot"])
    sums["pieces"] = _pieces(source[0] * down * across, strips, values)
    work = source[0] * down * across * points * points * channels.depth * filters
    scratch = _scratch(g, tiles[0], sums[0], dtype, serial=work < SERIAL_BELOW)
    return WinogradGradient(geometry, gradient, tiles, sums, scratch, work)


def _choose_strips(geometry, down, across, outputs):
    """Cut the images into strips of about ``STRIP_TILES`` tiles; return how many."""
    images = int(geometry[0]["images"])
    rows = min(down, max(1, STRIP_TILES // across))
    together = max(1, STRIP_TILES // (down * across)) if rows == down else 1
    per_image = -(-down // rows)
    strips = -(-images // together) * per_image
    for name, value in (
        ("strip_images", together),
        ("strip_rows", -(-down // per_image) * outputs),
        ("strips_per_image", per_image),
        ("strips", strips),
    ):
        geometry[name] = value
    return strips


def _pieces(tiles, strips, sums):
    """Return into how many pieces the sums are cut: a power of two, that many threads have equal shares."""
    most = min(strips, MOST_PIECES, tiles // PIECE_TILES, max(2, MOST_SUMS // sums))
    return 1 << max(0, int(most).bit_length() - 1)


def _scratch(g, w, s, dtype, *, serial):
    lines, points, outputs, size = odd_lines.py_func, int(w["points"]), int(w["outputs"]), int(g["lanes"])
    images, channels, filters = (int(g[name]) for name in ("strip_images", "channels", "out_channels"))
    down = -(-int(g["strip_rows"]) // outputs)
    count = images * down * int(w["across"])
    sizes = {
        "pixels": lines(images * (down * outputs + int(w["taps"]) - 1) * int(g["strip_width"]) * channels + size),
        "pixel_values": values_size(points**2, count, int(g["groups"] * w["vectors"]), size),
        "gradients": lines(count * outputs**2 * filters + size),
        "gradient_values": values_size(points**2, count, int(g["groups"] * w["filter_vectors"]), size),
    }
    workers = 1 if serial else worker_count(numba.config.NUMBA_NUM_THREADS, sum(sizes.values()), dtype)
    return {
        **{name: Buffer((workers, size), dtype) for name, size in sizes.items()},
        "value_sums": Buffer((int(s["pieces"]), points**2 * int(s["tiles"] * s["slot"])), dtype),
    }


def bind(w: WinogradGradient, x, dy, dweight, scratch):
    """Return the call that computes ``dweight``."""
    add, combine = (serial(k) if w.work < SERIAL_BELOW else k for k in (sum_values, add_value_sums))
    records, images = (w.geometry, w.gradient, w.tiles, w.sums), (x.reshape(-1), dy.reshape(-1))
    operands = *records, *images, *(scratch[name] for name in w.scratch)
    no_bias = np.zeros(w.geometry[0]["out_channels"], x.dtype)
    results = *records, *images, no_bias, scratch["value_sums"], dweight.reshape(-1)

    def run():
        add(*operands)
        combine(*results)

    return run


@kernel
def sum_values(
    geometry, gradient, tiles, sums, x, dy, pixels, pixel_values, gradients, gradient_values, value_sums
):  # fmt: skip
    """Compute the sums of all pieces; each worker has its own of the arrays between ``dy`` and ``value_sums``."""
    workers = len(pixels)
    for worker in prange(workers):
        g, d, w, s = geometry[0], gradient[0], tiles[0], sums[0]
        pieces = share(worker, workers, s.pieces)
        for piece in range(pieces[0], pieces[1]):
            clear(value_sums[piece], 0, value_sums.shape[1])
            strips = share(piece, s.pieces, g.strips)
            for strip in range(strips[0], strips[1]):
                images, rows = strip_bounds(g, strip)
                down = (rows[1] - rows[0] + w.outputs - 1) // w.outputs
                lines = rows[0], rows[0] + down * w.outputs
                copy_strip(g, x, images, lines, pixels[worker])
                copy_strip(d, dy, images, lines, gradients[worker])
                count = transform_strip(g, w, images[1] - images[0], down, pixels[worker], pixel_values[worker])
                transform_gradient(d, w, count, gradients[worker], gradient_values[worker])
                add_products(g, w, s, count, pixel_values[worker], gradient_values[worker], value_sums[piece])


@helper
def transform_gradient(d, w, count, strip, values):
    """Transform all tiles of a strip of dy: rows of tiles follow one another without a gap."""
    step = point_step(count, d.groups * w.filter_vectors, d.lanes)
    line, pixel = d.strip_width * d.channels, d.channels
    for tile in range(count):
        start = tile // w.across * w.outputs * line + tile % w.across * w.outputs * pixel
        for group in range(d.groups):
            for c in range(0, d.columns, d.lanes):
                place = ((group * w.filter_vectors + c // d.lanes) * filled(count) + tile) * d.lanes
                channel = start + group * d.columns + c
                if w.points == 4:
                    filter_to_points(4, 2, strip, channel, line, pixel, values, place, step)
                elif w.outputs == 4:
                    filter_to_points(6, 4, strip, channel, line, pixel, values, place, step)
                else:
                    filter_to_points(6, 2, strip, channel, line, pixel, values, place, step)


@helper
def add_products(g, w, s, count, x, dy, sums):
    """Add to the sums of all points the products of a strip of so many tiles."""
    vector_step = filled(count) * g.lanes
    x_step = point_step(count, g.groups * w.vectors, g.lanes)
    dy_step = point_step(count, g.groups * w.filter_vectors, g.lanes)
    for point in range(w.points * w.points):
        for tile in range(s.tiles):
            group, block, columns, (row, _) = tile_place(g, s, tile)
            xs = point * x_step + (group * w.vectors + row // g.lanes) * vector_step + row % g.lanes
            dys = point * dy_step + (group * w.filter_vectors + block * g.block // g.lanes) * vector_step
            slot = (point * s.tiles + tile) * s.slot
            if columns > g.lanes:
                sum_tile(SUM_ROWS, 2, x, xs, vector_step, dy, dys, vector_step, count, sums, slot)
            else:
                sum_tile(NARROW_SUM_ROWS, 1, x, xs, vector_step, dy, dys, vector_step, count, sums, slot)


@kernel
def add_value_sums(geometry, gradient, tiles, sums, x, dy, zeros, value_sums, dweight):
    """Add the sums of all pieces, in order, and transform them to the gradient."""
    for tile in prange(sums[0].tiles):
        g, w, s = geometry[0], tiles[0], sums[0]
        group, block, columns, rows = tile_place(g, s, tile)
        step = s.tiles * s.slot
        add_pieces(w, s, tile, value_sums)
        width = g.block if columns > g.lanes else g.lanes
        for m in range(rows[1] - rows[0]):
            row = rows[0] + m
            for j in range(0, columns, g.lanes):
                filters = first_channel(g, group * g.blocks + block) + j
                start, lanes = tile * s.slot + m * width + j, min(g.lanes, columns - j)
                if not write_gradient(g, w, value_sums[0], start, step, zeros, dweight, row, filters, lanes):
                    sum_gradient(g, w, x, dy, group * g.depth + row, row, filters, lanes, dweight)


@helper
def add_pieces(w, s, tile, value_sums):
    """Add the sums of all pieces for one tile of channels to those of the first."""
    for point in range(w.points * w.points):
        start = (point * s.tiles + tile) * s.slot
        total = value_sums[0][start : start + s.slot]
        for piece in range(1, s.pieces):
            part = value_sums[piece][start : start + s.slot]
            for i in range(len(part)):
                total[i] += part[i]


@helper
def write_gradient(g, w, sums, start, step, zeros, dweight, row, filters, channels):
    """Transform the sums of one input channel and a vector of filters; return whether all results are finite."""
    pixel, size, relu = g.depth * g.out_channels, w.taps, g.relu != 0
    line, place = size * pixel, row * g.out_channels + filters
    if w.points == 4:
        return points_to_results(
            4, 3, sums, start, step, zeros, 0, dweight, place, line, pixel, size, size, channels, relu
        )
    if size == 3:
        return points_to_results(
            6, 3, sums, start, step, zeros, 0, dweight, place, line, pixel, size, size, channels, relu
        )
    return points_to_results(6, 5, sums, start, step, zeros, 0, dweight, place, line, pixel, size, size, channels, relu)


@helper
def sum_gradient(g, w, x, dy, channel, row, filters, count, dweight):
    """Compute the gradient of one input channel and some filters as sums of products, pixel by pixel."""
    for tap in range(w.taps * w.taps):
        for k in range(count):
            total = 0.0
            for n in range(g.images):
                for i in range(g.grid_height):
                    for j in range(g.grid_width):
                        h, v = i + tap // w.taps - g.pad_top, j + tap % w.taps - g.pad_left
                        if g.circular:
                            h, v = h % g.height, v % g.width
                        inside = 0 <= h < g.height and 0 <= v < g.width
                        pixel = x[((n * g.height + h) * g.width + v) * g.channels + channel] if inside else 0
                        total += pixel * np.float64(
                            dy[((n * g.grid_height + i) * g.grid_width + j) * g.out_channels + filters + k]
                        )
            dweight[(tap * g.depth + row) * g.out_channels + filters + k] = total
