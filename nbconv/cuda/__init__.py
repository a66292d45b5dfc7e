"""The GPU device: every kernel plainly written for `numba.cuda`."""

from ..ops.activation import ReLU
from ..ops.dropout import Dropout, Dropout2d
from ..ops.guard import Guard, Snapshot
from ..ops.loss import MSE, BCEWithLogits, CrossEntropy, Hinge
from ..ops.merge import Add, Concat
from ..ops.metric import Accuracy, BinaryAccuracy
from ..ops.optimizer import SGD, Adam, AdamW, RMSProp
from ..ops.regularizer import L2
from ..ops.reshape import Flatten
from ..ops.stage import Gather, OutOfRange
from . import (
    activation,
    device,
    dropout,
    guard,
    loss,
    merge,
    metric,
    optimizer,
    regularizer,
    reshape,
    stage,
)

__all__ = ["KERNELS", "PREPARE", "SCRATCH", "device"]

KERNELS: dict = {
    ReLU: (activation.relu, activation.relu_backward),
    Flatten: (reshape.flatten, reshape.flatten_backward),
    Dropout: (dropout.dropout, dropout.dropout_backward),
    Dropout2d: (dropout.dropout2d, dropout.dropout2d_backward),
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
    Gather: (stage.gather, None),
    OutOfRange: (stage.out_of_range, None),
}
SCRATCH: dict = {
    Dropout2d: (dropout.channel_scratch, dropout.channel_scratch),
    CrossEntropy: (loss.weighted_scratch, None),
    Hinge: (loss.row_scratch, None),
    MSE: (loss.element_scratch, None),
    BCEWithLogits: (loss.element_scratch, None),
    Accuracy: (metric.row_scratch, None),
    BinaryAccuracy: (metric.element_scratch, None),
    L2: (regularizer.square_scratch, None),
    SGD: (optimizer.scratch, None),
    Adam: (optimizer.scratch, None),
    AdamW: (optimizer.scratch, None),
    RMSProp: (optimizer.scratch, None),
    OutOfRange: (stage.scratch, None),
}
PREPARE: dict = {}
