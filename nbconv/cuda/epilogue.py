"""What is done to a sum of products before it is written, and backward: a bias is added, and a ReLU may follow."""

from __future__ import annotations

from math import prod

import numpy as np

from ..ops.base import Buffer
from .activation import relu_backward
from .kernel import device_function
from .sums import partial_sums, sum_rows


@device_function
def finish(total, bias, channel, relu):
    """Return what is written for a sum; NaN stays NaN."""
    if bias is not None:
        total += bias[channel]
    return np.float32(0) if relu and total <= 0 else total


def backward_scratch(op, dtype, shape) -> dict[str, Buffer]:
    """Return the arrays that ``gate`` and ``bias_gradient`` work in; the op's output has this shape."""
    buffers = {}
    if op.activation:
        buffers["gated"] = Buffer(shape, dtype)
    if op.bias:
        buffers["partial_bias"] = partial_sums(prod(shape[:-1]), shape[-1:])
    return buffers


def gate(op, dy, out, scratch):
    """Return the gradient before the ReLU, and the launches that compute it from the one behind."""
    if not op.activation:
        return dy, []
    gated = scratch["gated"]
    return gated, [relu_backward(None, dy, out, dx=gated)]


def bias_gradient(dy, dbias, scratch):
    """Return the launches for dbias: the sum of dy for each channel."""
    return [] if dbias is None else sum_rows(dy, scratch["partial_bias"], dbias)
