"""Depthwise convolution, forward and input gradient: rows of results, computed from the images as they lie in memory.

Little is computed per number that is read, so nothing is copied: there is no border, and windows that hang over the
edge leave out the taps that see nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from ..ops.base import Buffer
from .compile import helper, kernel, serial
from .convolution import SERIAL_BELOW, Convolution
from .depthwise_tiles import PIXELS, shared_row, single_row, spaced_row
from .fused_pool import taps_inside
from .geometry import Axis, AxisPhase
from .microkernel import CHAIN

LATTICE = np.dtype([(name, np.int64) for name in ("taps", "origin", "spacing", "first", "end")])
"""On one axis, window i of a phase reads pixel i * step + origin + t * spacing by tap t; first, end: those inside."""


class Depthwise(NamedTuple):
    """What ``convolve_channels`` must know: that of a ``Convolution``, and the lattices of each phase's taps."""

    geometry: np.ndarray
    phases: np.ndarray
    lattices: np.ndarray
    taps: np.ndarray
    weights: dict[str, Buffer]
    scratch: dict[str, Buffer]
    work: int


def serves(c: Convolution) -> bool:
    """Tell whether this kernel can compute a convolution: depthwise, zeros for a border, no pool behind it.

    Filters of more than ``CHAIN`` taps are left to the kernel that sums in chains.
    """
    g = c.geometry[0]
    return bool(g["depthwise"] and not g["circular"] and not c.pool[0]["fused"] and c.phases["taps"].max() <= CHAIN)


def describe(c: Convolution, rows: Axis, columns: Axis) -> Depthwise:
    """Return the same convolution for this kernel."""
    pairs = [np.stack([lattice(rows, r), lattice(columns, s)]) for r in rows.phases for s in columns.phases]
    return Depthwise(c.geometry, c.phases, np.stack(pairs), c.taps, c.weights, {}, c.work)


def lattice(axis: Axis, phase: AxisPhase) -> np.ndarray:
    """Return the ``LATTICE`` record of one axis."""
    offsets = [offset for _, offset in phase.taps] or [0]
    origin, spacing = offsets[0] - axis.pad, offsets[1] - offsets[0] if len(offsets) > 1 else 1
    last = axis.size - 1 - origin - (offsets[-1] - offsets[0])
    first, end = max(phase.first, -(origin // axis.step)), min(phase.end, last // axis.step + 1)
    return np.array((len(phase.taps), origin, spacing, first, max(first, end)), LATTICE)


def bind(d: Depthwise, source, packed, out, argmax, scratch):
    """Return the call that computes ``out`` from ``source`` and packed weights; ``argmax`` is not in use."""
    call = serial(convolve_channels) if d.work < SERIAL_BELOW else convolve_channels
    operands = d.geometry, d.phases, d.lattices, source.reshape(-1), packed, out.reshape(-1)

    def run():
        call(*operands)

    return run


@kernel
def convolve_channels(geometry, phases, lattices, source, packed, out):
    """Compute all rows of the grid, of all images."""
    for unit in prange(geometry[0].images * geometry[0].grid_height):
        g = geometry[0]
        n, i = unit // g.grid_height, unit % g.grid_height
        for k in range(len(phases)):
            if phases[k].first_row <= i < phases[k].end_row:
                compute_row(g, phases[k], lattices[k, 0], lattices[k, 1], n, i, source, packed, out)


@helper
def compute_row(g, phase, vertical, horizontal, n, i, source, packed, out):
    """Compute the results of row i of the grid: those at the edges one by one, others in tiles."""
    first, end = horizontal.first, horizontal.end
    if end - first < PIXELS:
        first, end = phase.end_column, phase.end_column
    j = phase.first_column
    while j < phase.end_column:
        size = end - first if j == first else 1
        compute_pixels(g, phase, vertical, horizontal, n, i, j, size, source, packed, out)
        j += size


@helper
def compute_pixels(g, phase, vertical, horizontal, n, i, j, size, source, packed, out):
    """Compute ``size`` results of row i from column j on, all their channels, from the taps inside the image."""
    top, left = i * g.step_h + vertical.origin, j * g.step_w + horizontal.origin
    rows = taps_inside(top, vertical.taps, vertical.spacing, g.height)
    columns = taps_inside(left, horizontal.taps, horizontal.spacing, g.width)
    line = g.width * g.channels
    window = ((n * g.height + top) * g.width + left) * g.channels
    place = phase.out_start + n * phase.out_image + i * phase.out_row + j * phase.out_pixel
    taps, steps = (vertical.taps, horizontal.taps), (vertical.spacing * line, horizontal.spacing * g.channels)
    pixel, sizes = (g.step_w * g.channels, phase.out_pixel), (size, g.channels)
    ahead = (((vertical.taps - 1) * vertical.spacing + 1) * line, line)
    panel, relu = phase.panel, g.relu != 0
    if size == 1:
        single_row(source, window, packed, panel, out, place, taps, rows, columns, steps, pixel, sizes, relu)
    elif steps[1] == pixel[0]:
        shared_row(source, window, packed, panel, out, place, taps, rows, columns, steps, pixel, sizes, relu, ahead)
    else:
        spaced_row(source, window, packed, panel, out, place, taps, rows, columns, steps, pixel, sizes, relu, ahead)
