"""Weights in the order in which tiles read them.

For each phase, group and block of columns there is a panel: a row of biases, then a row for each tap and channel of the
source. A row has the columns of the block, filled up with zeros to whole vectors.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import prange

from .compile import helper, kernel, serial
from .records import PHASE, channel_record, one

SERIAL_BELOW = 32768
"""Elements below which waking the other threads takes longer than they save."""


def bind_prepare(channels, weight, bias, packed):
    """Return the call that packs a weight (KH, KW, C / groups, K) and its bias for the forward convolution."""
    taps = weight.shape[0] * weight.shape[1]
    phase, order = _forward_phase(taps, channels.depth)
    return _bind(
        channels,
        phase,
        order,
        weight,
        bias,
        packed,
        transposed=False,
    )


@lru_cache
def _forward_phase(taps, depth):
    """Return the one phase of a forward convolution, and its taps."""
    return one(PHASE, {"taps": taps, "products": taps * depth}), np.arange(taps)


def bind_turn(channels, phases, taps, weight, packed, bias=None):
    """Return the call that packs a weight for the phases of the input gradient: columns are input channels."""
    return _bind(channels, phases, taps, weight, bias, packed, transposed=True)


def _bind(channels, phases, taps, weight, bias, packed, *, transposed):
    steps = weight_steps(channels, weight, transposed=transposed)
    bias = np.zeros(channels.groups * channels.columns, weight.dtype) if bias is None else bias
    call = serial(pack) if packed.size < SERIAL_BELOW else pack
    operands = _channel_record(weight.dtype, channels), phases, taps, steps, weight.reshape(-1), bias, packed

    def run():
        call(*operands)

    return run


@lru_cache
def _channel_record(dtype, channels):
    """Return the record that ``pack`` reads: once for each, so that binding is cheap."""
    return channel_record(str(dtype), channels)


def weight_steps(channels, weight, *, transposed):
    """Return the steps through a weight, in elements: to the next tap, depth, column and group.

    ``transposed``, as in the input gradient, columns are input channels.
    """
    _, _, depth, filters = weight.shape
    if channels.depthwise:
        return filters, 0, 1, 0
    if transposed:
        return depth * filters, 1, filters, channels.depth
    return depth * filters, filters, 1, channels.columns


@kernel
def pack(geometry, phases, taps, steps, weight, bias, packed):
    """Fill all panels; ``steps`` leads through the weight, see ``weight_steps``."""
    blocks = geometry[0].groups * geometry[0].blocks
    for unit in prange(len(phases) * blocks):
        g, phase = geometry[0], phases[unit // blocks]
        group, column = unit % blocks // g.blocks, unit % g.blocks * g.block
        columns, width = min(g.block, g.columns - column), min(g.block, g.padded - column)
        start = phase.panel + (group * g.padded + column) * (1 + phase.products)
        panel = packed[start : start + (1 + phase.products) * width].reshape(1 + phase.products, width)
        for j in range(width):
            panel[0, j] = bias[group * g.columns + column + j] if j < columns else 0
        start = group * steps[3] + column * steps[2]
        for t in range(phase.taps):
            rows = panel[1 + t * g.depth : 1 + (t + 1) * g.depth]
            pack_tap(weight[start + taps[phase.first_tap + t] * steps[0] :], steps, columns, rows)


@helper
def pack_tap(weight, steps, columns, rows):
    """Pack one tap of the weight; the inner loop is the one that reads neighbours."""
    depth, width = rows.shape
    if steps[2] == 1:
        for k in range(depth):
            source = weight[k * steps[1] : k * steps[1] + columns]
            for j in range(columns):
                rows[k, j] = source[j]
    else:
        for j in range(columns):
            source = weight[j * steps[2] : j * steps[2] + depth]
            for k in range(depth):
                rows[k, j] = source[k]
    for k in range(depth):
        for j in range(columns, width):
            rows[k, j] = 0
