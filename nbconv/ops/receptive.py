"""Receptive fields: through which window of its input, and so of the image, each value of an op looks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple


class Window(NamedTuple):
    """What the values of one axis see of an axis below: windows at equal distances.

    ``Window(3, 2, 1)`` is a convolution of 3 taps with stride 2 and padding 1: the first value sees the positions from
    -1 to 1, the next those from 1 to 3. Windows on windows are a window again (``then``), so that a receptive field is
    one too: ``span`` is its size, ``step`` the jump and ``centre`` the first centre.

    Notes
    -----
    Dang Ha The Hien, "A guide to receptive field arithmetic for convolutional neural networks" (2017); Araujo, Norris
    & Sim, "Computing receptive fields of convolutional neural networks", Distill (2019).
    """

    span: int | Fraction = 1
    """How many positions a value sees, from the first to the last."""
    step: int | Fraction = 1
    """How much further on the next value looks; a fraction where there are more values than positions."""
    before: int | Fraction = 0
    """How many positions before the axis begins the first window does."""

    @property
    def centre(self) -> Fraction:
        """Where the middle of the first window lies, if position i reaches from i to i + 1: at 0.5 for one position."""
        return Fraction(self.span) / 2 - self.before

    def then(self, other: Window) -> Window:
        """What an op with windows ``other`` sees through values that have these: ``conv.then(pool)``."""
        return Window(
            self.span + (other.span - 1) * self.step, self.step * other.step, self.before + other.before * self.step
        )

    def all_of(self, count: int, size: int) -> Window:
        """What ``count`` values of these windows see together of an axis of this size; border does not count."""
        first, last = -self.before, -self.before + (count - 1) * self.step + self.span
        first, last = max(first, 0), min(last, size)
        return Window(max(last - first, 0), 0, -first)

    def beside(self, other: Window, count: int) -> Window:
        """What ``count`` sums of two values see, one of these windows and one of ``other``.

        Where the two move on at different steps, the windows differ in size; the largest is taken.
        """
        last = count - 1
        spans = [
            max(self._end(i), other._end(i)) - min(self._end(i) - self.span, other._end(i) - other.span)
            for i in (0, last)
        ]
        return Window(max(spans), max(self.step, other.step), max(self.before, other.before))

    def _end(self, index: int) -> int | Fraction:
        return index * self.step - self.before + self.span


def sliding(spans: Sequence[int], strides: Sequence[int], pads: Sequence[int]) -> tuple[Window, ...]:
    """The windows of a convolution or pool, for each axis; ``pads`` are (before, after) of the first, and so on.

    ``sliding((3, 3), (2, 2), (1, 1, 0, 1)) == (Window(3, 2, 1), Window(3, 2, 0))``.
    """
    return tuple(Window(*window) for window in zip(spans, strides, pads[::2], strict=True))


def transposed(span: int, stride: int, before: int = 0) -> Window:
    """The window of a convolution read backwards, which has ``stride`` values for each position.

    ``transposed(3, 2, 1)``. Enlarging by repetition is ``transposed(2, 2)``. The values between two positions see
    windows that differ by a position; ``span`` is the largest, and ``centre`` what lies in line with the middle of the
    first value.
    """
    seen = -(-span // stride)
    centre = Fraction(1, 2) + (before - Fraction(span - 1, 2)) / stride
    return Window(seen, Fraction(1, stride), Fraction(seen, 2) - centre)


def see(
    fields: Sequence[Window], windows: Sequence[Window] | None, counts: Sequence[int], sizes: Sequence[int]
) -> tuple[Window, ...]:
    """What an op sees of the image through its input, for each axis of the image.

    Parameters
    ----------
    fields : the windows of the op's input on the image
    windows : those of the op on its input; ``None`` if each of its values depends on the whole of it
    counts : the size of the op's input; nothing for feature vectors, which have no axes to look along
    sizes : that of the image
    """
    if not counts:
        return tuple(fields)
    if windows is None:
        return tuple(field.all_of(*n) for field, *n in zip(fields, counts, sizes, strict=True))
    return tuple(field.then(window) for field, window in zip(fields, windows, strict=True))
