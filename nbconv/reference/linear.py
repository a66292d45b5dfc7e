"""The fully connected layer, plainly. Arrays are (N, C), weights (in, out)."""

import numpy as np

from .activation import gate, rectify


def linear(op, x, weight, bias, *, out, scratch):
    def run():
        y = x @ weight
        if bias is not None:
            y += bias
        out[...] = rectify(y) if op.activation == "relu" else y

    return run


def linear_backward(op, dy, x, weight, out, *, dx, dweight, dbias, scratch):
    def run():
        d = gate(dy, out) if op.activation == "relu" else dy
        if dbias is not None:
            dbias[...] = d.sum(axis=0, dtype=np.float64)
        if dweight is not None:
            dweight[...] = x.T @ d
        if dx is not None:
            dx[...] = d @ weight.T

    return run
