"""What keeps a step that went wrong from leaving a trace, plainly."""

import numpy as np


def snapshot(op, state, flag, *, out):
    def run():
        if np.isfinite(flag[0]):
            out[...] = state

    return run


def guard(op, loss, norm, snapshot, state, flag, *, out):
    def run():
        out[0] = good = np.isfinite(loss[0]) and np.isfinite(norm[0])
        if not good:
            flag[0] = np.nan
            state[...] = snapshot

    return run
