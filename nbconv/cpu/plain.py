"""Convolutions as plain sums, for weights and gradients that are not finite.

Zero times infinity is NaN. The fast kernels multiply zeros that no window has (round dy, for the input gradient), or
leave out zeros that some windows have (the border, depthwise). For finite numbers that is the same; for others these
kernels compute what the sums say. They are compiled when they are first needed.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .compile import helper, kernel, sequential
from .records import windows_record


def if_finite(values, call, otherwise):
    """Return the call of ``call`` while all ``values`` are finite, and of ``otherwise`` while they are not."""
    values = values.reshape(-1)

    def run():
        if _count_finite(values) == values.size:
            call()
        else:
            otherwise()

    return run


def unless_finite(values, call, otherwise):
    """Return one call of ``call``, and then of ``otherwise`` if that left ``values`` which are not finite."""
    values = values.reshape(-1)

    def run():
        call()
        if _count_finite(values) < values.size:
            otherwise()

    return run


def bind_forward(op, x, weight, bias, relu, out):
    """Return the call that computes ``out``, without a fused pool, from x with a border of zeros."""
    windows = windows_record(op, x.shape, out.shape, op.pads(x.shape))
    operands = windows, x, weight, _or_zeros(bias, out), relu, out
    return lambda: convolve(*operands)


def bind_input_gradient(windows, dy, weight, bias, relu, dx):
    """Return the call that computes ``dx``, with a bias and a ReLU as a transposed convolution has them."""
    operands = windows, dy, weight, _or_zeros(bias, dx), relu, dx
    return lambda: spread(*operands)


def bind_weight_gradient(op, x, dy, dweight):
    """Return the call that computes ``dweight`` from x with a border of zeros."""
    operands = windows_record(op, x.shape, dy.shape, op.pads(x.shape)), x, dy, dweight
    return lambda: correlate(*operands)


def _or_zeros(bias, out):
    return np.zeros(out.shape[3], out.dtype) if bias is None else bias


@sequential
def _count_finite(values):
    count = 0
    for i in range(values.size):
        count += abs(values[i]) < np.inf
    return count


@helper
def _pixel(w, x, n, h, v, c):
    """One number of x, or the zero that stands for the border."""
    return np.float64(x[n, h, v, c]) if 0 <= h < w.height and 0 <= v < w.width else 0.0


@kernel
def convolve(windows, x, weight, bias, relu, out):
    """out = bias + sum over taps and channels of the bordered x times weight."""
    for n in prange(len(out)):
        w, depth = windows[0], weight.shape[2]
        for i in range(w.out_height):
            for j in range(w.out_width):
                for k in range(out.shape[3]):
                    total, first = np.float64(bias[k]), k // (out.shape[3] // w.groups) * depth
                    for r in range(w.kernel_h):
                        for s in range(w.kernel_w):
                            h = i * w.step_h + r * w.dilation_h - w.pad_top
                            v = j * w.step_w + s * w.dilation_w - w.pad_left
                            for c in range(depth):
                                total += _pixel(w, x, n, h, v, first + c) * np.float64(weight[r, s, c, k])
                    out[n, i, j, k] = 0 if relu and total <= 0 else total


@kernel
def spread(windows, dy, weight, bias, relu, dx):
    """dx = bias + sum over the windows that see a pixel of dy times weight."""
    for n in prange(len(dx)):
        w, depth, filters = windows[0], weight.shape[2], weight.shape[3] // windows[0].groups
        for h in range(w.height):
            for v in range(w.width):
                for c in range(w.channels):
                    total, first = np.float64(bias[c]), c // depth * filters
                    for r in range(w.kernel_h):
                        for s in range(w.kernel_w):
                            i, j = h + w.pad_top - r * w.dilation_h, v + w.pad_left - s * w.dilation_w
                            if i % w.step_h == 0 and j % w.step_w == 0:
                                i, j = i // w.step_h, j // w.step_w
                                if 0 <= i < w.out_height and 0 <= j < w.out_width:
                                    for k in range(first, first + filters):
                                        total += np.float64(dy[n, i, j, k]) * np.float64(weight[r, s, c % depth, k])
                    dx[n, h, v, c] = 0 if relu and total <= 0 else total


@kernel
def correlate(windows, x, dy, dweight):
    """dweight = sum over images and windows of the bordered x times dy."""
    for k in prange(dweight.shape[3]):
        w, depth = windows[0], dweight.shape[2]
        first = k // (dweight.shape[3] // w.groups) * depth
        for r in range(w.kernel_h):
            for s in range(w.kernel_w):
                for c in range(depth):
                    total = 0.0
                    for n in range(len(dy)):
                        for i in range(w.out_height):
                            for j in range(w.out_width):
                                h = i * w.step_h + r * w.dilation_h - w.pad_top
                                v = j * w.step_w + s * w.dilation_w - w.pad_left
                                total += _pixel(w, x, n, h, v, first + c) * np.float64(dy[n, i, j, k])
                    dweight[r, s, c, k] = total
