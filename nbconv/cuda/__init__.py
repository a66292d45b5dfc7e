"""The GPU device: every kernel plainly written for `numba.cuda`."""

from ..ops.activation import ReLU
from ..ops.pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from . import activation, device, pool

__all__ = ["KERNELS", "PREPARE", "SCRATCH", "device"]

KERNELS: dict = {
    MaxPool2d: (pool.max_pool2d, pool.max_pool2d_backward),
    AvgPool2d: (pool.avg_pool2d, pool.avg_pool2d_backward),
    GlobalAvgPool2d: (pool.global_avg_pool2d, pool.global_avg_pool2d_backward),
    GlobalMaxPool2d: (pool.global_max_pool2d, pool.global_max_pool2d_backward),
    ReLU: (activation.relu, activation.relu_backward),
}
SCRATCH: dict = {}
PREPARE: dict = {}
