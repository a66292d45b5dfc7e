"""True convolution on the CPU: a copy of the filters, turned round, with which every kernel then correlates.

The copy is as large as the weight, which is little beside the images; no kernel, nor the packing for any of them, need
know of it.
"""

from __future__ import annotations

import numpy as np

from ..ops.base import Buffer


def flipped_weight(op, dtype, x_shape, name="flipped") -> dict[str, Buffer]:
    """Return the buffer of the copy, under this name, if ``op`` is a true convolution."""
    return {name: Buffer(op.param_shapes(x_shape)["weight"], dtype)} if op.flip else {}


def bind_flip(weight, flipped):
    """Return the call that copies filters (KH, KW, C / groups, K), turned round, to ``flipped``."""
    turned = weight[::-1, ::-1]

    def run():
        np.copyto(flipped, turned)

    return run


def in_order(calls):
    """Return one call that makes these, one after another."""
    if len(calls) == 1:
        return calls[0]

    def run():
        for call in calls:
            call()

    return run
