"""What keeps a step that went wrong from leaving a trace."""

from __future__ import annotations

from math import inf, nan

from numba import cuda

from .kernel import kernel


@kernel
def _snapshot(state, flag, out):
    i = cuda.grid(1)
    if i < state.size and abs(flag[0]) < inf:
        out[i] = state[i]


@kernel
def _guard(loss, norm, snapshot, state, flag, out):
    i = cuda.grid(1)
    good = abs(loss[0]) < inf and abs(norm[0]) < inf
    if i < state.size and not good:
        state[i] = snapshot[i]
    if i == 0:
        out[0] = 1 if good else 0
        if not good:
            flag[0] = nan


def snapshot(op, state, flag, *, out):
    return _snapshot.over(state.size)(state, flag, out)


def guard(op, loss, norm, snapshot, state, flag, *, out):
    return _guard.over(state.size)(loss, norm, snapshot, state, flag, out)
