"""Weights in the order in which tiles read them.

For each phase, group and block of columns there is a panel: a row of biases, then a row for each tap and channel of the
source. A row has the columns of the block, filled up with zeros to whole vectors.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .compile import helper, kernel, serial
from .records import PHASE, channel_record, one

SERIAL_BELOW = 32768
"""Elements below which waking the other threads takes longer than they save."""


def bind_prepare(channels, weight, bias, packed):
    """Return the call that packs a weight (KH, KW, C / groups, K) and its bias for the forward convolution."""
    taps = weight.shape[0] * weight.shape[1]
    return _bind(channels, one(PHASE, {"weights": taps}), np.arange(taps), weight, bias, packed, transposed=False)


def bind_turn(channels, phases, weights, weight, packed):
    """Return the call that packs a weight for the phases of the input gradient: columns are input channels."""
    return _bind(channels, phases, weights, weight, None, packed, transposed=True)


def _bind(channels, phases, weights, weight, bias, packed, *, transposed):
    _, _, depth, filters = weight.shape
    if channels.depthwise:
        steps = filters, 0, 1, 0
    elif transposed:
        steps = depth * filters, 1, filters, channels.depth
    else:
        steps = depth * filters, filters, 1, channels.columns
    bias = np.zeros(channels.groups * channels.columns, weight.dtype) if bias is None else bias
    call = serial(pack) if packed.size < SERIAL_BELOW else pack
    operands = channel_record(str(weight.dtype), channels), phases, weights, steps, weight.reshape(-1), bias, packed

    def run():
        call(*operands)

    return run


@kernel
def pack(geometry, phases, weights, steps, weight, bias, packed):
    """Fill all panels; ``steps`` leads through the weight, by elements: to the next tap, depth, column and group."""
    blocks = geometry[0].groups * geometry[0].blocks
    for unit in prange(len(phases) * blocks):
        g, phase = geometry[0], phases[unit // blocks]
        group, column = unit % blocks // g.blocks, unit % g.blocks * g.block
        columns = min(g.block, g.columns - column)
        width = min(g.block, g.padded - column)
        at = phase.panel + (group * g.padded + column) * (1 + phase.weights * g.depth)
        for j in range(width):
            packed[at + j] = bias[group * g.columns + column + j] if j < columns else 0
        at += width
        start = group * steps[3] + column * steps[2]
        for t in range(phase.first_weight, phase.first_weight + phase.weights):
            _pack_tap(weight, start + weights[t] * steps[0], steps, g.depth, columns, width, packed, at)
            at += g.depth * width


@helper
def _pack_tap(weight, start, steps, depth, columns, width, packed, at):
    """Pack one tap, ``depth`` rows; the inner loop is the one that reads neighbours."""
    if steps[2] == 1:
        for k in range(depth):
            for j in range(columns):
                packed[at + k * width + j] = weight[start + k * steps[1] + j]
    else:
        for j in range(columns):
            for k in range(depth):
                packed[at + k * width + j] = weight[start + j * steps[2] + k * steps[1]]
    for k in range(depth):
        for j in range(columns, width):
            packed[at + k * width + j] = 0
