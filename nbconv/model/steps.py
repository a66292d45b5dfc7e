"""Training steps that were launched and whose numbers nobody has seen yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..engine.plan import Plan
from ..engine.scores import Coming
from ..train.loop import Batch

LAG = 4
"""How many steps a device may be behind: more would only fill its queue."""


class Launched(NamedTuple):
    """A step, and what is needed to make it once more."""

    plan: Plan
    arrays: Sequence[Any]
    rows: np.ndarray | slice
    step: int
    updates: int
    """How many there were, this one included."""
    coming: Coming


class BadStep(Exception):
    """A step whose loss or gradient was not finite; those launched after it have changed nothing."""

    def __init__(self, launched: Launched, loss: float):
        super().__init__(launched.step)
        self.launched, self.loss = launched, loss


class Steps:
    """The steps of a model in the order of their launch: those that run, and the numbers of those that have ended.

    A device that computes while the host goes on is a few steps behind; on another, each step has ended when the next
    is launched.
    """

    def __init__(self) -> None:
        self._running: deque[Launched] = deque()
        self._ended: list[Batch] = []

    def add(self, launched: Launched) -> None:
        """Take a step that was launched just now."""
        self._running.append(launched)

    def settle(self, wait: bool = True) -> None:
        """Look at the numbers of all steps, or without ``wait`` of those that have come.

        Raises ``BadStep`` for the first bad one, and then forgets those after it, whose numbers mean nothing.
        """
        running = self._running
        while running and (wait or len(running) > LAG or running[0].coming.ready()):
            launched = running.popleft()
            good, values = launched.coming.numbers()
            if not good:
                running.clear()
                raise BadStep(launched, values[0])
            self._ended.append(Batch(launched.plan.batch, values))

    def last(self) -> Batch:
        """Hand over the numbers of the step that ended last, and leave those before it."""
        return self._ended.pop()

    def take(self) -> list[Batch]:
        """Hand over the numbers of the steps that have ended since the last time, in order."""
        ended, self._ended = self._ended, []
        return ended
