"""The end of a training step, on the CPU: too little to be worth a compiled kernel."""

from __future__ import annotations

import numpy as np


def advance(op, scores, rng, hyper, *, out):
    steps = rng[..., 1] if rng is not None else None

    def run():
        if scores is not None:
            out[int(hyper[1]) % op.rows] = scores
        if steps is not None:
            np.add(steps, 1, steps)
        hyper[1] += 1

    return run
