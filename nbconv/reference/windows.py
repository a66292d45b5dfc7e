"""Windows that slide over images, plainly. Arrays are (N, H, W, C).

A window has one *tap* per element of the kernel. All windows are looked at together, one tap at a time: ``seen`` is the
image as that tap sees it, shifted, and thinned out by the stride.
"""

from itertools import product

import numpy as np


def taps(kernel_size):
    """The taps (r, s) of a window in scan order: ``list(taps((1, 2))) == [(0, 0), (0, 1)]``."""
    height, width = kernel_size
    return product(range(height), range(width))


def seen(padded, tap, stride, dilation, count):
    """The pixel that ``tap`` sees in each of ``count`` (H_out, W_out) windows: a view (N, H_out, W_out, C)."""
    rows, columns = (
        slice(t * d, t * d + (n - 1) * s + 1, s) for t, s, d, n in zip(tap, stride, dilation, count, strict=True)
    )
    return padded[:, rows, columns]


def pad(x, pads, mode="zeros", value=0):
    """Put a border (top, bottom, left, right) of ``value``, or of the image again (``"circular"``), round ``x``."""
    top, bottom, left, right = pads
    widths = ((0, 0), (top, bottom), (left, right), (0, 0))
    return np.pad(x, widths, mode="wrap") if mode == "circular" else np.pad(x, widths, constant_values=value)


def unpad(dpadded, pads, mode="zeros"):
    """The gradient of ``pad``: what reached the border is dropped, or returns to the pixels it was copied from."""
    top, bottom, left, right = pads
    n, height, width, c = dpadded.shape
    height, width = height - top - bottom, width - left - right
    if mode == "zeros":
        return dpadded[:, top : top + height, left : left + width]
    dx = np.zeros((n, height, width, c), dpadded.dtype)
    rows = np.arange(-top, height + bottom) % height
    columns = np.arange(-left, width + right) % width
    images = np.arange(n)
    np.add.at(dx, np.ix_(images, rows, columns), dpadded)
    return dx
