"""What keeps a step that went wrong from leaving a trace, on the CPU: too little to be worth a compiled kernel."""

from __future__ import annotations

from math import isfinite, nan


def snapshot(op, state, flag, *, out):
    def run():
        if isfinite(flag[0]):
            out[...] = state

    return run


def guard(op, loss, norm, snapshot, state, flag, *, out):
    def run():
        out[0] = good = isfinite(loss[0]) and isfinite(norm[0])
        if not good:
            flag[0] = nan
            state[...] = snapshot

    return run
