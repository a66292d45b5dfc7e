"""The GPU device: every kernel plainly written for `numba.cuda`."""

from ..ops.activation import ReLU
from . import activation, device

__all__ = ["KERNELS", "PREPARE", "SCRATCH", "device"]

KERNELS: dict = {
    ReLU: (activation.relu, activation.relu_backward),
}
SCRATCH: dict = {}
PREPARE: dict = {}
