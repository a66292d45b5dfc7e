"""nbconv: small convolutional nets, trained by kernels written in Python.

For example::

    import nbconv as nc
    model = nc.Sequential(nc.Conv2d(8, 3), nc.ReLU(), nc.Flatten(), nc.Linear(10), input_shape=(1, 8, 8))
    model.compile(nc.SGD(lr=0.1, momentum=0.9), "cross_entropy", ["accuracy"])
    model.fit(x, y, epochs=5)
"""

from . import compat, data, errors, functional, inspect, zoo
from .engine.graph import input_symbol as Input
from .io import cache
from .model import Model, Sequential, load
from .ops.activation import ReLU
from .ops.conv import Conv2d
from .ops.dropout import Dropout, Dropout2d
from .ops.dropout import Dropout2d as SpatialDropout2d
from .ops.linear import Linear
from .ops.loss import MSE, BCEWithLogits, CrossEntropy, Hinge
from .ops.merge import Add
from .ops.metric import Accuracy, BinaryAccuracy
from .ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from .ops.optimizer import SGD, Adam, AdamW, RMSProp
from .ops.pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from .ops.reshape import Flatten
from .train import callbacks, initializers, schedules

__version__ = "0.1.0"

__all__ = [
    "MSE",
    "SGD",
    "Accuracy",
    "Adam",
    "AdamW",
    "Add",
    "AvgPool2d",
    "BCEWithLogits",
    "BatchNorm",
    "BinaryAccuracy",
    "Conv2d",
    "CrossEntropy",
    "Dropout",
    "Dropout2d",
    "Flatten",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "GroupNorm",
    "Hinge",
    "Input",
    "InstanceNorm",
    "LayerNorm",
    "Linear",
    "MaxPool2d",
    "Model",
    "RMSProp",
    "ReLU",
    "Sequential",
    "SpatialDropout2d",
    "cache",
    "callbacks",
    "compat",
    "data",
    "errors",
    "functional",
    "initializers",
    "inspect",
    "load",
    "schedules",
    "zoo",
]
