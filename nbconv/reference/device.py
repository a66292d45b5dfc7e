"""Memory and execution of the NumPy device."""

import sys
from contextlib import nullcontext

import numpy as np

from ..host import adopt, copy, empty, fetch, fill, get, intake, put, steps_at_once, take, write

__all__ = [
    "adopt",
    "available",
    "copy",
    "describe",
    "empty",
    "fetch",
    "fill",
    "get",
    "intake",
    "on_compile",
    "put",
    "sequence",
    "steps_at_once",
    "synchronize",
    "take",
    "unit",
    "write",
]


def available() -> str | None:
    """Why this device cannot be used: ``None``, it always can."""


def unit(index):
    """The one device of this kind."""
    return sys.modules[__name__]


def synchronize():
    """Wait until everything asked for is done: on this device it always is."""


def sequence(calls, threads=None):
    """Return one call that runs ``calls`` in order; NumPy's warnings about NaN and infinity are silenced in it.

    ``threads`` is accepted for the other devices' sake: NumPy decides on its own.
    """
    calls = tuple(calls)

    def run():
        with np.errstate(all="ignore"):
            for call in calls:
                call()

    return run


def on_compile(report):
    """Return a context that calls ``report(name)`` before a kernel is compiled: there are none here."""
    return nullcontext()


def describe():
    """What there is to say about this device, by name."""
    return {"numpy": np.__version__}
