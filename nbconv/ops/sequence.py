"""Convolution and pooling of sequences: those of images of height 1. Kernels: ``<device>/sequence.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from ..errors import OptionError
from .base import Buffer, Layer, Shape
from .conv import PADDINGS, Conv2d
from .options import flag, initializer, integer, settle
from .pool import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from .receptive import Window
from .shapes import (
    check_wrap,
    of_height_one,
    sequence,
    sequence_padding_option,
    single,
    span,
    window_count,
    without_height,
)


@dataclass(frozen=True, repr=False)
class _OnSequences(Layer):
    """What all share: ``as_2d``, the same op on images, knows everything."""

    @property
    def as_2d(self) -> Layer:
        """The same op on images of height 1."""
        raise TypeError(f"{type(self).__name__} does not define as_2d")

    def _image(self, x: Shape) -> Shape:
        return of_height_one(sequence(x, self))

    def check_length(self, length: int) -> None:
        """Raise ``ShapeError`` for sequences of a length that does not do, in words of sequences."""

    def out_shape(self, x: Shape) -> Shape:
        image = self._image(x)
        self.check_length(x[1])
        return without_height(self.as_2d.out_shape(image))

    def saved_shapes(self, x: Shape) -> dict[str, Buffer]:
        saved = self.as_2d.saved_shapes(self._image(x))
        return {name: Buffer(without_height(shape), dtype) for name, (shape, dtype) in saved.items()}

    def reads_in_backward(self):
        return self.as_2d.reads_in_backward()

    def windows(self, x: Shape) -> tuple[Window, ...] | None:
        across = self.as_2d.windows(self._image(x))
        return across and across[1:]

    def macs(self, x: Shape) -> int:
        return self.as_2d.macs(self._image(x))

    def flops(self, x: Shape) -> int:
        return self.as_2d.flops(self._image(x))

    def elements_moved(self, x: Shape) -> int:
        return self.as_2d.elements_moved(self._image(x))


@dataclass(frozen=True, repr=False)
class _Pool1d(_OnSequences):
    """What max and average pooling share: a window that slides."""

    kernel_size: int
    stride: int | None = None
    padding: int | str | tuple[int, int] = 0

    @property
    def as_2d(self) -> MaxPool2d | AvgPool2d:
        """The same pool on images of height 1."""
        raise TypeError(f"{type(self).__name__} does not define as_2d")

    def __post_init__(self):
        super().__post_init__()
        kernel = single(self.kernel_size, "kernel_size")
        stride = kernel if self.stride is None else single(self.stride, "stride")
        padding = sequence_padding_option(self.padding)
        window = span(kernel, getattr(self, "dilation", 1))
        if not isinstance(padding, str) and 2 * max(padding) > window:
            raise OptionError(
                f"padding {padding} exceeds half of the window {window}: a window could see nothing but border"
            )
        settle(self, kernel_size=kernel, stride=stride, padding=padding)
        _ = self.as_2d  # which looks at all other options

    def check_length(self, length: int) -> None:
        *_, left, right = self.as_2d.pads((1, 1, length, 1))
        dilation, ceil_mode = getattr(self, "dilation", 1), self.as_2d.ceil_mode
        stride = self.kernel_size if self.stride is None else self.stride
        window_count(
            length, self.kernel_size, stride, (left, right), dilation=dilation, ceil_mode=ceil_mode, axis="length"
        )

    def options(self) -> dict:
        same = {"stride"} if self.stride == self.kernel_size else set()
        return {name: value for name, value in super().options().items() if name not in same}

    def _window(self) -> dict:
        """The options of the window, as of an image."""
        padding = self.padding if isinstance(self.padding, str) else (0, 0, *_sides(self.padding))
        return {"kernel_size": (1, self.kernel_size), "stride": (1, self.stride), "padding": padding}


@dataclass(frozen=True, repr=False)
class MaxPool1d(_Pool1d):
    """Take the maximum of each window of a sequence.

    ``MaxPool1d(2)`` maps (N, C, 100) to (N, C, 50). It is ``MaxPool2d`` on images of height 1.

    Parameters
    ----------
    kernel_size, stride, dilation : int
        Window, step (default: the window) and step between its taps.
    padding : int, (left, right), "valid" or "same"
        Border, at most half the window. The border never wins; among equal values the first wins, and alone gets the
        gradient; NaN wins over numbers.
    ceil_mode : bool
        Whether a last window may hang over the edge.

    Raises
    ------
    OptionError
        If an option is out of range or the padding exceeds half the window.
    ShapeError
        When the graph is built, on something that is no sequence, or if no window fits.
    """

    dilation: int = 1
    ceil_mode: bool = False

    saved: ClassVar = ("argmax",)
    backward_reads: ClassVar = ("argmax",)

    def __post_init__(self):
        settle(self, dilation=single(self.dilation, "dilation"), ceil_mode=flag(self.ceil_mode, "ceil_mode"))
        super().__post_init__()

    @cached_property
    def as_2d(self) -> MaxPool2d:
        """The same pool on images of height 1."""
        return MaxPool2d(**self._window(), dilation=(1, self.dilation), ceil_mode=self.ceil_mode)


@dataclass(frozen=True, repr=False)
class AvgPool1d(_Pool1d):
    """Take the mean of each window of a sequence.

    ``AvgPool1d(2)`` maps (N, C, 100) to (N, C, 50). It is ``AvgPool2d`` on images of height 1.

    Parameters
    ----------
    kernel_size, stride : int
        Window and step (default: the window).
    padding : int, (left, right), "valid" or "same"
        Border, at most half the window.
    ceil_mode : bool
        Whether a last window may hang over the edge; what hangs over the border is never counted.
    count_include_pad : bool
        Whether the border counts as zeros in the mean, or not at all.

    Raises
    ------
    OptionError
        If an option is out of range or the padding exceeds half the window.
    ShapeError
        When the graph is built, on something that is no sequence, or if no window fits.
    """

    ceil_mode: bool = False
    count_include_pad: bool = True

    def __post_init__(self):
        settle(self, ceil_mode=flag(self.ceil_mode, "ceil_mode"))
        settle(self, count_include_pad=flag(self.count_include_pad, "count_include_pad"))
        super().__post_init__()

    @cached_property
    def as_2d(self) -> AvgPool2d:
        """The same pool on images of height 1."""
        return AvgPool2d(**self._window(), ceil_mode=self.ceil_mode, count_include_pad=self.count_include_pad)


@dataclass(frozen=True, repr=False)
class GlobalAvgPool1d(_OnSequences):
    """Take the mean of each channel over the whole sequence.

    ``GlobalAvgPool1d()`` maps (N, C, 100) to (N, C). Raises ``ShapeError`` when the graph is built on something that is
    no sequence.
    """

    @cached_property
    def as_2d(self) -> GlobalAvgPool2d:
        """The same mean over images of height 1."""
        return GlobalAvgPool2d()

    def out_shape(self, x: Shape) -> Shape:
        return self.as_2d.out_shape(self._image(x))


@dataclass(frozen=True, repr=False)
class Conv1d(_OnSequences):
    """Slide learned filters over sequences (cross-correlation; convolution with ``flip=True``).

    ``Conv1d(16, 5, padding=2)`` maps (N, 3, 100) to (N, 16, 100). It is ``Conv2d`` on images of height 1.

    Parameters
    ----------
    out_channels : int
        Number of filters; the input's channels are inferred.
    kernel_size, stride, dilation : int
        Size of a filter, step between windows and step between its taps.
    padding : int, (left, right), "valid", "same" or "full"
        Border. ``"same"`` gives ceil(length / stride) outputs, ``"full"`` is dilation * (kernel_size - 1) on each side.
    groups, bias, padding_mode, flip, init
        As for ``Conv2d``.
    algorithm : "auto", "direct" or "im2col"
        How it is computed, on devices that have a choice.
    activation, pool, measures
        Set by the engine's rewrites, as for ``Conv2d``.

    Raises
    ------
    OptionError
        If an option is out of range.
    ShapeError
        When the graph is built: no sequence, channels that do not divide by ``groups``, or a window larger than the
        padded sequence.

    Notes
    -----
    y[n, k, i] = bias[k] + sum over c, s of weight[k, c, s] * x[n, c, i*stride + s*dilation - pad]; with ``flip`` it is
    weight[k, c, KW - 1 - s]. ``weight`` is (K, C / groups, KW) in ``state_dict``, as in PyTorch.
    """

    out_channels: int
    kernel_size: int
    stride: int = 1
    padding: int | str | tuple[int, int] = 0
    dilation: int = 1
    groups: int = 1
    bias: bool = True
    padding_mode: str = "zeros"
    flip: bool = False
    init: str | float = field(default="kaiming_normal", kw_only=True)
    algorithm: str = field(default="auto", kw_only=True)
    activation: str | None = field(default=None, kw_only=True)
    pool: MaxPool1d | None = field(default=None, kw_only=True)
    measures: bool = field(default=False, kw_only=True)

    params: ClassVar = ("weight", "bias")
    saved: ClassVar = ("argmax",)
    backward_reads: ClassVar = ("x", "weight", "out", "argmax")
    uses_scratch: ClassVar = True
    canonical_axes: ClassVar = {"weight": (2, 1, 0)}

    def __post_init__(self):
        super().__post_init__()
        settle(self, out_channels=integer(self.out_channels, "out_channels"), groups=integer(self.groups, "groups"))
        settle(self, **{name: single(getattr(self, name), name) for name in ("kernel_size", "stride", "dilation")})
        settle(self, bias=flag(self.bias, "bias"), flip=flag(self.flip, "flip"), init=initializer(self.init))
        settle(self, padding=sequence_padding_option(self.padding, PADDINGS))
        if self.algorithm == "winograd":
            raise OptionError("algorithm='winograd' is for square filters on images; use algorithm='auto'")
        _ = self.as_2d  # which looks at all other options

    @cached_property
    def as_2d(self) -> Conv2d:
        """The same convolution on images of height 1."""
        padding = self.padding if isinstance(self.padding, str) else (0, 0, *_sides(self.padding))
        return Conv2d(
            *(self.out_channels, (1, self.kernel_size), (1, self.stride), padding, (1, self.dilation)),
            *(self.groups, self.bias, self.padding_mode, self.flip),
            init=self.init,
            algorithm=self.algorithm,
            activation=self.activation,
            pool=self.pool.as_2d if self.pool else None,
            measures=self.measures,
        )

    def hands_on(self) -> tuple[str, ...]:
        return self.as_2d.hands_on()

    def check_length(self, length: int) -> None:
        *_, left, right = self.as_2d.pads((1, 1, length, 1))
        if self.padding_mode == "circular":
            check_wrap(length, (left, right), "length")
        window_count(length, self.kernel_size, self.stride, (left, right), dilation=self.dilation, axis="length")

    def param_shapes(self, x: Shape) -> dict[str, Shape]:
        """``weight`` (KW, C / groups, K) and ``bias`` (K,)."""
        shapes = self.as_2d.param_shapes(self._image(x))
        return {**shapes, "weight": shapes["weight"][1:]}

    def fans(self, x: Shape) -> tuple[int, int]:
        return self.as_2d.fans(self._image(x))


def _sides(padding) -> tuple[int, int]:
    left, right = padding
    return left, right
