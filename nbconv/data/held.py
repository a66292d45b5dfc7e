"""The checks of ``checks.py`` for arrays that stay on a device: values are looked at there, by one kernel."""

from __future__ import annotations

from math import inf, isfinite
from typing import Any, Protocol

import numpy as np

from ..errors import DataError, ShapeError
from ..ops.base import Shape
from .checks import check_shape


class Held(Protocol):
    """An array that lies on a device."""

    @property
    def shape(self) -> Shape: ...

    @property
    def dtype(self) -> np.dtype: ...

    def __len__(self) -> int: ...

    def out_of_range(self, least: float, most: float) -> tuple[int, tuple[int, ...]]:
        """How many elements are not from ``least`` to ``most``, and the index of the first."""

    def take(self, target: Any, index: np.ndarray | slice) -> None:
        """Copy the samples of a batch into another array of the device."""


def check_held_samples(
    x: Held, sample_shape: Shape, dtype: str, name: str, data_format: str, check_finite: bool = True
) -> Held:
    """Return ``x``, or say what is wrong with it; ``dtype`` is the one it will be converted to."""
    check_shape(x.shape, sample_shape, name, data_format)
    if check_finite and x.dtype.kind == "f":
        _check_range(x, -inf, inf, name, dtype, "repair the data, or pass check_finite=False to let it through")
    return x


def check_held_targets(
    y: Held, output_shape: Shape, rows: int, dtype: str, *, least: float, most: float, check_finite: bool
) -> Held:
    """Return ``y``, or say what is wrong with it: one target per element of the output, each in its range."""
    wanted = (rows, *output_shape)
    if y.shape != wanted:
        raise ShapeError(f"y must have the shape of the output, {wanted}, got {y.shape}")
    if isfinite(most - least) or (check_finite and y.dtype.kind == "f"):
        _check_range(y, least, most, "y", dtype, "pass such targets")
    return y


def check_held_labels(y: Held, classes: int, wanted: Shape) -> Held:
    """Return ``y``, or say what is wrong with it: one integer label per row."""
    if y.shape != wanted:
        raise ShapeError(f"y must be one label per row, of shape {wanted}, got {y.shape}")
    if y.dtype.kind not in "biu":
        raise DataError(f"y must hold integer labels from 0 to {classes - 1}, got dtype {y.dtype}")
    count, first = y.out_of_range(0, classes - 1)
    if count:
        raise DataError(
            f"y has {count} labels, the first at index {first}, that are not from 0 to {classes - 1} for "
            f"{classes} classes"
        )
    return y


def _check_range(x: Held, least: float, most: float, name: str, dtype: str, mend: str) -> None:
    largest = float(np.finfo(dtype).max)
    count, first = x.out_of_range(max(least, -largest), min(most, largest))
    if count:
        values = "value that is" if count == 1 else "values that are"
        bounds = f"not finite in {dtype}" if least == -inf else f"not from {least:g} to {most:g}"
        raise DataError(f"{name} has {count} {values} {bounds}, the first at index {first}; {mend}")
