"""What a step says of itself: its verdict, the penalty, the loss and the metrics, in one small array."""

from __future__ import annotations

from typing import Any

import numpy as np


class Scores:
    """The numbers of the step that ran last, on the device; all plans of a model that have a loss write them there.

    One array, so that one copy brings them to the host, and each number a view of it, (1,) in float64, for the kernel
    that computes it.
    """

    def __init__(self, memory: Any, watched: int):
        self._memory = memory
        self._flat = memory.put(np.zeros(2 + watched))
        self.verdict, self.penalty, *self.watched = (self._flat[i : i + 1] for i in range(2 + watched))

    def fetch(self) -> Coming:
        """Begin to bring the numbers of the last step to the host."""
        return Coming(self._memory.fetch([self._flat]))


class Coming:
    """Numbers on their way to the host."""

    __slots__ = ("_fetched",)

    def __init__(self, fetched: Any):
        self._fetched = fetched

    def ready(self) -> bool:
        """Whether they have come, so that nobody has to wait."""
        return self._fetched.ready()

    def numbers(self) -> tuple[bool, list[float]]:
        """Wait for them; return whether the step was good, and the loss, penalty included, with the metrics."""
        verdict, penalty, *values = self._fetched.arrays()[0].tolist()
        values[0] += penalty
        return verdict == 1, values
