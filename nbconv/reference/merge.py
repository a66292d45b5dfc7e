"""Ops that join branches, plainly."""

import numpy as np


def add(op, x, other, *, out):
    def run():
        np.add(x, other, out=out)

    return run


def add_backward(op, dy, *, dx, dother):
    wanted = [gradient for gradient in (dx, dother) if gradient is not None]

    def run():
        for gradient in wanted:
            gradient[...] = dy

    return run
