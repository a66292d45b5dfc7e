"""What keeps a step that went wrong from leaving a trace: what it is. Kernels: ``<device>/guard.py``.

A step may be launched before anybody has looked at the one before it. So it is the device that decides: a ``flag``, one
number beside the gradients, is zero, and NaN once a loss or a gradient's norm was not finite. It counts in the norm, so
that from then on no optimiser updates anything; and running statistics go back to what they were before that step.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from .base import Op, Shape


@dataclass(frozen=True, repr=False)
class Snapshot(Op):
    """A copy of ``state``, made while the flag is finite; after that the last copy stays."""

    inputs: ClassVar = ("state", "flag")
    differentiable: ClassVar = False

    def out_shape(self, state: Shape, flag: Shape) -> Shape:
        return state

    def elements_moved(self, state: Shape, flag: Shape) -> int:
        return 2 * prod(state)


@dataclass(frozen=True, repr=False)
class Guard(Op):
    """1 where ``loss`` and ``norm`` are finite; else 0, the flag becomes NaN, and ``state`` what ``snapshot`` has."""

    inputs: ClassVar = ("loss", "norm", "snapshot", "state", "flag")
    updates: ClassVar = ("state", "flag")
    differentiable: ClassVar = False
    out_dtype: ClassVar = "float64"

    def out_shape(self, loss: Shape, norm: Shape, snapshot: Shape, state: Shape, flag: Shape) -> Shape:
        return (1,)

    def elements_moved(self, loss: Shape, norm: Shape, snapshot: Shape, state: Shape, flag: Shape) -> int:
        return 4
