"""Transposed convolution: what it is and which shapes it makes. Kernels: ``<device>/conv_transpose.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

from ..errors import OptionError, ShapeError
from .base import Layer, Shape
from .conv import ACTIVATIONS, Conv2d
from .options import choice, flag, initializer, integer, settle
from .receptive import Window, transposed
from .shapes import AXES, Pads, image, padding_option, pair, span

ALGORITHMS = ("auto", "direct", "winograd")


@dataclass(frozen=True, repr=False)
class ConvTranspose2d(Layer):
    """Spread each pixel over a window by learned filters: the input gradient of ``Conv2d``, used forward.

    ``ConvTranspose2d(16, 4, stride=2, padding=1)`` maps (N, 32, 14, 14) to (N, 16, 28, 28).

    Parameters
    ----------
    out_channels : int
        Channels of the output; the input's are inferred.
    kernel_size, stride, dilation : int or (int, int)
        Size of a filter, step between the windows that neighbouring pixels spread over, and step between the taps of a
        filter, in pixels, as (height, width).
    padding : int, (height, width) or (top, bottom, left, right)
        Border that is cut off the output, in pixels: with the same numbers it undoes the shape of a ``Conv2d``.
    output_padding : int or (int, int)
        Rows and columns that the output has more at the bottom and right, of the several sizes that a ``Conv2d`` with a
        stride would map to the input's; less than the stride.
    groups : int
        Split channels into this many independent ones.
    bias : bool
        Whether to add one learned number per output channel.
    init : str or float
        Initial weights, as for ``Conv2d``.
    algorithm : "auto", "direct" or "winograd"
        How it is computed, on devices that have a choice, as for ``Conv2d``.
    activation
        Set by the engine's rewrites: a ReLU computed in the same kernel.

    Raises
    ------
    OptionError
        If an option is out of range.
    ShapeError
        When the graph is built: channels that do not divide by ``groups``, or a padding that leaves no output.

    Notes
    -----
    y[n, k, i*stride + r*dilation - pad, ...] = bias[k] + sum over c, r, s of x[n, c, i, j] * weight[c, k, r, s], and
    H' = (H - 1)*stride - top - bottom + dilation*(KH - 1) + output_padding + 1: PyTorch's, whose ``weight``
    (C, K / groups, KH, KW) is that of ``state_dict``. Zeiler et al., "Deconvolutional networks" (2010); Dumoulin &
    Visin, "A guide to convolution arithmetic for deep learning" (2016).
    """

    out_channels: int
    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: int | tuple[int, ...] = 0
    output_padding: int | tuple[int, int] = 0
    groups: int = 1
    bias: bool = True
    dilation: int | tuple[int, int] = 1
    init: str | float = field(default="kaiming_normal", kw_only=True)
    algorithm: str = field(default="auto", kw_only=True)
    activation: str | None = field(default=None, kw_only=True)

    params: ClassVar = ("weight", "bias")
    backward_reads: ClassVar = ("x", "weight", "out")
    uses_scratch: ClassVar = True
    canonical_axes: ClassVar = {"weight": (3, 2, 0, 1)}

    def __post_init__(self):
        super().__post_init__()
        settle(self, out_channels=integer(self.out_channels, "out_channels"), groups=integer(self.groups, "groups"))
        settle(self, **{name: pair(getattr(self, name), name) for name in ("kernel_size", "stride", "dilation")})
        settle(self, output_padding=pair(self.output_padding, "output_padding", least=0))
        settle(self, padding=padding_option(self.padding, names=()), bias=flag(self.bias, "bias"))
        settle(self, init=initializer(self.init))
        if self.out_channels % self.groups:
            raise OptionError(f"out_channels {self.out_channels} does not divide by groups {self.groups}")
        if any(o >= s for o, s in zip(self.output_padding, self.stride, strict=True)):
            raise OptionError(
                f"output_padding {self.output_padding} must be less than the stride {self.stride} on both axes; "
                f"for a larger border put Pad2d behind it"
            )
        choice(self.activation, "activation", ACTIVATIONS)
        choice(self.algorithm, "algorithm", ALGORITHMS)
        self.as_conv2d(self.groups)  # which knows where Winograd's algorithm is possible

    def as_conv2d(self, channels: int) -> Conv2d:
        """The convolution, from ``out_channels`` to this many ``channels``, whose input gradient this is.

        It maps the shape of the output to that of the input, and has the same weight, (KH, KW, K / groups, C).
        """
        return Conv2d(
            *(channels, self.kernel_size, self.stride, self.padding, self.dilation, self.groups),
            bias=False,
            algorithm=self.algorithm,
        )

    def windows(self, x: Shape) -> tuple[Window, ...]:
        spans = (span(k, d) for k, d in zip(self.kernel_size, self.dilation, strict=True))
        return tuple(map(transposed, spans, self.stride, self._pads[::2]))

    def out_shape(self, x: Shape) -> Shape:
        n, h, w, c = image(x, self)
        if c % self.groups:
            raise ShapeError(
                f"{c} input channels do not divide by groups={self.groups}; "
                f"use a groups that divides {c} and out_channels"
            )
        top, bottom, left, right = self._pads
        cuts = top + bottom, left + right
        sizes = [
            (size - 1) * s + span(k, d) + more - cut
            for size, k, s, d, more, cut in zip(
                *((h, w), self.kernel_size, self.stride, self.dilation, self.output_padding, cuts), strict=True
            )
        ]
        for size, axis in zip(sizes, AXES, strict=True):
            if size < 1:
                raise ShapeError(
                    f"a padding of {self._pads} leaves a {axis} of {size} on an input of {h}x{w}; use a smaller padding"
                )
        return n, *sizes, self.out_channels

    @property
    def _pads(self) -> Pads:
        top, bottom, left, right = self.padding  # type: ignore[misc] # settled
        return top, bottom, left, right

    def param_shapes(self, x: Shape) -> dict[str, Shape]:
        """``weight`` (KH, KW, K / groups, C) and ``bias`` (K,)."""
        shapes: dict[str, Shape] = {"weight": (*tuple(self.kernel_size), self.out_channels // self.groups, x[3])}
        if self.bias:
            shapes["bias"] = (self.out_channels,)
        return shapes

    def fans(self, x: Shape) -> tuple[int, int]:
        """With a stride, only some of the taps feed one output: as many on average as count."""
        taps = prod(self.kernel_size)
        return max(1, taps // prod(self.stride)) * (x[3] // self.groups), taps * self.out_channels // self.groups

    def reads_in_backward(self):
        return ("x", "weight", "out") if self.activation else ("x", "weight")

    def macs(self, x: Shape) -> int:
        return prod(x) * self.fans(x)[1]

    def flops(self, x: Shape) -> int:
        return 2 * self.macs(x) + prod(self.out_shape(x)) * (self.bias + bool(self.activation))

    def elements_moved(self, x: Shape) -> int:
        return prod(x) + prod(self.out_shape(x)) + sum(prod(s) for s in self.param_shapes(x).values())
