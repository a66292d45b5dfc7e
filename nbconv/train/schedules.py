"""Learning rates over the epochs: each function returns another one, from epoch (0 is the first) to learning rate."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi
from typing import TypeAlias

from ..errors import OptionError
from ..ops.options import integer

Schedule: TypeAlias = Callable[[int], float]


def constant(lr: float) -> Schedule:
    """The same at every epoch: ``constant(0.1)(7) == 0.1``."""
    return lambda epoch: lr


def step_decay(lr: float, *, every: int, factor: float = 0.1) -> Schedule:
    """Multiply by ``factor`` after every so many epochs: ``step_decay(0.1, every=10)(10)`` is 0.01."""
    every = integer(every, "every")
    return lambda epoch: lr * factor ** (epoch // every)


def exponential_decay(lr: float, *, factor: float = 0.95) -> Schedule:
    """Multiply by ``factor`` after every epoch: ``exponential_decay(0.1, factor=0.5)(2)`` is 0.025."""
    return lambda epoch: lr * factor**epoch


def cosine(lr: float, epochs: int, *, warmup: int = 0, final: float = 0.0) -> Schedule:
    """Fall from ``lr`` to ``final`` along half a cosine: ``cosine(0.1, 20)(10)`` is 0.05.

    The first ``warmup`` epochs rise to ``lr`` in equal steps. Loshchilov & Hutter, "SGDR" (2017), without restarts.
    """
    epochs = integer(epochs, "epochs")
    warmup = integer(warmup, "warmup", least=0)
    if not 0 <= final <= lr:
        raise OptionError(f"final must be between 0 and lr={lr}, got {final}")

    def schedule(epoch: int) -> float:
        if epoch < warmup:
            return lr * (epoch + 1) / (warmup + 1)
        done = min(1.0, (epoch - warmup) / max(1, epochs - warmup))
        return final + (lr - final) * (1 + cos(pi * done)) / 2

    return schedule
