"""The handwritten digits that come with the package; source and licence are in ``DIGITS.md`` beside this file."""

from __future__ import annotations

from importlib.resources import files
from typing import TypeAlias

import numpy as np

TRAIN = 1437
BRIGHTEST = 16

Samples: TypeAlias = tuple[np.ndarray, np.ndarray]


def digits() -> tuple[Samples, Samples]:
    """Return 1,797 images of handwritten digits as (x_train, y_train), (x_test, y_test).

    ``(x, y), (x_test, y_test) = digits()`` gives x (1437, 1, 8, 8) and x_test (360, 1, 8, 8), float32 from 0 (paper) to
    1 (ink), and their labels 0 to 9, int64. The split is always the same.

    Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository (1998), CC BY 4.0.
    """
    with files(__package__).joinpath("digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        x = arrays["images"][:, None].astype(np.float32) / BRIGHTEST
        y = arrays["labels"].astype(np.int64)
    return (x[:TRAIN], y[:TRAIN]), (x[TRAIN:], y[TRAIN:])
