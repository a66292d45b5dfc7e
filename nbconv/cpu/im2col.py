"""Convolution as one matrix product: each window becomes a row of a matrix (im2col), and back, rows become pixels.

The matrix repeats every pixel as often as windows see it, and is written and read through memory: it is slower than the
direct kernels, and what many libraries and courses do (Chellapilla, Puri & Simard, "High performance convolutional
neural networks for document processing", 2006). It is computed where ``algorithm="im2col"`` asks for it.

A row has, for each group, the taps of a window, and for each tap the channels of the group: the order of the weight.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from ..ops.base import Buffer
from . import convolution, weight_gradient
from .chunks import build
from .compile import helper, kernel
from .convolution import Convolution
from .geometry import Axis, Channels, each_pixel
from .records import windows_record
from .weight_gradient import WeightGradient


class Unrolled(NamedTuple):
    """The product of the matrix of windows with the weight."""

    windows: np.ndarray
    product: Convolution
    weights: dict[str, Buffer]
    scratch: dict[str, Buffer]


class Folded(NamedTuple):
    """The product that gives the gradient of the matrix, whose rows are added up to dx."""

    windows: np.ndarray
    product: Convolution
    weights: dict[str, Buffer]
    scratch: dict[str, Buffer]


class UnrolledGradient(NamedTuple):
    """The product of the matrix of windows with dy."""

    windows: np.ndarray
    product: WeightGradient
    scratch: dict[str, Buffer]


def describe_forward(op, dtype, x_shape, **epilogue) -> Unrolled:
    """Return what computes y, and the pool behind it."""
    matrix, channels = _matrix(op, x_shape)
    axes, result = _axes(matrix), op.conv_shape(x_shape)
    product = convolution.describe(dtype, matrix, *axes, channels, result, kernel_w=1, **epilogue)
    scratch = {"matrix": Buffer(matrix, dtype), **product.scratch}
    return Unrolled(windows_record(op, x_shape, matrix, op.pads(x_shape)), product, product.weights, scratch)


def describe_input_gradient(op, dtype, x_shape, dx_shape) -> Folded:
    """Return what computes dx, of ``dx_shape``: that of x, or of x with a circular border."""
    matrix, (groups, depth, columns, _) = _matrix(op, x_shape)
    channels, dy_shape = Channels(groups, columns, depth, False), op.conv_shape(x_shape)
    product = convolution.describe(dtype, dy_shape, *_axes(matrix), channels, matrix, kernel_w=1)
    pads = (0, 0, 0, 0) if op.padding_mode == "circular" else op.pads(x_shape)
    scratch = {"matrix_gradient": Buffer(matrix, dtype), **product.scratch}
    return Folded(windows_record(op, dx_shape, matrix, pads), product, product.weights, scratch)


def describe_weight_gradient(op, dtype, x_shape) -> UnrolledGradient:
    """Return what computes dweight."""
    matrix, channels = _matrix(op, x_shape)
    product = weight_gradient.describe(dtype, matrix, *_axes(matrix), channels, op.out_channels, bias=False)
    own = {f"matrix_{name}": buffer for name, buffer in product.scratch.items()}
    windows = windows_record(op, x_shape, matrix, op.pads(x_shape))
    return UnrolledGradient(windows, product, {"matrix": Buffer(matrix, dtype), **own})


def _matrix(op, x_shape):
    """Return the shape of the matrix, a row per pixel of y, and its channels."""
    n, height, width, _ = op.conv_shape(x_shape)
    row = op.kernel_size[0] * op.kernel_size[1] * x_shape[3]
    return (n, height, width, row), Channels(op.groups, row // op.groups, op.out_channels // op.groups, False)


def _axes(matrix) -> tuple[Axis, Axis]:
    """Return the axes of a product with the matrix, as of a convolution."""
    return each_pixel(matrix[1]), each_pixel(matrix[2])


def bind_forward(d: Unrolled, x, out, argmax, scratch):
    """Return the call that computes ``out`` (and ``argmax``) from x and packed weights."""
    matrix = scratch["matrix"]
    multiply = convolution.bind(d.product, matrix, scratch["packed"], out, argmax, scratch)
    return _in_order(_bind_unroll(d.windows, x, matrix), multiply)


def bind_input_gradient(d: Folded, dy, dx, scratch):
    """Return the call that computes dx from dy and packed weights."""
    matrix = scratch["matrix_gradient"]
    multiply = convolution.bind(d.product, dy, scratch["packed"], matrix, None, scratch)
    call, operands = build(fold, matrix.size), (d.windows, matrix.reshape(-1), dx)

    def add():
        call(*operands)

    return _in_order(multiply, add)


def bind_weight_gradient(d: UnrolledGradient, x, dy, dweight, scratch):
    """Return the call that computes dweight."""
    own = {name: scratch[f"matrix_{name}"] for name in d.product.scratch}
    multiply = weight_gradient.bind(d.product, scratch["matrix"], dy, dweight, None, own)
    return _in_order(_bind_unroll(d.windows, x, scratch["matrix"]), multiply)


def _bind_unroll(windows, x, matrix):
    call, operands = build(unroll, matrix.size), (windows, x, matrix.reshape(-1))

    def run():
        call(*operands)

    return run


def _in_order(first, second):
    def run():
        first()
        second()

    return run


@kernel
def unroll(windows, x, matrix):
    """Write the matrix, a row of windows at a time."""
    for row in prange(x.shape[0] * windows[0].out_height):
        w = windows[0]
        n, i = row // w.out_height, row % w.out_height
        depth, taps = w.channels // w.groups, w.kernel_h * w.kernel_w
        for j in range(w.out_width):
            start = (row * w.out_width + j) * taps * w.channels
            for tap in range(taps):
                h = i * w.step_h - w.pad_top + tap // w.kernel_w * w.dilation_h
                v = j * w.step_w - w.pad_left + tap % w.kernel_w * w.dilation_w
                if w.circular:
                    h, v = h % w.height, v % w.width
                inside = 0 <= h < w.height and 0 <= v < w.width
                for c in range(w.channels):
                    place = start + (c // depth * taps + tap) * depth + c % depth
                    matrix[place] = x[n, h, v, c] if inside else 0


@kernel
def fold(windows, matrix, dx):
    """Add up dx from the gradient of the matrix: each pixel gathers from the windows that see it."""
    for row in prange(dx.shape[0] * dx.shape[1]):
        w = windows[0]
        n, h = row // w.height, row % w.height
        for v in range(w.width):
            for c in range(w.channels):
                dx[n, h, v, c] = 0
            for tap in range(w.kernel_h * w.kernel_w):
                i = window_of(h + w.pad_top - tap // w.kernel_w * w.dilation_h, w.step_h, w.out_height)
                j = window_of(v + w.pad_left - tap % w.kernel_w * w.dilation_w, w.step_w, w.out_width)
                if i >= 0 and j >= 0:
                    add_tap(w, matrix, (n * w.out_height + i) * w.out_width + j, tap, dx[n, h, v])


@helper
def window_of(first_pixel, step, count):
    """Return the window that begins at a pixel, on one axis, or -1 if none does."""
    window = first_pixel // step
    return window if first_pixel % step == 0 and 0 <= window < count else -1


@helper
def add_tap(w, matrix, window, tap, pixel):
    """Add one tap of a window to a pixel."""
    depth, taps = w.channels // w.groups, w.kernel_h * w.kernel_w
    start = window * taps * w.channels
    for c in range(w.channels):
        pixel[c] += matrix[start + (c // depth * taps + tap) * depth + c % depth]
