"""The end of a training step, after which all is ready for the next: what it is. Kernels: ``<device>/advance.py``."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from .base import Op, Shape
from .options import integer, settle


@dataclass(frozen=True, repr=False)
class Advance(Op):
    """One more step is counted by each triple of ``rng`` and by ``hyper``; its ``scores`` are kept for a while.

    They become that one of ``rows`` rows of ``out`` that has the number ``hyper[1] % rows``, before the step is
    counted. Without ``scores`` nothing is kept, and without ``rng`` there are no random numbers.
    """

    rows: int = 1

    inputs: ClassVar = ("scores",)
    context: ClassVar = ("rng", "hyper")
    updates: ClassVar = ("rng", "hyper")
    differentiable: ClassVar = False
    out_dtype: ClassVar = "float64"

    def __post_init__(self):
        settle(self, rows=integer(self.rows, "rows"))

    def out_shape(self, scores: Shape) -> Shape:
        return (self.rows, *scores)

    def elements_moved(self, scores: Shape) -> int:
        return 2 * prod(scores)
