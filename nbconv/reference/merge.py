"""Ops that join branches, plainly."""

import numpy as np

from .activation import gate, rectify


def add(op, x, other, *, out):
    def run():
        np.add(x, other, out=out)
        if op.activation == "relu":
            out[...] = rectify(out)

    return run


def add_backward(op, dy, out, *, dx, dother):
    wanted = [gradient for gradient in (dx, dother) if gradient is not None]

    def run():
        for gradient in wanted:
            gradient[...] = gate(dy, out) if op.activation == "relu" else dy

    return run


def concat(op, x, *, out):
    def run():
        out[...] = np.concatenate(x, axis=-1)

    return run


def concat_backward(op, dy, *, dx):
    def run():
        for gradient, part in zip(dx, np.split(dy, np.cumsum(op.channels)[:-1], axis=-1), strict=True):
            if gradient is not None:
                gradient[...] = part

    return run
