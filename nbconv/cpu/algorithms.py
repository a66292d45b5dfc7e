"""Which algorithm computes a convolution: what is asked for, or what takes the fewest steps."""

from __future__ import annotations

from .winograd import OUTPUTS


def winograd_outputs(op, dtype, source, result) -> int:
    """Return the results of a tile of Winograd's, on each axis, or 0 where another algorithm is to be used."""
    if op.algorithm == "winograd":
        return OUTPUTS[op.kernel_size[0]][0]
    return 0


def winograd_outputs_of_gradient(op, dtype, x_shape) -> int:
    """Return the same for the gradient of the weight."""
    return winograd_outputs(op, dtype, x_shape, op.conv_shape(x_shape))
