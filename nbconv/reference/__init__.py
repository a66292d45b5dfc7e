"""The NumPy device: every kernel written plainly, to be read, and to check the others against.

It follows the definitions term by term, in float32 or float64, and is as slow as that is.
"""

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
SCRATCH: dict = {}
PREPARE: dict = {}
