"""The GPU device: every kernel plainly written for `numba.cuda`."""

from ..ops.activation import LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from ..ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from ..ops.pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from . import activation, device, group_norm, norm, pool, softmax

__all__ = ["KERNELS", "PREPARE", "SCRATCH", "device"]

KERNELS: dict = {
    MaxPool2d: (pool.max_pool2d, pool.max_pool2d_backward),
    AvgPool2d: (pool.avg_pool2d, pool.avg_pool2d_backward),
    GlobalAvgPool2d: (pool.global_avg_pool2d, pool.global_avg_pool2d_backward),
    GlobalMaxPool2d: (pool.global_max_pool2d, pool.global_max_pool2d_backward),
    BatchNorm: (norm.batch_norm, norm.batch_norm_backward),
    LayerNorm: (group_norm.group_norm, group_norm.group_norm_backward),
    GroupNorm: (group_norm.group_norm, group_norm.group_norm_backward),
    InstanceNorm: (group_norm.group_norm, group_norm.group_norm_backward),
    ReLU: (activation.relu, activation.relu_backward),
    LeakyReLU: (activation.leaky_relu, activation.leaky_relu_backward),
    Sigmoid: (activation.sigmoid, activation.sigmoid_backward),
    Tanh: (activation.tanh, activation.tanh_backward),
    Softmax: (softmax.softmax, softmax.softmax_backward),
    LogSoftmax: (softmax.log_softmax, softmax.log_softmax_backward),
}
SCRATCH: dict = {
    BatchNorm: (norm.forward_scratch, norm.backward_scratch),
    LayerNorm: (group_norm.forward_scratch, group_norm.backward_scratch),
    GroupNorm: (group_norm.forward_scratch, group_norm.backward_scratch),
    InstanceNorm: (group_norm.forward_scratch, group_norm.backward_scratch),
}
PREPARE: dict = {}
