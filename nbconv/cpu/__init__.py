"""The CPU device: kernels in Numba, for as many threads and as wide vectors as there are."""

from ..ops.activation import ReLU
from ..ops.conv import Conv2d
from ..ops.dropout import Dropout, Dropout2d
from ..ops.linear import Linear
from ..ops.loss import MSE, BCEWithLogits, CrossEntropy, Hinge
from ..ops.merge import Add
from ..ops.metric import Accuracy, BinaryAccuracy
from ..ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from ..ops.optimizer import SGD, Adam, AdamW, RMSProp
from ..ops.pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from ..ops.regularizer import L2
from ..ops.reshape import Flatten
from . import (
    activation,
    conv,
    device,
    dropout,
    group_norm,
    linear,
    loss,
    merge,
    metric,
    norm,
    optimizer,
    pool,
    regularizer,
    reshape,
)

__all__ = ["KERNELS", "PREPARE", "SCRATCH", "device"]

KERNELS = {
    Conv2d: (conv.conv2d, conv.conv2d_backward),
    Linear: (linear.linear, linear.linear_backward),
    MaxPool2d: (pool.max_pool2d, pool.max_pool2d_backward),
    AvgPool2d: (pool.avg_pool2d, pool.avg_pool2d_backward),
    GlobalAvgPool2d: (pool.global_avg_pool2d, pool.global_avg_pool2d_backward),
    GlobalMaxPool2d: (pool.global_max_pool2d, pool.global_max_pool2d_backward),
    BatchNorm: (norm.batch_norm, norm.batch_norm_backward),
    LayerNorm: (group_norm.group_norm, group_norm.group_norm_backward),
    GroupNorm: (group_norm.group_norm, group_norm.group_norm_backward),
    InstanceNorm: (group_norm.group_norm, group_norm.group_norm_backward),
    ReLU: (activation.relu, activation.relu_backward),
    Flatten: (reshape.flatten, reshape.flatten_backward),
    Dropout: (dropout.dropout, dropout.dropout_backward),
    Dropout2d: (dropout.dropout2d, dropout.dropout2d_backward),
    Add: (merge.add, merge.add_backward),
    CrossEntropy: (loss.cross_entropy, loss.cross_entropy_backward),
    Hinge: (loss.hinge, loss.hinge_backward),
    MSE: (loss.mse, loss.mse_backward),
    BCEWithLogits: (loss.bce_with_logits, loss.bce_with_logits_backward),
    Accuracy: (metric.accuracy, None),
    BinaryAccuracy: (metric.binary_accuracy, None),
    L2: (regularizer.l2, None),
    SGD: (optimizer.sgd, None),
    Adam: (optimizer.adam, None),
    AdamW: (optimizer.adam, None),
    RMSProp: (optimizer.rmsprop, None),
}
SCRATCH = {
    Conv2d: (conv.forward_scratch, conv.backward_scratch),
    Linear: (linear.forward_scratch, linear.backward_scratch),
    BatchNorm: (norm.forward_scratch, norm.backward_scratch),
    LayerNorm: (group_norm.forward_scratch, group_norm.backward_scratch),
    GroupNorm: (group_norm.forward_scratch, group_norm.backward_scratch),
    InstanceNorm: (group_norm.forward_scratch, group_norm.backward_scratch),
    Dropout2d: (dropout.scratch, dropout.scratch),
    CrossEntropy: (loss.row_scratch, None),
    Hinge: (loss.row_scratch, None),
    MSE: (loss.element_scratch, None),
    BCEWithLogits: (loss.element_scratch, None),
    L2: (regularizer.scratch, None),
    SGD: (optimizer.scratch, None),
    Adam: (optimizer.scratch, None),
    AdamW: (optimizer.scratch, None),
    RMSProp: (optimizer.scratch, None),
}
PREPARE = {
    Conv2d: (conv.prepared_shapes, conv.prepare),
    Linear: (linear.prepared_shapes, linear.prepare),
}
