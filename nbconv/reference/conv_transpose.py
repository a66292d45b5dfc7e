"""Transposed convolution, plainly: each pixel is spread over the window that the convolution of ``op`` would see."""

import numpy as np

from .activation import gate, rectify
from .conv import correlate, correlate_to_input, correlate_to_weight


def conv_transpose2d(op, x, weight, bias, *, out, scratch):
    conv = op.as_conv2d(x.shape[3])

    def run():
        y = correlate_to_input(conv, x, weight, out.shape)
        if bias is not None:
            y = y + bias
        out[...] = rectify(y) if op.activation == "relu" else y

    return run


def conv_transpose2d_backward(op, dy, x, weight, out, *, dx, dweight, dbias, scratch):
    conv = op.as_conv2d(x.shape[3])

    def run():
        d = gate(dy, out) if op.activation == "relu" else dy
        if dbias is not None:
            dbias[...] = d.sum(axis=(0, 1, 2), dtype=np.float64)
        if dweight is not None:
            dweight[...] = correlate_to_weight(conv, x, d)
        if dx is not None:
            dx[...] = correlate(conv, d, weight)

    return run
