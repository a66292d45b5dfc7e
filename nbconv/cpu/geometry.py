"""Where a convolution reads and writes, worked out once, in Python, when a kernel is bound.

One kernel computes every convolution, because each is described by the same few numbers: *source* images with a border,
a *grid* of windows that step over them, the *taps* of a window, and for each point of the grid the place of its result.

- Forward, the source is x, and each window gives one pixel of y.
- Backward, the source is dy, and the results are pixels of dx. With stride 1 this is the convolution with the turned
  filter. With a larger stride, pixels of dx fall into stride_h * stride_w *phases*; each is reached by some of the taps
  only, and is a convolution of dy with them, whose results lie stride pixels apart.
- A matrix product is a convolution of images of one pixel.

The grid is worked through in *strips*: some rows of an image, or some whole images, small enough for a core's cache.
"""

from __future__ import annotations

from itertools import accumulate
from math import prod
from typing import NamedTuple

import numpy as np

from ..ops.shapes import span
from .microkernel import NARROW_ROWS
from .vector import lanes

STRIP_PIXELS = 32 * NARROW_ROWS
"""Grid points of a strip at most: their addresses stay in the first cache."""

STRIP_ELEMENTS = 32768
"""Source elements of a strip, about: they stay in the second cache."""

LEAST_PIXELS = 4 * NARROW_ROWS
"""Grid points of a strip at least (if there are as many): less would leave tiles half empty."""

UNITS = 64
"""Into how many units of work a convolution is cut if it can be, for as many cores."""


def _record(*names):
    return np.dtype([(name, np.int64) for name in names])


GEOMETRY = _record(
    *("images", "height", "width", "channels"),  # of the source
    *("pad_top", "pad_left", "circular", "copied"),  # its border; whether strips are copied to get one
    *("step_h", "step_w", "reach_h", "reach_w"),  # of the windows: from one to the next, and how far one reaches
    *("grid_height", "grid_width", "result_height"),  # windows, and rows of the result (pooled rows where there is a pool)
    *("strip_images", "strip_rows", "strips_per_image", "strips", "strip_width"),  # rows of the result, pixels per line
    *("groups", "group_depth", "group_columns", "lanes", "block", "blocks", "parts"),  # channels; see ``Channels``
    *("depthwise", "relu"),
)
PHASE = _record(
    *("first_tap", "taps", "depth"),  # neighbouring taps count as one of greater depth
    *("panel", "first_weight", "weights"),  # where its packed weights begin, and the taps as they lie in the weight
    *("first_row", "end_row", "first_column", "end_column"),  # of the grid
    *("out_start", "out_image", "out_row", "out_pixel"),  # the place of grid point (n, i, j) in the result
)
POOL = _record("pooled", "height", "width", "kernel_h", "kernel_w", "step_h", "step_w", "pad_top", "pad_left", "dilation_h", "dilation_w")


class Channels(NamedTuple):
    """How channels are grouped: each of ``columns`` results of a group sums over ``depth`` channels of its source.

    Depthwise convolution counts as one group whose columns read one channel each, their own.
    """

    groups: int
    depth: int
    columns: int
    depthwise: bool

    @classmethod
    def of(cls, groups, source, results) -> Channels:
        if groups > 1 and source == results == groups:
            return cls(1, 1, results, True)
        return cls(groups, source // groups, results // groups, False)

    def block(self, dtype) -> int:
        """Columns that one tile computes at most: two vectors, and one depthwise."""
        return lanes(dtype) * (1 if self.depthwise else 2)

    def blocks(self, dtype) -> int:
        """Blocks of columns per group."""
        return -(-self.columns // self.block(dtype))

    def padded(self, dtype) -> int:
        """Columns per group filled up to whole vectors."""
        return -(-self.columns // lanes(dtype)) * lanes(dtype)


class Convolution(NamedTuple):
    """One convolution, ready for ``convolve``: its records, the offsets of its taps, and the sizes of its buffers."""

    geometry: np.ndarray
    phases: np.ndarray
    taps: np.ndarray
    weights: np.ndarray
    pool: np.ndarray
    packed_size: int
    strip_size: int
    result_size: int
    work: int


class Axis(NamedTuple):
    """One axis of windows over a bordered source: what ``forward_axis`` and ``gradient_axis`` have in common."""

    size: int
    pad: int
    step: int
    reach: int
    count: int
    phases: list[AxisPhase]

    @property
    def extent(self) -> int:
        """Pixels of the bordered source that windows reach."""
        return (self.count - 1) * self.step + self.reach

    @property
    def has_border(self) -> bool:
        return self.pad > 0 or self.extent - self.pad > self.size


class AxisPhase(NamedTuple):
    """Results that the same taps reach: grid points ``first`` to ``end``, result i at ``start + i * step``."""

    first: int
    end: int
    start: int
    step: int
    taps: list[tuple[int, int]]
    """Pairs (index in the weight, offset in the source), by rising offset."""


def forward_axis(size, kernel, stride, pad, dilation, count) -> Axis:
    """One axis of a convolution: ``count`` windows over ``size`` pixels with a border."""
    taps = [(tap, tap * dilation) for tap in range(kernel)]
    return Axis(size, pad, stride, span(kernel, dilation), count, [AxisPhase(0, count, 0, 1, taps)])


def gradient_axis(size, kernel, stride, pad, dilation, count) -> Axis:
    """One axis of its input gradient: a grid over ``count`` pixels of dy whose results are ``size`` pixels of dx.

    Pixel h of dx has been read by window i through tap t where h + pad == i * stride + t * dilation. With
    h + pad = q * stride + phase this is i = q - t * dilation // stride, for the taps with t * dilation % stride == phase.
    """
    least, most = pad // stride, (size - 1 + pad) // stride
    furthest = (kernel - 1) * dilation // stride
    phases = []
    for phase in range(stride):
        taps = [(t, furthest - t * dilation // stride) for t in reversed(range(kernel)) if t * dilation % stride == phase]
        start = least * stride + phase - pad
        first, end = int(start < 0), -(-(size - start) // stride)
        if first < end:
            phases.append(AxisPhase(first, end, start, stride, taps))
    return Axis(count, furthest - least, 1, furthest + 1, most - least + 1, phases)


def merge(offsets: list[int], depth: int, run: int) -> tuple[list[int], int]:
    """Join each ``run`` taps into one if they are neighbours: ``merge([0, 4, 20, 24], 4, 2) == ([0, 20], 8)``."""
    neighbours = all(b - a == depth for i, (a, b) in enumerate(zip(offsets, offsets[1:], strict=False), 1) if i % run)
    return (offsets[::run], depth * run) if neighbours else (offsets, depth)


class Taps(NamedTuple):
    """The taps of a phase: where they read in the source, merged, and which taps of the weight they are."""

    offsets: list[int]
    depth: int
    weights: list[int]

    @classmethod
    def of(cls, rows: AxisPhase, columns: AxisPhase, line: int, pixel: int, depth: int, kernel_w: int) -> Taps:
        """``line`` and ``pixel`` are the steps between rows and pixels of the source, in elements."""
        offsets = [r * line + s * pixel for _, r in rows.taps for _, s in columns.taps]
        weights = [r * kernel_w + s for r, _ in rows.taps for s, _ in columns.taps]
        for run in len(columns.taps), len(rows.taps):
            if offsets:
                offsets, depth = merge(offsets, depth, run)
        return cls(offsets, depth, weights)
