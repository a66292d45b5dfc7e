"""A guard over training: whatever a step does that is not finite, it leaves parameters and statistics alone."""

from __future__ import annotations

from typing import Any

from ..ops.advance import Advance
from ..ops.guard import Guard as GuardOp
from ..ops.guard import Snapshot
from .bind import bind_forward
from .parameters import Parameters
from .scores import Scores
from .update import Update


class Guard:
    """Calls round a training step, on the device, where nobody waits for its numbers.

    ``before`` keeps a copy of the running statistics; ``after`` looks at the loss and at the gradient's norm. Where one
    of them is not finite, it puts the statistics back and sets the spare number behind the gradients to NaN. As part of
    their norm it stops every later update, until ``reset``. Whatever it finds, the step is counted, so that the next
    one may be launched without a word.
    """

    def __init__(self, parameters: Parameters, update: Update):
        self._memory, self._device = parameters.device.memory, parameters.device
        self._arrays = {
            "norm": update.norm,
            "state": parameters.state.flat,
            "snapshot": self._memory.empty(parameters.state.flat.shape, parameters.dtype),
            "flag": parameters.grads.spare,
            "hyper": update.hyper,
        }
        has_state = bool(parameters.state.views)
        self.before = [self._bind(Snapshot(), out=self._arrays["snapshot"])] if has_state else []

    def after(self, scores: Scores, rng: Any) -> list:
        """The calls at the end of a step; the verdict becomes 1 for a good one and 0 for another.

        ``rng`` are the triples of random numbers that count steps, or ``None``.
        """
        kept = {"scores": scores.flat, "out": scores.history} if scores.rows > 1 else {}
        judge = self._bind(GuardOp(), loss=scores.watched[0], out=scores.verdict)
        return [judge, self._bind(Advance(scores.rows), rng=rng, **kept)]

    def reset(self) -> None:
        """Let steps update the parameters again."""
        self._memory.fill(self._arrays["flag"], 0)

    def _bind(self, op: Snapshot | GuardOp | Advance, **arrays: Any):
        return bind_forward(op, self._device, {**self._arrays, **arrays}, {})
