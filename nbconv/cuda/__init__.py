"""The GPU device: every kernel plainly written for `numba.cuda`."""

from ..ops.activation import ReLU
from ..ops.guard import Guard, Snapshot
from ..ops.stage import Gather, OutOfRange
from . import activation, device, guard, stage

__all__ = ["KERNELS", "PREPARE", "SCRATCH", "device"]

KERNELS: dict = {
    ReLU: (activation.relu, activation.relu_backward),
    Snapshot: (guard.snapshot, None),
    Guard: (guard.guard, None),
    Gather: (stage.gather, None),
    OutOfRange: (stage.out_of_range, None),
}
SCRATCH: dict = {
    OutOfRange: (stage.scratch, None),
}
PREPARE: dict = {}
