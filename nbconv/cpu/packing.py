"""Weights in the order in which tiles read them.

For each phase, group and block of columns there is a panel: a row of biases, then a row for each tap and channel of the
source. A row has the columns of the block, filled up with zeros to whole vectors.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .compile import helper, kernel, serial

SERIAL_BELOW = 8192


def bind_pack(c, weight, bias, packed, *, transposed=False):
    """Return the call that packs a weight (KH, KW, C / groups, K) for a ``Convolution``.

    Columns are the weight's last axis; ``transposed``, for the input gradient, its last but one, and there is no bias.
    """
    _, _, channels, filters = weight.shape
    per_group = filters // int(c.geometry[0]["groups"])
    if c.geometry[0]["depthwise"]:
        steps = filters, 0, 1, 0
    elif transposed:
        steps = channels * filters, 1, filters, per_group
    else:
        steps = channels * filters, filters, 1, per_group
    bias = np.zeros(int(c.geometry[0]["out_channels"]), weight.dtype) if bias is None else bias
    call, weight = serial(pack) if packed.size < SERIAL_BELOW else pack, weight.reshape(-1)

    def run():
        call(c.geometry, c.phases, c.weights, steps, weight, bias, packed)

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
