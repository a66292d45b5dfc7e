"""From the caller's order of axes to channels last, which is the order inside, and back."""

from __future__ import annotations

import numpy as np

from ..ops.base import Shape


def channels_last(array: np.ndarray, data_format: str) -> np.ndarray:
    """View (N, C, H, W) as (N, H, W, C), (N, C, L) as (N, L, C); what is channels last already stays as it is."""
    return np.moveaxis(array, 1, -1) if array.ndim in (3, 4) and data_format == "NCHW" else array


def from_channels_last(array: np.ndarray, data_format: str) -> np.ndarray:
    """View (N, H, W, C) as (N, C, H, W), (N, L, C) as (N, C, L), if that is what the caller uses."""
    return np.moveaxis(array, -1, 1) if array.ndim in (3, 4) and data_format == "NCHW" else array


def outside(shape: Shape, data_format: str) -> Shape:
    """The caller's form of a channels-last shape of one sample: ``outside((8, 6, 3), "NCHW") == (3, 8, 6)``."""
    return (shape[-1], *shape[:-1]) if len(shape) > 1 and data_format == "NCHW" else tuple(shape)


def inside(array: np.ndarray, dtype: str, data_format: str) -> np.ndarray:
    """Return contiguous channels-last samples of this dtype: a copy only where something has to change."""
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is looked for by the caller
        return np.ascontiguousarray(channels_last(array, data_format), dtype=dtype)
