"""Training steps that were launched and whose numbers nobody has seen yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..engine.plan import Plan
from ..engine.scores import Coming, Scores
from ..train.loop import Batch

LAG = 4
"""How many steps may run whose numbers were asked for: more would only fill the device's queue."""


class Launched(NamedTuple):
    """A step, and what is needed to make it once more."""

    plan: Plan
    arrays: Sequence[Any]
    rows: np.ndarray | slice
    step: int
    updates: int
    """How many there were, this one included."""


class BadStep(Exception):
    """A step whose loss or gradient was not finite; those launched after it have changed nothing."""

    def __init__(self, launched: Launched, loss: float):
        super().__init__(launched.step)
        self.launched, self.loss = launched, loss


class Steps:
    """The steps of a model in the order of their launch: those that run, and the numbers of those that have ended.

    A device that computes while the host goes on is a few steps behind; on another, each step has ended when the next
    is launched. Their numbers are asked for as many at once as the device keeps.
    """

    def __init__(self) -> None:
        self._launched: list[Launched] = []  # whose numbers nobody has asked for
        self._scores: Scores | None = None  # where those are
        self._running: deque[tuple[Coming, list[Launched]]] = deque()
        self._ended: list[Batch] = []

    def add(self, launched: Launched, scores: Scores) -> None:
        """Take a step that was launched just now; its numbers come from ``scores``."""
        if scores is not self._scores:
            self._ask()
            self._scores = scores
        self._launched.append(launched)
        if len(self._launched) == scores.rows:
            self._ask()

    def settle(self, wait: bool = True) -> None:
        """Look at the numbers of all steps, or without ``wait`` of those that have come.

        Raises ``BadStep`` for the first bad one, and then forgets those after it, whose numbers mean nothing.
        """
        if wait:
            self._ask()
        elif self._launched:
            return  # it was looked at when the last numbers were asked for
        running = self._running
        while running and (wait or len(running) * len(running[0][1]) > LAG or running[0][0].ready()):
            self._look(*running.popleft())

    def _ask(self) -> None:
        if self._launched and self._scores:
            self._running.append((self._scores.fetch_history(), self._launched))
            self._launched = []

    def _look(self, coming: Coming, steps: list[Launched]) -> None:
        numbers = coming.numbers()
        for launched in steps:
            good, values = numbers[launched.updates % len(numbers)]
            if not good:
                self._running.clear()
                self._launched.clear()
                raise BadStep(launched, values[0])
            self._ended.append(Batch(launched.plan.batch, values))

    def last(self) -> Batch:
        """Hand over the numbers of the step that ended last, and leave those before it."""
        return self._ended.pop()

    def take(self) -> list[Batch]:
        """Hand over the numbers of the steps that have ended since the last time, in order."""
        ended, self._ended = self._ended, []
        return ended
