"""Each op as a function of arrays, forward and backward, with PyTorch's names and order of arguments.

Images are (N, C, H, W), or (N, H, W, C) with ``data_format="NHWC"``, sequences (N, C, L) or (N, L, C); convolution
weights are (K, C / groups, KH, KW), those of ``linear`` (out, in). All arrays of a call are float32 or all float64, and
so is the result; ``normalize``, ``random_horizontal_flip`` and ``random_crop`` take bytes (uint8), too. A function
``..._backward`` takes the gradient of the result first and returns the gradients of the operands. Bad shapes and
options raise ``ShapeError``, ``OptionError`` or ``DataError`` before anything is computed.

    y = conv2d(x, weight, bias, padding=1)                      # (2, 3, 8, 8), (16, 3, 3, 3), (16,) -> (2, 16, 8, 8)
    dx, dweight, dbias = conv2d_backward(dy, x, weight, padding=1)
"""

from .activation import (
    leaky_relu,
    leaky_relu_backward,
    log_softmax,
    log_softmax_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    softmax,
    softmax_backward,
    tanh,
    tanh_backward,
)
from .augment import (
    normalize,
    normalize_backward,
    random_crop,
    random_crop_backward,
    random_horizontal_flip,
    random_horizontal_flip_backward,
)
from .conv import conv2d, conv2d_backward, conv_transpose2d, conv_transpose2d_backward
from .dropout import dropout, dropout2d, dropout2d_backward, dropout_backward
from .linear import linear, linear_backward
from .loss import (
    accuracy,
    bce_with_logits,
    bce_with_logits_backward,
    binary_accuracy,
    cross_entropy,
    cross_entropy_backward,
    hinge,
    hinge_backward,
    mse,
    mse_backward,
)
from .merge import add, add_backward, concat, concat_backward
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
from .resize import pad2d, pad2d_backward, upsample, upsample_backward
from .sequence import (
    avg_pool1d,
    avg_pool1d_backward,
    conv1d,
    conv1d_backward,
    global_avg_pool1d,
    global_avg_pool1d_backward,
    max_pool1d,
    max_pool1d_backward,
)

__all__ = [
    "accuracy",
    "add",
    "add_backward",
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "bce_with_logits",
    "bce_with_logits_backward",
    "binary_accuracy",
    "concat",
    "concat_backward",
    "conv1d",
    "conv1d_backward",
    "conv2d",
    "conv2d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "dropout",
    "dropout2d",
    "dropout2d_backward",
    "dropout_backward",
    "flatten",
    "flatten_backward",
    "global_avg_pool1d",
    "global_avg_pool1d_backward",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "global_max_pool2d",
    "global_max_pool2d_backward",
    "group_norm",
    "group_norm_backward",
    "hinge",
    "hinge_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool1d",
    "max_pool1d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "mse",
    "mse_backward",
    "normalize",
    "normalize_backward",
    "pad2d",
    "pad2d_backward",
    "random_crop",
    "random_crop_backward",
    "random_horizontal_flip",
    "random_horizontal_flip_backward",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_backward",
    "tanh",
    "tanh_backward",
    "upsample",
    "upsample_backward",
]
