"""The weight gradient of depthwise convolution: products of rows of x and of dy, added up channel by channel.

Nothing is copied: a tap that sees border has no product. Rows of pixels are cut into a number of *pieces* that depends
on shapes only; each has partial sums of its own, which are added in order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from ..ops.base import Buffer
from .compile import helper, kernel, serial
from .convolution import SERIAL_BELOW, share
from .depthwise import lattice
from .depthwise_sums import GROUP, shared_sums, spaced_sums
from .fused_pool import taps_inside
from .geometry import Axis, Channels
from .memory import clear
from .records import geometry_record

UNITS = 32
"""Pieces to cut the rows into, where there are as many: for as many cores."""

PIECE_ROWS = 64
"""Rows of a piece at most, while there are no more than ``MOST_PIECES``: rounding errors grow with them."""

MOST_PIECES = 256
"""Pieces at most: each costs memory of the weight's size, and an addition of it."""


class DepthwiseGradient(NamedTuple):
    """What the kernels must know: records, and what buffers are needed."""

    geometry: np.ndarray
    lattices: np.ndarray
    scratch: dict[str, Buffer]
    work: int


def describe(dtype, source, rows: Axis, columns: Axis, channels: Channels) -> DepthwiseGradient:
    """Return the ``DepthwiseGradient`` of a convolution over images of shape ``source`` (N, H, W, C)."""
    geometry = geometry_record(dtype, source, rows, columns, channels, source[3])
    lattices = np.stack([lattice(axis, axis.phases[0]) for axis in (rows, columns)])
    count, taps = source[0] * rows.count, lattices["taps"]
    pieces = min(count, max(UNITS, min(MOST_PIECES, -(-count // PIECE_ROWS))))
    sums = Buffer((pieces, int(taps[0] * taps[1] * geometry[0]["padded"])), dtype)
    work = count * columns.count * source[3] * int(taps[0] * taps[1])
    return DepthwiseGradient(geometry, lattices, {"channel_sums": sums}, work)


def bind(d: DepthwiseGradient, x, dy, dweight, scratch):
    """Return the call that computes ``dweight`` (KH, KW, 1, C)."""
    sums = scratch["channel_sums"]
    add, combine = (serial(k) if d.work < SERIAL_BELOW else k for k in (sum_channel_rows, add_channel_pieces))
    operands = d.geometry, d.lattices, x.reshape(-1), dy.reshape(-1), sums
    results = sums, int(d.geometry[0]["padded"]), dweight.reshape(-1, dweight.shape[3])

    def run():
        add(*operands)
        combine(*results)

    return run


@kernel
def sum_channel_rows(geometry, lattices, x, dy, sums):
    """Compute the partial sums of all pieces: taps of the filter, and for each the channels, in whole vectors."""
    pieces = len(sums)
    for piece in prange(pieces):
        g, vertical, horizontal = geometry[0], lattices[0], lattices[1]
        clear(sums[piece], 0, sums.shape[1])
        first, end = share(piece, pieces, g.images * g.grid_height)
        for row in range(first, end):
            sum_row(g, vertical, horizontal, row // g.grid_height, row % g.grid_height, x, dy, sums[piece])


@helper
def sum_row(g, vertical, horizontal, n, i, x, dy, sums):
    """Add the products of row i of the windows of image n, some neighbouring taps at a time."""
    top, line = i * g.step_h + vertical.origin, g.width * g.channels
    rows = taps_inside(top, vertical.taps, vertical.spacing, g.height)
    dy_start = (n * g.grid_height + i) * g.grid_width * g.channels
    size, pixel = (g.grid_width, g.channels), (g.step_w * g.channels, g.channels)
    steps, sum_steps = (
        (vertical.spacing * line, horizontal.spacing * g.channels),
        (horizontal.taps * g.padded, g.padded),
    )
    new = (g.step_h * line, g.grid_width * g.channels)
    for tap in range(0, horizontal.taps, GROUP):
        left = horizontal.origin + tap * horizontal.spacing
        last = g.width - 1 - left - (GROUP - 1) * horizontal.spacing
        first = min(max(0, -(left // g.step_w)), g.grid_width)
        inside = first, max(first, min(g.grid_width, last // g.step_w + 1))
        bounds = -left * g.channels, (g.width - left) * g.channels
        x_start, slot = ((n * g.height + top) * g.width + left) * g.channels, tap * g.padded
        taps = min(GROUP, horizontal.taps - tap)
        if steps[1] == pixel[0]:
            shared_sums(
                x, x_start, dy, dy_start, sums, slot, rows, inside, size, pixel, steps, bounds, sum_steps, new, taps
            )
        else:
            spaced_sums(
                x, x_start, dy, dy_start, sums, slot, rows, inside, size, pixel, steps, bounds, sum_steps, new, taps
            )


@kernel
def add_channel_pieces(sums, padded, dweight):
    """Add the partial sums of all pieces, in order."""
    taps, channels = dweight.shape
    for tap in prange(taps):
        total = dweight[tap]
        for c in range(channels):
            total[c] = 0
        for piece in range(len(sums)):
            part = sums[piece, tap * padded : tap * padded + channels]
            for c in range(channels):
                total[c] += part[c]
