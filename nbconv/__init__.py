"""nbconv: small convolutional nets, trained by kernels written in Python.

For example::

    import nbconv as nc
    model = nc.Sequential(nc.Conv2d(8, 3), nc.ReLU(), nc.Flatten(), nc.Linear(10), input_shape=(1, 8, 8))
    model.compile(nc.SGD(lr=0.1, momentum=0.9), "cross_entropy", ["accuracy"])
    model.fit(x, y, epochs=5)
"""

from . import compat, data, errors, filters, functional, inspect, zoo
from .convert import fc_to_conv
from .engine.graph import input_symbol as Input
from .inspect.gradcheck import gradcheck
from .inspect.verify import verify
from .io import cache
from .model import Model, Sequential, load
from .ops.activation import LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from .ops.augment import Normalize, RandomCrop, RandomHorizontalFlip
from .ops.conv import Conv2d
from .ops.conv_transpose import ConvTranspose2d
from .ops.dropout import Dropout, Dropout2d
from .ops.dropout import Dropout2d as SpatialDropout2d
from .ops.linear import Linear
from .ops.loss import MSE, BCEWithLogits, CrossEntropy, Hinge
from .ops.merge import Add, Concat
from .ops.metric import Accuracy, BinaryAccuracy
from .ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from .ops.optimizer import SGD, Adam, AdamW, RMSProp
from .ops.pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from .ops.reshape import Flatten
from .ops.resize import Pad2d, Upsample
from .ops.sequence import AvgPool1d, Conv1d, GlobalAvgPool1d, MaxPool1d
from .train import callbacks, initializers, schedules

__version__ = "0.1.0"

__all__ = [
    "MSE",
    "SGD",
    "Accuracy",
    "Adam",
    "AdamW",
    "Add",
    "AvgPool1d",
    "AvgPool2d",
    "BCEWithLogits",
    "BatchNorm",
    "BinaryAccuracy",
    "Concat",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "CrossEntropy",
    "Dropout",
    "Dropout2d",
    "Flatten",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "GroupNorm",
    "Hinge",
    "Input",
    "InstanceNorm",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "Model",
    "Normalize",
    "Pad2d",
    "RMSProp",
    "RandomCrop",
    "RandomHorizontalFlip",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "SpatialDropout2d",
    "Tanh",
    "Upsample",
    "cache",
    "callbacks",
    "compat",
    "data",
    "errors",
    "fc_to_conv",
    "filters",
    "functional",
    "gradcheck",
    "initializers",
    "inspect",
    "load",
    "schedules",
    "verify",
    "zoo",
]
