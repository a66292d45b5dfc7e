"""Where a convolution reads and writes: pure arithmetic, done once, when a kernel is bound.

One kernel computes every convolution, because each is described by the same few numbers: *source* images with a border,
a *grid* of windows that step over them, the *taps* of a window, and for each point of the grid the place of its result.

- Forward, the source is x, and each window gives one pixel of y.
- Backward, the source is dy, and the results are pixels of dx. With stride 1 this is the convolution with the turned
  filter. With a larger stride, pixels of dx fall into stride_h * stride_w *phases*; each is reached by some of the taps
  only, and is a convolution of dy with them, whose results lie stride pixels apart.
- A matrix product is a convolution of images of one pixel.
"""

from __future__ import annotations

from typing import NamedTuple

from ..ops.shapes import span
from .vector import lanes


class Axis(NamedTuple):
    """One axis, height or width, of windows over a source of ``size`` pixels with ``pad`` pixels of border before it.

    There are ``count`` windows, ``step`` pixels apart; each reaches over ``reach`` pixels. A negative ``pad`` leaves
    out the first pixels.
    """

    size: int
    pad: int
    step: int
    reach: int
    count: int  # type: ignore[assignment] # not tuple.count
    phases: list[AxisPhase]

    @property
    def extent(self) -> int:
        """Pixels of source and border that windows reach."""
        return (self.count - 1) * self.step + self.reach

    @property
    def has_border(self) -> bool:
        return self.pad > 0 or self.extent - self.pad > self.size


class AxisPhase(NamedTuple):
    """Results computed with the same taps: windows ``first`` to ``end``, window i at place ``start + i * step``.

    ``taps`` are pairs (index in the weight, offset in the window), by rising offset.
    """

    first: int
    end: int
    start: int
    step: int
    taps: list[tuple[int, int]]


def forward_axis(size, kernel, stride, pad, dilation, count) -> Axis:
    """Return an axis of a convolution: ``count`` windows over ``size`` pixels."""
    taps = [(tap, tap * dilation) for tap in range(kernel)]
    return Axis(size, pad, stride, span(kernel, dilation), count, [AxisPhase(0, count, 0, 1, taps)])


def each_pixel(size) -> Axis:
    """Return an axis of windows of one pixel: a matrix product is a convolution with these."""
    return forward_axis(size, 1, 1, 0, 1, size)


def gradient_axis(size, kernel, stride, pad, dilation, count) -> Axis:
    """Return the same axis of its input gradient: windows over ``count`` pixels of dy that give ``size`` pixels of dx.

    Window i of the convolution reads pixel h = i * stride + t * dilation - pad through tap t. Write h + pad as
    q * stride + phase: the taps that reach h are those with t * dilation % stride == phase, from window
    i = q - t * dilation // stride. So q counts windows of the gradient, from the q of the first pixel.
    """
    first_q, last_q = pad // stride, (size - 1 + pad) // stride
    furthest = (kernel - 1) * dilation // stride
    phases = []
    for phase in range(stride):
        reached = [t for t in reversed(range(kernel)) if t * dilation % stride == phase]
        taps = [(t, furthest - t * dilation // stride) for t in reached]
        start = first_q * stride + phase - pad
        first, end = int(start < 0), -(-(size - start) // stride)
        if first < end:
            phases.append(AxisPhase(first, end, start, stride, taps))
    return Axis(count, furthest - first_q, 1, furthest + 1, last_q - first_q + 1, phases)


class Channels(NamedTuple):
    """How channels are grouped: each of ``columns`` results of a group sums over ``depth`` channels of its source.

    Depthwise, all channels are one group, and each column reads one channel: its own.
    """

    groups: int
    depth: int
    columns: int
    depthwise: bool

    @classmethod
    def of(cls, groups: int, source: int, results: int) -> Channels:
        if groups > 1 and source == results == groups:
            return cls(1, 1, results, True)
        return cls(groups, source // groups, results // groups, False)

    def block(self, dtype) -> int:
        """The most columns of a tile: two vectors, depthwise one."""
        return lanes(dtype) * (1 if self.depthwise else 2)

    def blocks(self, dtype) -> int:
        """Blocks of columns in a group."""
        return -(-self.columns // self.block(dtype))

    def wide_blocks(self, dtype) -> int:
        """Blocks of a group that have more columns than one vector holds."""
        return 0 if self.depthwise else (self.columns + lanes(dtype) - 1) // self.block(dtype)

    def padded(self, dtype) -> int:
        """Columns of a group, filled up to whole vectors."""
        return -(-self.columns // lanes(dtype)) * lanes(dtype)
