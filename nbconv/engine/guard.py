"""A guard over training: whatever a step does that is not finite, it leaves parameters and statistics alone."""

from __future__ import annotations

from typing import Any

from ..ops.guard import Guard as GuardOp
from ..ops.guard import Snapshot
from .bind import bind_forward
from .parameters import Parameters
from .update import Update


class Guard:
    """Calls round a training step, on the device, where nobody waits for its numbers.

    ``before`` keeps a copy of the running statistics; ``after(loss, verdict)`` looks at the loss and at the gradient's
    norm. Where one of them is not finite, it puts the statistics back and sets the spare number behind the gradients to
    NaN. As part of their norm it stops every later update, until ``reset``.
    """

    def __init__(self, parameters: Parameters, update: Update):
        self._memory, self._device = parameters.device.memory, parameters.device
        self._arrays = {
            "norm": update.norm,
            "state": parameters.state.flat,
            "snapshot": self._memory.empty(parameters.state.flat.shape, parameters.dtype),
            "flag": parameters.grads.spare,
        }
        has_state = bool(parameters.state.views)
        self.before = [self._bind(Snapshot(), out=self._arrays["snapshot"])] if has_state else []

    def after(self, loss: Any, verdict: Any) -> list:
        """The calls at the end of a step; ``verdict``, (1,) in float64, becomes 1 for a good one and 0 for another."""
        return [self._bind(GuardOp(), loss=loss, out=verdict)]

    def reset(self) -> None:
        """Let steps update the parameters again."""
        self._memory.fill(self._arrays["flag"], 0)

    def _bind(self, op: Snapshot | GuardOp, **arrays: Any):
        return bind_forward(op, self._device, {**self._arrays, **arrays}, {})
