"""What a step says of itself: its verdict, the penalty, the loss and the metrics, in one small array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Numbers(NamedTuple):
    """Whether a step was good, and its loss, penalty included, with the metrics."""

    good: bool
    values: list[float]


class Scores:
    """The numbers of the step that ran last, on the device; all plans of a model that have a loss write them there.

    ``flat`` is one array, so that one copy brings them to the host, and each number a view of it, (1,) in float64, for
    the kernel that computes it. ``history`` has a row for each of the last few training steps: step ``n`` is in row
    ``n % len(history)``. How many these are is the device's choice, ``memory.steps_at_once``.
    """

    def __init__(self, memory: Any, watched: int):
        self._memory = memory
        self.rows = memory.steps_at_once
        self.history = memory.put(np.zeros((self.rows, 2 + watched)))
        self.flat = self.history.reshape(-1) if self.rows == 1 else memory.put(np.zeros(2 + watched))
        self._last = self.flat.reshape((1, -1))
        self.verdict, self.penalty, *self.watched = (self.flat[i : i + 1] for i in range(2 + watched))

    def fetch(self) -> Coming:
        """Begin to bring the numbers of what ran last to the host."""
        return Coming(self._memory.fetch([self._last]), [0])

    def fetch_steps(self, counts: Sequence[int]) -> Coming:
        """Begin to bring those of training steps, by their numbers, which are among the last few."""
        return Coming(self._memory.fetch([self.history]), [count % self.rows for count in counts])


class Coming:
    """Numbers on their way to the host."""

    __slots__ = "_fetched", "_rows"

    def __init__(self, fetched: Any, rows: list[int]):
        self._fetched, self._rows = fetched, rows

    def ready(self) -> bool:
        """Whether they have come, so that nobody has to wait."""
        return self._fetched.ready()

    def numbers(self) -> list[Numbers]:
        """Wait for them; return those of each step that was asked for."""
        found = self._fetched.arrays()[0].tolist()
        return [_numbers(*found[row]) for row in self._rows]


def _numbers(verdict: float, penalty: float, loss: float, *metrics: float) -> Numbers:
    return Numbers(verdict == 1, [loss + penalty, *metrics])
