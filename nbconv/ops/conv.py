"""Convolution: what it is and which shapes it makes. Kernels: ``<device>/conv.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

from ..errors import OptionError, ShapeError
from .base import Buffer, Layer, Shape
from .options import choice, flag, initializer, integer, settle
from .pool import MaxPool2d
from .receptive import Window, sliding
from .shapes import AXES, Pads, check_wrap, image, padding_option, pair, resolve_padding, span, window_count

PADDING_MODES = ("zeros", "circular")
ACTIVATIONS = (None, "relu")
PADDINGS = ("same", "valid", "full")
ALGORITHMS = ("auto", "direct", "winograd", "im2col")


@dataclass(frozen=True, repr=False)
class Conv2d(Layer):
    """Slide learned filters over images (cross-correlation, as in every framework; convolution with ``flip=True``).

    ``Conv2d(16, 3, padding=1)`` maps (N, 3, 32, 32) to (N, 16, 32, 32).

    Parameters
    ----------
    out_channels : int
        Number of filters; the input's channels are inferred.
    kernel_size, stride, dilation : int or (int, int)
        Size of a filter, step between windows and step between its taps, in pixels, as (height, width).
    padding : int, (height, width), (top, bottom, left, right), "valid", "same" or "full"
        Border in pixels. ``"same"`` gives ceil(size / stride) outputs, the odd pixel on the right and bottom.
        ``"full"`` is dilation * (kernel_size - 1) on each side: an output wherever filter and image meet.
    groups : int
        Split channels into this many independent convolutions; ``groups`` = input channels is depthwise.
    bias : bool
        Whether to add one learned number per filter.
    padding_mode : "zeros" or "circular"
        What the border holds: zeros, or the image again (each axis wraps round).
    flip : bool
        Whether each filter is turned round on both axes first ("flip and drag"): true convolution, which commutes, as
        in mathematics and in signal processing. ``weight`` and its gradient are those of the filter as it is given.
    init : str or float
        Initial weights: a name of ``nbconv.train.initializers``, or the standard deviation of a normal distribution.
    algorithm : "auto", "direct", "winograd" or "im2col"
        How it is computed, on devices that have a choice. ``"winograd"`` (square filters of 3 or 5 at stride and
        dilation 1) does with a quarter to a half of the multiplications, but rounds more: ``"auto"`` takes it where
        it is faster, for float32.
    activation, pool, measures
        Set by the engine's rewrites: a ReLU and a max-pool computed in the same kernel; whether a batch norm follows,
        for which a kernel may leave the sums that statistics are made of.

    Raises
    ------
    OptionError
        If an option is out of range.
    ShapeError
        When the graph is built: channels that do not divide by ``groups``, or a window larger than the padded image.

    Notes
    -----
    y[n, k, i, j] = bias[k] + sum over c, r, s of weight[k, c, r, s] * x[n, c, i*stride + r*dilation - pad, ...],
    as in Dumoulin & Visin, "A guide to convolution arithmetic for deep learning" (2016). With ``flip`` it is
    weight[k, c, KH - 1 - r, KW - 1 - s].
    """

    out_channels: int
    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: int | str | tuple[int, ...] = 0
    dilation: int | tuple[int, int] = 1
    groups: int = 1
    bias: bool = True
    padding_mode: str = "zeros"
    flip: bool = False
    init: str | float = field(default="kaiming_normal", kw_only=True)
    algorithm: str = field(default="auto", kw_only=True)
    activation: str | None = field(default=None, kw_only=True)
    pool: MaxPool2d | None = field(default=None, kw_only=True)
    measures: bool = field(default=False, kw_only=True)

    params: ClassVar = ("weight", "bias")
    saved: ClassVar = ("argmax",)
    backward_reads: ClassVar = ("x", "weight", "out", "argmax")
    uses_scratch: ClassVar = True
    canonical_axes: ClassVar = {"weight": (3, 2, 0, 1)}

    def __post_init__(self):
        super().__post_init__()
        settle(self, out_channels=integer(self.out_channels, "out_channels"), groups=integer(self.groups, "groups"))
        settle(self, **{name: pair(getattr(self, name), name) for name in ("kernel_size", "stride", "dilation")})
        settle(self, bias=flag(self.bias, "bias"), flip=flag(self.flip, "flip"), init=initializer(self.init))
        settle(self, padding=padding_option(self.padding, PADDINGS))
        if self.out_channels % self.groups:
            raise OptionError(f"out_channels {self.out_channels} does not divide by groups {self.groups}")
        choice(self.padding_mode, "padding_mode", PADDING_MODES)
        choice(self.activation, "activation", ACTIVATIONS)
        choice(self.algorithm, "algorithm", ALGORITHMS)
        if self.algorithm == "winograd" and not self.has_winograd:
            raise OptionError(
                f"algorithm='winograd' needs a kernel of 3x3 or 5x5, stride 1 and dilation 1, got kernel_size="
                f"{self.kernel_size}, stride={self.stride}, dilation={self.dilation}; use algorithm='auto'"
            )

    @property
    def has_winograd(self) -> bool:
        """Whether Winograd's algorithm is possible."""
        return self.kernel_size in ((3, 3), (5, 5)) and self.stride == self.dilation == (1, 1)

    def pads(self, x: Shape) -> Pads:
        """The border (top, bottom, left, right) for an input of this shape, in pixels."""
        _, h, w, _ = x
        return resolve_padding(self.padding, (h, w), self.kernel_size, self.stride, self.dilation)

    def conv_shape(self, x: Shape) -> Shape:
        """The output of the convolution itself, before a fused pool."""
        n, h, w, c = image(x, self)
        if c % self.groups:
            raise ShapeError(
                f"{c} input channels do not divide by groups={self.groups}; "
                f"use a groups that divides {c} (groups={c} is depthwise) or another number of channels"
            )
        top, bottom, left, right = self.pads(x)
        if self.padding_mode == "circular":
            check_wrap(h, (top, bottom), "height")
            check_wrap(w, (left, right), "width")
        sizes = [
            window_count(size, k, s, p, dilation=d, axis=axis)
            for size, k, s, p, d, axis in zip(
                (h, w), self.kernel_size, self.stride, ((top, bottom), (left, right)), self.dilation, AXES, strict=True
            )
        ]
        return n, *sizes, self.out_channels

    def out_shape(self, x: Shape) -> Shape:
        shape = self.conv_shape(x)
        return self.pool.out_shape(shape) if self.pool else shape

    def param_shapes(self, x: Shape) -> dict[str, Shape]:
        """``weight`` (KH, KW, C / groups, K) and ``bias`` (K,)."""
        shapes: dict[str, Shape] = {"weight": (*tuple(self.kernel_size), x[3] // self.groups, self.out_channels)}
        if self.bias:
            shapes["bias"] = (self.out_channels,)
        return shapes

    def fans(self, x: Shape) -> tuple[int, int]:
        taps = prod(self.kernel_size)
        return taps * x[3] // self.groups, taps * self.out_channels // self.groups

    def saved_shapes(self, x: Shape) -> dict[str, Buffer]:
        return self.pool.saved_shapes(self.conv_shape(x)) if self.pool else {}

    def hands_on(self) -> tuple[str, ...]:
        return ("moments",) if self.measures else ()

    def reads_in_backward(self):
        used = ["x", "weight"]
        if self.activation:
            used.append("out")
        if self.pool:
            used.append("argmax")
        return tuple(used)

    def windows(self, x: Shape) -> tuple[Window, ...]:
        spans = [span(k, d) for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        own = sliding(spans, self.stride, self.pads(x))
        return self.pool.windows_after(own, self.conv_shape(x)) if self.pool else own

    def macs(self, x: Shape) -> int:
        return prod(self.conv_shape(x)) * self.fans(x)[0]

    def flops(self, x: Shape) -> int:
        conv = self.conv_shape(x)
        fused = self.pool.flops(conv) if self.pool else 0
        return 2 * self.macs(x) + prod(conv) * (self.bias + bool(self.activation)) + fused

    def elements_moved(self, x: Shape) -> int:
        return prod(x) + prod(self.out_shape(x)) + sum(prod(s) for s in self.param_shapes(x).values())
