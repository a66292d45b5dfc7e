"""Dropout on arrays."""

from __future__ import annotations

import numpy as np

from ..ops.dropout import Dropout, Dropout2d
from ..ops.options import LARGEST_SEED, integer
from .call import Call


def dropout(x, p=0.5, training=True, seed=0, step=0, device="cpu", data_format="NCHW"):
    """Set values to zero with probability ``p``, scale the others; ``seed`` and ``step`` decide which."""
    return call_at_random(Dropout(p, training=training), x, seed, step, device, data_format).forward()


def dropout_backward(dy, x, p=0.5, training=True, seed=0, step=0, device="cpu", data_format="NCHW"):
    """Return dx of ``dropout`` with the same ``seed`` and ``step``.

    ``dropout_backward(dy, x, p=0.2)``: dy and x (8, 3, 32, 32) give dx (8, 3, 32, 32).
    """
    return call_at_random(Dropout(p, training=training), x, seed, step, device, data_format).backward(dy)


def dropout2d(x, p=0.5, training=True, seed=0, step=0, device="cpu", data_format="NCHW"):
    """Set channels of images to zero with probability ``p``, scale the others; ``seed`` and ``step`` decide which."""
    return call_at_random(Dropout2d(p, training=training), x, seed, step, device, data_format).forward()


def dropout2d_backward(dy, x, p=0.5, training=True, seed=0, step=0, device="cpu", data_format="NCHW"):
    """Return dx of ``dropout2d`` with the same ``seed`` and ``step``.

    ``dropout2d_backward(dy, x, p=0.2)``: dy and x (8, 3, 32, 32) give dx (8, 3, 32, 32).
    """
    return call_at_random(Dropout2d(p, training=training), x, seed, step, device, data_format).backward(dy)


def call_at_random(op, x, seed, step, device, data_format) -> Call:
    """Return the call of an op whose random numbers are a function of ``seed`` and ``step``."""
    seed = integer(seed, "seed", least=0, most=LARGEST_SEED)
    rng = np.array([seed, integer(step, "step", least=0, most=LARGEST_SEED), 0], np.int64)
    return Call(op, device, data_format, x=x, rng=rng)
