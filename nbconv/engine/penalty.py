"""L2 regularisation at work: what the weights add to the loss, and to their gradients."""

from __future__ import annotations

from ..ops.regularizer import L2
from .bind import bind_forward
from .parameters import Parameters
from .registry import scratch_shapes


class Penalty:
    """Two bound calls over all weights of a net, biases and scales left out.

    ``measure`` computes 0.5 * reg * sum(w^2); ``add_gradient`` does so and adds reg * w to the gradients, which the
    backward pass has written. ``out``, (1,) in float64, receives it.
    """

    def __init__(self, op: L2, parameters: Parameters, out):
        memory = self._memory = parameters.device.memory
        param, grad = parameters.regularized
        self._value = out
        buffers, _ = scratch_shapes(op, parameters.device, parameters.dtype, param.shape, grad.shape)
        scratch = {name: memory.empty(*buffer) for name, buffer in buffers.items()}

        def bind(**gradient):
            arrays = {"param": param, "out": self._value, **gradient}
            return bind_forward(op, parameters.device, arrays, scratch)

        self.op = op
        self.measure = bind()
        self.add_gradient = bind(grad=grad)

    @property
    def value(self) -> float:
        """What the last of the two found, on the host."""
        return float(self._memory.get(self._value)[0])
