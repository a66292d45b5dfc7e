"""Weights for Winograd's algorithm: filters transformed, and transformed in the order in which tiles read them.

For each point of the transform there are panels as in ``packing.py``, but without biases, which are added to the
results.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..ops.base import Buffer
from .compile import helper, kernel, serial
from .geometry import Channels
from .memory import clear
from .packing import SERIAL_BELOW, weight_steps
from .records import TILES, channel_record, one
from .winograd_transforms import filter_to_points


def buffers(channels: Channels, dtype, taps, points) -> dict[str, Buffer]:
    """Return the arrays of transformed filters, and the one that filters of a block are gathered in."""
    blocks = channels.groups * channels.blocks(dtype)
    panels = channels.groups * channels.padded(dtype) * channels.depth
    return {
        "transformed": Buffer((points, points, panels), dtype),
        "filters": Buffer((blocks, taps, channels.block(dtype)), dtype),
    }


def bind_transform(channels, weight, transformed, filters, *, transposed=False):
    """Return the call that transforms and packs a weight (KH, KW, C / groups, K) into ``buffers``.

    ``transposed``, as for the input gradient, columns are input channels, and the filters are turned round.
    """
    count = weight.shape[0] * weight.shape[1]
    taps = np.arange(count)[::-1].copy() if transposed else np.arange(count)
    size = one(TILES, {"points": transformed.shape[0], "taps": weight.shape[0]})
    call = serial(transform_weights) if transformed.size < SERIAL_BELOW else transform_weights
    steps = weight_steps(channels, weight, transposed=transposed)
    record = channel_record(str(weight.dtype), channels)
    operands = record, size, taps, steps, weight.reshape(-1), transformed.reshape(-1), filters

    def run():
        call(*operands)

    return run


@kernel
def transform_weights(geometry, size, taps, steps, weight, transformed, filters):
    """Fill the panels of all points; ``steps`` leads through the weight: to the next tap, depth, column and group."""
    for unit in prange(len(filters)):
        g, w = geometry[0], size[0]
        group, column = unit // g.blocks, unit % g.blocks * g.block
        columns, width = min(g.block, g.columns - column), min(g.block, g.padded - column)
        panel, step = (group * g.padded + column) * g.depth, g.groups * g.padded * g.depth
        block = filters[unit]
        clear(block, 0, block.size)
        for k in range(g.depth):
            start = group * steps[3] + column * steps[2] + k * steps[1]
            for t in range(len(taps)):
                tap = weight[start + taps[t] * steps[0] :]
                for j in range(columns):
                    block[t, j] = tap[j * steps[2]]
            for j in range(0, width, g.lanes):
                transform_filter(g, w, block, j, transformed, panel + k * width + j, step)


@helper
def transform_filter(g, w, filters, start, transformed, place, step):
    """Transform one vector of filters."""
    line, pixel = w.taps * g.block, g.block
    if w.points == 4:
        filter_to_points(4, 3, filters, start, line, pixel, transformed, place, step)
    elif w.taps == 3:
        filter_to_points(6, 3, filters, start, line, pixel, transformed, place, step)
    else:
        filter_to_points(6, 5, filters, start, line, pixel, transformed, place, step)
