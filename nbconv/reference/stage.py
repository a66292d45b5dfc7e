"""Samples that lie on the device, plainly."""

import numpy as np


def gather(op, x, rows, *, out):
    def run():
        chosen = x[rows]
        out[...] = np.moveaxis(chosen, 1, -1) if op.channels_first and x.ndim > 2 else chosen

    return run


def out_of_range(op, x, *, out, scratch):
    least, most = np.float64(op.least), np.float64(op.most)  # as Python numbers they would be rounded to float32

    def run():
        bad = ~((x >= least) & (x <= most))
        out[...] = np.count_nonzero(bad), np.argmax(bad) if bad.any() else -1

    return run
