"""The three sums of every convolution: y, and the gradients of x and of the weights; a thread for each sum.

Images are (N, H, W, C), weights (KH, KW, C / groups, K). Neighbouring threads have neighbouring channels, so that what
they read at one time lies together. No image is copied for its border: that is zeros, which count in a sum (zero times
infinity is NaN), or the image again. Products are added up in parts, one per tap or strip, so that float32 stays exact.
"""

from __future__ import annotations

import numpy as np
from numba import cuda

from ..ops.base import Buffer
from .epilogue import finish
from .kernel import kernel
from .sums import add_pieces, partial_sums
from .windows import pixel_at, position, window_at

STRIP = 256
"""The most pixels of a row whose products are added up before they are added to a sum in float64."""


def correlate(op, x, weight, bias, relu, out):
    """y[n, i, j, k] is bias[k] + the sum of x[n, i * stride + r * dilation - pad, ..., c] * weight[r, s, c, k]."""
    return _correlate.over(out.size)(x, weight, bias, *_windows(op, x.shape), relu, out)


def correlate_to_input(op, dy, weight, bias, relu, dx):
    """The same sum read backwards: each pixel gets from all windows that saw it. With a bias it is an op of its own."""
    return _correlate_to_input.over(dx.size)(dy, weight, bias, *_windows(op, dx.shape), relu, dx)


def correlate_to_weight(op, dy, x, partial, dweight):
    """Each weight's gradient: the product of what its tap saw and what came back, over all windows."""
    pieces = _correlate_to_weight.over(partial.size)(x, dy, *_windows(op, x.shape), partial)
    return [pieces, add_pieces(partial, dweight)]


def partial_weights(op, x_shape) -> Buffer:
    """The pieces of ``correlate_to_weight``."""
    n, rows, columns, _ = op.conv_shape(x_shape)
    return partial_sums(n * rows * -(-columns // STRIP), op.param_shapes(x_shape)["weight"])


def _windows(op, shape):
    """Return stride, dilation and padding (top, left), and whether the border is the image again.

    Of a filter that is turned round, the last tap sees the first pixel of the window, and the others lie before it.
    """
    top, _, left, _ = op.pads(shape)
    (kernel_h, kernel_w), (dilation_h, dilation_w) = op.kernel_size, op.dilation
    if op.flip:
        top, left = top - (kernel_h - 1) * dilation_h, left - (kernel_w - 1) * dilation_w
        dilation_h, dilation_w = -dilation_h, -dilation_w
    return *op.stride, dilation_h, dilation_w, top, left, op.padding_mode == "circular"


@kernel
def _correlate(x, weight, bias, stride_h, stride_w, dilation_h, dilation_w, top, left, circular, relu, out):
    index = cuda.grid(1)
    if index >= out.size:
        return
    n, i, j, k = position(index, out.shape)
    _, height, width, channels = x.shape
    kernel_h, kernel_w, depth, filters = weight.shape
    per_group = filters * depth // channels
    first = k // per_group * depth
    total = zero = x.dtype.type(0)
    for r in range(kernel_h):
        h = pixel_at(i * stride_h + r * dilation_h - top, height, circular)
        for s in range(kernel_w):
            w = pixel_at(j * stride_w + s * dilation_w - left, width, circular)
            inside = h >= 0 and w >= 0
            part = zero
            for c in range(depth):
                pixel = x[n, h, w, first + c] if inside else zero
                part += pixel * weight[r, s, c, k]
            total += part
    out[n, i, j, k] = finish(total, bias, k, relu)


@kernel
def _correlate_to_input(dy, weight, bias, stride_h, stride_w, dilation_h, dilation_w, top, left, circular, relu, dx):
    index = cuda.grid(1)
    if index >= dx.size:
        return
    n, h, w, c = position(index, dx.shape)
    _, height, width, channels = dx.shape
    _, rows, columns, _ = dy.shape
    kernel_h, kernel_w, depth, filters = weight.shape
    per_group = filters * depth // channels
    first = c // depth * per_group
    around_h, around_w = (height, width) if circular else (0, 0)  # copies in the border, before and behind
    total = zero = dy.dtype.type(0)
    for r in range(kernel_h):
        for place_h in range(h - around_h, h + around_h + 1, height):
            i = window_at(place_h + top - r * dilation_h, stride_h, rows)
            if i < 0:
                continue
            for s in range(kernel_w):
                for place_w in range(w - around_w, w + around_w + 1, width):
                    j = window_at(place_w + left - s * dilation_w, stride_w, columns)
                    if j < 0:
                        continue
                    part = zero
                    for k in range(first, first + per_group):
                        part += dy[n, i, j, k] * weight[r, s, c % depth, k]
                    total += part
    dx[n, h, w, c] = finish(total, bias, c, relu)


@kernel
def _correlate_to_weight(x, dy, stride_h, stride_w, dilation_h, dilation_w, top, left, circular, partial):
    """A piece of a sum is over some strips of dy, each of them part of a row."""
    index = cuda.grid(1)
    if index >= partial.size:
        return
    pieces, _, _, depth, filters = partial.shape
    weights = partial.size // pieces
    piece = index // weights
    r, s, c, k = position(index % weights, partial.shape[1:])
    _, height, width, channels = x.shape
    images, rows, columns, _ = dy.shape
    channel = k // (filters * depth // channels) * depth + c
    per_row = (columns + STRIP - 1) // STRIP
    strips = images * rows * per_row
    zero = x.dtype.type(0)
    total = np.float64(0)
    for strip in range(piece * strips // pieces, (piece + 1) * strips // pieces):
        row, first = strip // per_row, strip % per_row * STRIP
        n, i = row // rows, row % rows
        h = pixel_at(i * stride_h + r * dilation_h - top, height, circular)
        part = zero
        for j in range(first, min(first + STRIP, columns)):
            w = pixel_at(j * stride_w + s * dilation_w - left, width, circular)
            pixel = x[n, h, w, channel] if h >= 0 and w >= 0 else zero
            part += pixel * dy[n, i, j, k]
        total += part
    partial[piece, r, s, c, k] = total
