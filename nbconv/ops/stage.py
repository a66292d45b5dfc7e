"""Ops on samples that lie on a device: which of them make a batch, and whether their values can be used.

Kernels: ``<device>/stage.py``. Samples may be of any real dtype, and in the caller's order of axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod
from typing import ClassVar

from .base import Op, Shape


@dataclass(frozen=True, repr=False)
class Gather(Op):
    """The samples of some ``rows``, channels last, in the dtype of ``out``.

    ``Gather(channels_first=True)`` maps samples (N, C, H, W) and rows (B,), each from 0 to N - 1, to (B, H, W, C).
    """

    channels_first: bool = False

    inputs: ClassVar = ("x", "rows")
    integer_inputs: ClassVar = ("rows",)
    differentiable: ClassVar = False
    takes_bytes: ClassVar = True

    def out_shape(self, x: Shape, rows: Shape) -> Shape:
        if self.channels_first and len(x) > 2:
            return (*rows, *x[2:], x[1])
        return (*rows, *x[1:])

    def elements_moved(self, x: Shape, rows: Shape) -> int:
        return 2 * prod(self.out_shape(x, rows)) + prod(rows)


@dataclass(frozen=True, repr=False)
class OutOfRange(Op):
    """How many elements are not from ``least`` to ``most``, and the flat index of the first, -1 if there is none.

    NaN is out of every range. Two int64.
    """

    least: float = -inf
    most: float = inf

    differentiable: ClassVar = False
    takes_bytes: ClassVar = True
    uses_scratch: ClassVar = True
    out_dtype: ClassVar = "int64"

    def out_shape(self, x: Shape) -> Shape:
        return (2,)

    def flops(self, x: Shape) -> int:
        return 2 * prod(x)

    def elements_moved(self, x: Shape) -> int:
        return prod(x)
