"""The GPU device: every kernel plainly written for `numba.cuda`."""

from ..ops.activation import ReLU
from ..ops.guard import Guard, Snapshot
from . import activation, device, guard

__all__ = ["KERNELS", "PREPARE", "SCRATCH", "device"]

KERNELS: dict = {
    ReLU: (activation.relu, activation.relu_backward),
    Snapshot: (guard.snapshot, None),
    Guard: (guard.guard, None),
}
SCRATCH: dict = {}
PREPARE: dict = {}
