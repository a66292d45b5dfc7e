"""Dropout on arrays."""

from __future__ import annotations

import numpy as np

from ..ops.dropout import Dropout
from ..ops.options import LARGEST_SEED, integer
from .call import Call


def dropout(x, p=0.5, training=True, seed=0, step=0, device="cpu", data_format="NCHW"):
    """Set values to zero with probability ``p``, scale the others; ``seed`` and ``step`` decide which."""
    return _dropout(x, p, training, seed, step, device, data_format).forward()


def dropout_backward(dy, x, p=0.5, training=True, seed=0, step=0, device="cpu", data_format="NCHW"):
    """Return dx of ``dropout`` with the same ``seed`` and ``step``."""
    return _dropout(x, p, training, seed, step, device, data_format).backward(dy)


def _dropout(x, p, training, seed, step, device, data_format) -> Call:
    seed = integer(seed, "seed", least=0, most=LARGEST_SEED)
    rng = np.array([seed, integer(step, "step", least=0, most=LARGEST_SEED), 0], np.int64)
    return Call(Dropout(p, training=training), device, data_format, x=x, rng=rng)
