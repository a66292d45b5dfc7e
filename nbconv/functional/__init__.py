"""Each op as a function of arrays, forward and backward, with PyTorch's names and order of arguments.

Images are (N, C, H, W), or (N, H, W, C) with ``data_format="NHWC"``; convolution weights are (K, C / groups, KH, KW),
those of ``linear`` (out, in). All arrays of a call are float32 or all float64, and so is the result. A function
``..._backward`` takes the gradient of the result first and returns the gradients of the operands. Bad shapes and
options raise ``ShapeError``, ``OptionError`` or ``DataError`` before anything is computed.

    y = conv2d(x, weight, bias, padding=1)                      # (2, 3, 8, 8), (16, 3, 3, 3), (16,) -> (2, 16, 8, 8)
    dx, dweight, dbias = conv2d_backward(dy, x, weight, padding=1)
"""

from .activation import relu, relu_backward
from .conv import conv2d, conv2d_backward
from .dropout import dropout, dropout2d, dropout2d_backward, dropout_backward
from .linear import linear, linear_backward
from .loss import accuracy, cross_entropy, cross_entropy_backward
from .merge import add, add_backward
from .norm import (
    batch_norm,
    batch_norm_backward,
    group_norm,
    group_norm_backward,
    instance_norm,
    instance_norm_backward,
    layer_norm,
    layer_norm_backward,
)
from .pool import (
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    global_max_pool2d,
    global_max_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)
from .reshape import flatten, flatten_backward

__all__ = [
    "accuracy",
    "add",
    "add_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "conv2d",
    "conv2d_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "dropout",
    "dropout2d",
    "dropout2d_backward",
    "dropout_backward",
    "flatten",
    "flatten_backward",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "global_max_pool2d",
    "global_max_pool2d_backward",
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "linear",
    "linear_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "relu",
    "relu_backward",
]
