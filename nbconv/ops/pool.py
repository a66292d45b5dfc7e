"""Pooling: what it is and which shapes it makes. Kernels: ``<device>/pool.py``."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from ..errors import OptionError
from .base import Buffer, Layer, Shape
from .options import flag, integer, settle
from .shapes import AXES, Pads, image, padding_option, pair, resolve_padding, span, window_count


@dataclass(frozen=True, repr=False)
class _Pool2d(Layer):
    """What max and average pooling share: a window that slides."""

    kernel_size: int | tuple[int, int]
    stride: int | tuple[int, int] | None = None
    padding: int | str | tuple[int, ...] = 0

    def __post_init__(self):
        super().__post_init__()
        kernel = pair(self.kernel_size, "kernel_size")
        stride = kernel if self.stride is None else pair(self.stride, "stride")
        padding = padding_option(self.padding)
        dilation, _ = self._window()
        spans = [span(k, d) for k, d in zip(kernel, dilation, strict=True)]
        if not isinstance(padding, str) and any(2 * p > spans[i // 2] for i, p in enumerate(padding)):
            raise OptionError(
                f"padding {padding} exceeds half of the window {tuple(spans)}: a window could see nothing but border"
            )
        settle(self, kernel_size=kernel, stride=stride, padding=padding)

    def options(self) -> dict:
        same = {"stride"} if self.stride == self.kernel_size else set()
        return {name: value for name, value in super().options().items() if name not in same}

    def _window(self) -> tuple[tuple[int, int], bool]:
        """The dilation, and whether a last window may hang over the edge."""
        raise TypeError(f"{type(self).__name__} does not define _window")

    def pads(self, x: Shape) -> Pads:
        """The border (top, bottom, left, right) for an input of this shape, in pixels."""
        dilation, _ = self._window()
        return resolve_padding(self.padding, x[1:3], self.kernel_size, self.stride, dilation)

    def out_shape(self, x: Shape) -> Shape:
        n, h, w, c = image(x, self)
        top, bottom, left, right = self.pads(x)
        dilation, ceil_mode = self._window()
        sizes = (
            window_count(size, k, s, p, dilation=d, ceil_mode=ceil_mode, axis=axis)
            for size, k, s, p, d, axis in zip(
                (h, w), self.kernel_size, self.stride, ((top, bottom), (left, right)), dilation, AXES, strict=True
            )
        )
        return n, *sizes, c

    def flops(self, x: Shape) -> int:
        """One comparison or addition per window element."""
        return prod(self.out_shape(x)) * prod(self.kernel_size)

    def elements_moved(self, x: Shape) -> int:
        return prod(x) + prod(self.out_shape(x))


@dataclass(frozen=True, repr=False)
class MaxPool2d(_Pool2d):
    """Take the maximum of each window.

    ``MaxPool2d(2)`` maps (N, C, 28, 28) to (N, C, 14, 14).

    Parameters
    ----------
    kernel_size, stride, dilation : int or (int, int)
        Window, step (default: the window) and step between its taps, in pixels, as (height, width).
    padding : int, (height, width), (top, bottom, left, right), "valid" or "same"
        Border in pixels, at most half the window. Border pixels never win. Among equal values the first in scan order
        wins, and its pixel alone gets the gradient; NaN wins over numbers.
    ceil_mode : bool
        Whether a last window may hang over the edge.

    Raises
    ------
    OptionError
        If an option is out of range or the padding exceeds half the window.
    ShapeError
        When the graph is built, if no window fits.
    """

    dilation: int | tuple[int, int] = 1
    ceil_mode: bool = False

    saved: ClassVar = ("argmax",)
    backward_reads: ClassVar = ("argmax",)

    def __post_init__(self):
        settle(self, dilation=pair(self.dilation, "dilation"), ceil_mode=flag(self.ceil_mode, "ceil_mode"))
        super().__post_init__()

    def _window(self):
        return self.dilation, self.ceil_mode

    def saved_shapes(self, x: Shape) -> dict[str, Buffer]:
        """The winner of each window, as its position in the window: what backward needs, and all it needs."""
        return {"argmax": Buffer(self.out_shape(x), "uint8" if prod(self.kernel_size) <= 256 else "int32")}


@dataclass(frozen=True, repr=False)
class AvgPool2d(_Pool2d):
    """Take the mean of each window.

    ``AvgPool2d(2)`` maps (N, C, 28, 28) to (N, C, 14, 14).

    Parameters
    ----------
    kernel_size, stride : int or (int, int)
        Window and step (default: the window), in pixels, as (height, width).
    padding : int, (height, width), (top, bottom, left, right), "valid" or "same"
        Border in pixels, at most half the window.
    ceil_mode : bool
        Whether a last window may hang over the edge; what hangs over the border is never counted.
    count_include_pad : bool
        Whether border pixels count as zeros in the mean, or not at all.
    divisor_override : int, optional
        Divide by this instead of by the number of pixels.

    Raises
    ------
    OptionError
        If an option is out of range or the padding exceeds half the window.
    ShapeError
        When the graph is built, if no window fits.
    """

    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    def __post_init__(self):
        settle(self, ceil_mode=flag(self.ceil_mode, "ceil_mode"))
        settle(self, count_include_pad=flag(self.count_include_pad, "count_include_pad"))
        if self.divisor_override is not None:
            settle(self, divisor_override=integer(self.divisor_override, "divisor_override"))
        super().__post_init__()

    def _window(self):
        return (1, 1), self.ceil_mode


@dataclass(frozen=True, repr=False)
class GlobalAvgPool2d(Layer):
    """Take the mean of each channel over the whole image.

    ``GlobalAvgPool2d()`` maps (N, C, 7, 7) to (N, C): what Lin et al., "Network in network" (2014), put before the
    classifier. Raises ``ShapeError`` when the graph is built on something that is no image.
    """

    def out_shape(self, x: Shape) -> Shape:
        n, _, _, c = image(x, self)
        return n, c

    def flops(self, x: Shape) -> int:
        return prod(x)

    def elements_moved(self, x: Shape) -> int:
        return prod(x) + prod(self.out_shape(x))


@dataclass(frozen=True, repr=False)
class GlobalMaxPool2d(Layer):
    """Take the maximum of each channel over the whole image.

    ``GlobalMaxPool2d()`` maps (N, C, 7, 7) to (N, C). As in ``MaxPool2d`` whose window is the image, the first of equal
    values in scan order wins, and its pixel alone gets the gradient; NaN wins over numbers. Raises ``ShapeError`` when
    the graph is built on something that is no image.
    """

    saved: ClassVar = ("argmax",)
    backward_reads: ClassVar = ("argmax",)

    @staticmethod
    def as_window(x: Shape) -> MaxPool2d:
        """The max-pool that does the same, but for an output (N, C, 1, 1)."""
        return MaxPool2d(x[1:3])

    def out_shape(self, x: Shape) -> Shape:
        n, _, _, c = image(x, self)
        return n, c

    def saved_shapes(self, x: Shape) -> dict[str, Buffer]:
        """The winner of each channel, as its position among the pixels in scan order."""
        dtype = self.as_window(x).saved_shapes(x)["argmax"].dtype
        return {"argmax": Buffer(self.out_shape(x), dtype)}

    def flops(self, x: Shape) -> int:
        return prod(x)

    def elements_moved(self, x: Shape) -> int:
        return prod(x) + prod(self.out_shape(x))
