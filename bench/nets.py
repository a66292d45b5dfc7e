"""The nets that are measured: sizes, and the data and numbers they are trained with.

``nbconv_nets.py``, ``torch_nets.py`` and ``jax_nets.py`` have them in each library's own terms. This file imports none
of the libraries, so that a process that measures how one of them starts does not import another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CLASSES = 10
LR, MOMENTUM = 1e-3, 0.9


class Net(NamedTuple):
    """A net by name, the (C, H, W) of its images, and the batch size that it is trained with."""

    name: str
    image: tuple[int, int, int]
    batch: int


NETS = {
    net.name: net
    for net in (
        Net("digits", (1, 8, 8), 32),
        Net("lenet", (1, 28, 28), 64),
        Net("cifar", (3, 32, 32), 64),
        Net("resnet8", (3, 32, 32), 64),
    )
}


def images(net: Net, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images (N, C, H, W) and labels: times do not depend on what is in them."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((batch, *net.image), np.float32), rng.integers(0, CLASSES, batch)
