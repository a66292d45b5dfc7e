"""The NumPy device: every kernel written plainly, to be read, and to check the others against.

It follows the definitions term by term, in float32 or float64, and is as slow as that is.
"""

from ..ops.activation import LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from ..ops.advance import Advance
from ..ops.augment import Normalize, RandomCrop, RandomHorizontalFlip
from ..ops.conv import Conv2d
from ..ops.conv_transpose import ConvTranspose2d
from ..ops.dropout import Dropout, Dropout2d
from ..ops.guard import Guard, Snapshot
from ..ops.linear import Linear
from ..ops.loss import MSE, BCEWithLogits, CrossEntropy, Hinge
from ..ops.merge import Add, Concat
from ..ops.metric import Accuracy, BinaryAccuracy
from ..ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from ..ops.optimizer import SGD, Adam, AdamW, RMSProp
from ..ops.pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from ..ops.regularizer import L2
from ..ops.reshape import Flatten
from ..ops.resize import Pad2d, Upsample
from ..ops.sequence import AvgPool1d, Conv1d, GlobalAvgPool1d, MaxPool1d
from ..ops.stage import Gather, OutOfRange
from . import (
    activation,
    advance,
    augment,
    conv,
    conv_transpose,
    device,
    dropout,
    group_norm,
    guard,
    linear,
    loss,
    merge,
    metric,
    norm,
    optimizer,
    pool,
    regularizer,
    reshape,
    resize,
    sequence,
    stage,
)

__all__ = ["KERNELS", "PREPARE", "SCRATCH", "device"]

KERNELS = {
    Conv2d: (conv.conv2d, conv.conv2d_backward),
    Conv1d: (sequence.conv1d, sequence.conv1d_backward),
    ConvTranspose2d: (conv_transpose.conv_transpose2d, conv_transpose.conv_transpose2d_backward),
    Linear: (linear.linear, linear.linear_backward),
    MaxPool2d: (pool.max_pool2d, pool.max_pool2d_backward),
    AvgPool2d: (pool.avg_pool2d, pool.avg_pool2d_backward),
    GlobalAvgPool2d: (pool.global_avg_pool2d, pool.global_avg_pool2d_backward),
    MaxPool1d: (sequence.max_pool1d, sequence.max_pool1d_backward),
    AvgPool1d: (sequence.avg_pool1d, sequence.avg_pool1d_backward),
    GlobalAvgPool1d: (sequence.global_avg_pool1d, sequence.global_avg_pool1d_backward),
    Pad2d: (resize.pad2d, resize.pad2d_backward),
    Upsample: (resize.upsample, resize.upsample_backward),
    GlobalMaxPool2d: (pool.global_max_pool2d, pool.global_max_pool2d_backward),
    BatchNorm: (norm.batch_norm, norm.batch_norm_backward),
    LayerNorm: (group_norm.group_norm, group_norm.group_norm_backward),
    GroupNorm: (group_norm.group_norm, group_norm.group_norm_backward),
    InstanceNorm: (group_norm.group_norm, group_norm.group_norm_backward),
    ReLU: (activation.relu, activation.relu_backward),
    LeakyReLU: (activation.leaky_relu, activation.leaky_relu_backward),
    Sigmoid: (activation.sigmoid, activation.sigmoid_backward),
    Tanh: (activation.tanh, activation.tanh_backward),
    Softmax: (activation.softmax, activation.softmax_backward),
    LogSoftmax: (activation.log_softmax, activation.log_softmax_backward),
    Flatten: (reshape.flatten, reshape.flatten_backward),
    Dropout: (dropout.dropout, dropout.dropout_backward),
    Dropout2d: (dropout.dropout2d, dropout.dropout2d_backward),
    Normalize: (augment.normalize, augment.normalize_backward),
    RandomHorizontalFlip: (augment.random_horizontal_flip, augment.random_horizontal_flip_backward),
    RandomCrop: (augment.random_crop, augment.random_crop_backward),
    Add: (merge.add, merge.add_backward),
    Concat: (merge.concat, merge.concat_backward),
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
    Snapshot: (guard.snapshot, None),
    Guard: (guard.guard, None),
    Advance: (advance.advance, None),
    Gather: (stage.gather, None),
    OutOfRange: (stage.out_of_range, None),
}
SCRATCH: dict = {}
PREPARE: dict = {}
