"""Where windows are, and what they see: one axis at a time, for the threads of kernels.

Tap t of window i sees pixel ``i * stride + t * dilation - pad``. Backward reads that the other way round.
"""

from __future__ import annotations

from .kernel import device_function


@device_function
def position(index, shape):
    """Return the four indices of element ``index`` of an array: ``position(7, (2, 1, 3, 2)) == (1, 0, 0, 1)``."""
    _, height, width, channels = shape
    pixel, c = index // channels, index % channels
    row, w = pixel // width, pixel % width
    return row // height, row % height, w, c


@device_function
def pixel_at(place, size, circular):
    """Return which of the ``size`` pixels of an axis is seen at a place, which may be in the border; -1 is none."""
    if circular:
        return place % size
    return place if 0 <= place < size else -1


@device_function
def window_at(distance, stride, count):
    """Return which of the ``count`` windows of an axis begins this far from where the first one begins; -1 is none."""
    window = distance // stride
    return window if window * stride == distance and 0 <= window < count else -1
