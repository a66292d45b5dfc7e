"""What a step says of itself: its verdict, the penalty, the loss and the metrics, in one small array."""

from __future__ import annotations

from typing import Any

import numpy as np


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
        return Coming(self._memory.fetch([self._last]))

    def fetch_history(self) -> Coming:
        """Begin to bring those of the last few training steps."""
        return Coming(self._memory.fetch([self.history]))


class Coming:
    """Numbers on their way to the host."""

    __slots__ = ("_fetched",)

    def __init__(self, fetched: Any):
        self._fetched = fetched

    def ready(self) -> bool:
        """Whether they have come, so that nobody has to wait."""
        return self._fetched.ready()

    def numbers(self) -> list[tuple[bool, list[float]]]:
        """Wait for them; return of each row whether the step was good, and the loss, penalty included, with metrics."""
        rows = self._fetched.arrays()[0].tolist()
        return [(verdict == 1, [loss + penalty, *metrics]) for verdict, penalty, loss, *metrics in rows]
