"""An optimiser at work: its state, its numbers of the moment, and one bound call."""

from __future__ import annotations

import numpy as np

from ..ops.optimizer import Optimizer
from .bind import bind_forward
from .parameters import Arena, Parameters
from .registry import scratch_shapes


class Update:
    """One call that moves all parameters by their gradients.

    ``lr`` and ``count`` (updates made so far) may be set between calls. ``norm`` is the gradient's, on the device:
    where it is not finite, nothing was updated.
    """

    def __init__(self, optimizer: Optimizer, parameters: Parameters):
        memory, dtype = parameters.device.memory, parameters.dtype
        param, grad = parameters.params, parameters.grads
        shapes = {key: view.shape for key, view in param.views.items()}
        kept = optimizer.saved_shapes(param.flat.shape, grad.flat.shape)
        self.optimizer = optimizer
        self.state = {name: Arena(shapes, parameters.device, dtype) for name in kept}
        self.lr = optimizer.lr
        self.count = 0
        self._memory = memory
        self.hyper = memory.put(np.zeros(2))
        """What the kernel reads: the learning rate and the number of the update, which ``Advance`` counts."""
        self._there: tuple[float, int] | None = None  # what it holds, if that is known
        self.norm = memory.put(np.zeros(1))
        self._host = np.zeros(2)
        scratch, _ = scratch_shapes(optimizer, parameters.device, dtype, param.flat.shape, grad.flat.shape)
        arrays = {"param": param.flat, "grad": grad.flat, "hyper": self.hyper, "out": self.norm}
        arrays.update({name: arena.flat for name, arena in self.state.items()})
        self.call = bind_forward(
            optimizer, parameters.device, arrays, {name: memory.empty(*buffer) for name, buffer in scratch.items()}
        )

    def begin(self) -> None:
        """See to it that the kernel finds the learning rate and the number of this update, and count it."""
        self.count += 1
        if self._there != (self.lr, self.count):
            self._host[0], self._host[1] = self.lr, self.count
            self._memory.write(self.hyper, self._host)
        self._there = None

    def forget(self) -> None:
        """Do not rely on what the device has counted."""
        self._there = None

    def end(self) -> None:
        """Know that the device has counted this update."""
        self._there = self.lr, self.count + 1
