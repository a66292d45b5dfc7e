"""Which algorithm computes a convolution: the one that is asked for, or else the one that takes fewer steps.

A step is what a core does for one vector in the time of a multiplication and addition. The constants were measured;
they are ratios of instructions, and differ little between processors.
"""

from __future__ import annotations

from math import prod

from .geometry import Channels
from .microkernel import ROWS
from .point_tiles import SUM_ROWS
from .vector import lanes
from .winograd import OUTPUTS

TRANSFORM = 10
"""Steps of a transform per vector of channels and point: loads, stores and a dozen sums."""

FILTERS = 30
"""The same for the transform of the weights, which gathers them and writes far apart."""

WORTH = 0.8
"""Winograd's algorithm rounds more and has more to compile: it must save a fifth of the steps."""


def winograd_forward(op, dtype, source, result) -> int:
    """Return the results of a tile on each axis by which to compute ``result`` from ``source``, both (N, H, W, C).

    That is 4 for F(4x4, 3x3) or 2 for F(2x2, 3x3) and F(2x2, 5x5); 0 means that another algorithm is to be used. The
    input gradient is a convolution from the shape of dy to that of dx. In float64, which is chosen for its digits,
    Winograd's algorithm is taken only if asked for.

    In 3x3 convolutions it is taken from about 16 channels on, on both sides.
    """
    channels = Channels.of(op.groups, source[3], result[3])
    direct = prod(result[:3]) * prod(op.kernel_size) * channels.depth * _vectors(channels, dtype)
    return _choose(op, dtype, direct, source, result, lambda depth: depth)


def winograd_gradient(op, dtype, source, result) -> int:
    """Return the same for the gradient of the weight of a convolution from ``source`` to ``result``."""
    channels = Channels.of(op.groups, source[3], result[3])
    direct = prod(result[:3]) * _filled(prod(op.kernel_size) * channels.depth, ROWS) * _vectors(channels, dtype)
    return _choose(op, dtype, direct, source, result, lambda depth: _filled(depth, SUM_ROWS))


def _choose(op, dtype, direct, source, result, rows) -> int:
    """Return the number of outputs that takes the fewest steps, or 0 where ``direct`` steps are fewer.

    ``rows`` says how many rows of products tiles compute for so many channels of a group.
    """
    if not op.has_winograd or op.algorithm not in ("auto", "winograd"):
        return 0
    channels = Channels(op.groups, source[3] // op.groups, result[3] // op.groups, False)
    products = rows(channels.depth) * _vectors(channels, dtype)
    transforms = (
        TRANSFORM
        * channels.groups
        * (-(-channels.depth // lanes(dtype)) + _vectors(channels, dtype) // channels.groups)
    )

    def steps(outputs):
        tiles = result[0] * -(-result[1] // outputs) * -(-result[2] // outputs)
        points = (op.kernel_size[0] + outputs - 1) ** 2
        return points * (tiles * (products + transforms) + FILTERS * products)

    best = min(OUTPUTS[op.kernel_size[0]], key=steps)
    is_better = dtype == "float32" and steps(best) < WORTH * direct
    return best if is_better or op.algorithm == "winograd" else 0


def _vectors(channels: Channels, dtype) -> int:
    """Vectors of results, of all groups."""
    return channels.groups * channels.padded(dtype) // lanes(dtype)


def _filled(rows: int, tile: int) -> int:
    """Fill up to whole tiles: ``_filled(15, 14)`` is 28."""
    return -(-rows // tile) * tile
