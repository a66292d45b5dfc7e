"""Images as matrices: each column is what a filter sees at one place, so that a convolution is a matrix product."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...errors import ShapeError
from ...ops.options import integer
from .arrays import floats, images


def get_im2col_indices(x_shape, field_height, field_width, padding=1, stride=1):
    """Return (k, i, j) such that ``x_padded[:, k, i, j]`` is, for each image, its matrix of windows.

    For x_shape (N, C, H, W), k is (C * field_height * field_width, 1), the channel of each row of
    ``im2col_indices``, and i and j, (C * field_height * field_width, H' * W'), are the row and the column of a
    pixel in the padded image.
    """
    _, channels, height, width = x_shape
    padding = integer(padding, "padding", least=0)
    height, width = height + 2 * padding, width + 2 * padding
    pixels = np.arange(channels * height * width).reshape(1, channels, height, width)
    windows = _windows(pixels, field_height, field_width, stride)[0]  # (C, H', W', fh, fw)
    flat = windows.transpose(0, 3, 4, 1, 2).reshape(channels * field_height * field_width, -1)
    k, i, j = np.unravel_index(flat, (channels, height, width))
    return k[:, :1], i, j


def im2col_indices(x, field_height, field_width, padding=1, stride=1):
    """Return the matrix whose columns are the windows of x.

    x (N, C, H, W) gives (C * field_height * field_width, H' * W' * N): 227x227x3 with fields of 11x11 at stride 4 give
    363 x 3025. A row belongs to (channel, row, column) of the field; a column to (row, column) of the result, and of
    each such place come all N images one after the other.
    """
    (x,) = floats(x=x)
    windows = _windows(_pad(images(x), padding), field_height, field_width, stride)  # (N, C, H', W', fh, fw)
    return windows.transpose(1, 4, 5, 2, 3, 0).reshape(x.shape[1] * field_height * field_width, -1)


def col2im_indices(cols, x_shape, field_height=3, field_width=3, padding=1, stride=1):
    """Add each column back to where ``im2col_indices`` took it from: the transpose of that map, x of shape ``x_shape``.

    A pixel that k windows saw gets the sum of k numbers.
    """
    (cols,) = floats(cols=cols)
    n, channels, height, width = x_shape
    padding = integer(padding, "padding", least=0)
    dx = np.zeros((n, channels, height + 2 * padding, width + 2 * padding), cols.dtype)
    target = _windows(dx, field_height, field_width, stride, writeable=True)
    down, across = target.shape[2:4]
    rows = channels * field_height * field_width
    if cols.shape != (rows, down * across * n):
        raise ShapeError(f"cols must have shape {(rows, down * across * n)} for x_shape {x_shape}, got {cols.shape}")
    given = cols.reshape(channels, field_height, field_width, down, across, n).transpose(5, 0, 3, 4, 1, 2)
    for i in range(field_height):
        for j in range(field_width):
            target[..., i, j] += given[..., i, j]
    return dx[:, :, padding : padding + height, padding : padding + width]


im2col, col2im = im2col_indices, col2im_indices


def _pad(x, padding):
    padding = integer(padding, "padding", least=0)
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def _windows(x, height, width, stride, *, writeable=False):
    """View (N, C, H, W) as windows (N, C, H', W', height, width)."""
    height, width, stride = integer(height, "field_height"), integer(width, "field_width"), integer(stride, "stride")
    if height > x.shape[2] or width > x.shape[3]:
        raise ShapeError(f"a field of {height}x{width} does not fit an image of {x.shape[2]}x{x.shape[3]} with padding")
    windows = sliding_window_view(x, (height, width), axis=(2, 3), writeable=writeable)
    return windows[:, :, ::stride, ::stride]
