"""Transposed convolution on the CPU: the kernels of ``conv.py`` the other way round.

Forward is the input gradient of a convolution, with biases packed beside the weights; dx is that convolution of dy, and
dweight its weight gradient, for which dy and x change places.
"""

from __future__ import annotations

from functools import lru_cache

from ..ops.base import Buffer
from . import weight_gradient
from .activation import relu_backward
from .conv import bind_forward, bind_input_gradient, parameter_gradient_calls, prepare, union
from .conv_kernels import forward_convolution, input_gradient, parameter_gradient, special_weight_gradient
from .flip import in_order
from .geometry import Channels, each_pixel
from .weight_gradient import WeightGradient


def _spread(op, dtype, x_shape):
    """Describe y as the input gradient of a convolution."""
    return input_gradient(op.as_conv2d(x_shape[3]), dtype, op.out_shape(x_shape), op.activation == "relu")


@lru_cache
def _bias_gradient(dtype, y_shape) -> WeightGradient:
    """Describe dbias as the sum of dy over its pixels."""
    _, height, width, filters = y_shape
    axes, channels = (each_pixel(height), each_pixel(width)), Channels(1, 1, filters, True)
    return weight_gradient.describe(dtype, y_shape, *axes, channels, filters, weight=False)


def forward_scratch(op, dtype, x_shape):
    spread = _spread(op, dtype, x_shape)
    return union(spread.weights, spread.scratch)


def conv_transpose2d(op, x, weight, bias, *, out, scratch):
    spread = _spread(op, str(x.dtype), x.shape)
    conv, relu = op.as_conv2d(x.shape[3]), op.activation == "relu"
    return bind_input_gradient(spread, conv, x, weight, bias, out, scratch, relu=relu)


def backward_scratch(op, dtype, x_shape):
    conv, y_shape = op.as_conv2d(x_shape[3]), op.out_shape(x_shape)
    dx = forward_convolution(conv, dtype, y_shape)
    special = special_weight_gradient(conv, dtype, y_shape)
    dweight = special or parameter_gradient(conv, dtype, y_shape, weight=True, bias=False)
    sums = {f"bias_{name}": buffer for name, buffer in _bias_gradient(dtype, y_shape).scratch.items()}
    gradient = {"gradient": Buffer(y_shape, dtype)} if op.activation else {}
    return union(dx.weights, dx.scratch, dweight.scratch, sums if op.bias else {}, gradient)


def conv_transpose2d_backward(op, dy, x, weight, out, *, dx, dweight, dbias, scratch):
    conv, dtype, calls = op.as_conv2d(x.shape[3]), str(x.dtype), []
    if op.activation:
        dy, before = scratch["gradient"], dy
        calls.append(relu_backward(None, before, out, dx=dy))
    calls += parameter_gradient_calls(conv, x, dy, dweight, None, scratch)
    if dbias is not None:
        sums = _bias_gradient(dtype, dy.shape)
        own = {name: scratch[f"bias_{name}"] for name in sums.scratch}
        calls.append(weight_gradient.bind(sums, dy, dy, None, dbias, own))
    if dx is not None:
        calls.append(prepare(conv, weight, None, scratch=scratch))
        calls.append(bind_forward(conv, dy, weight, None, dx, None, scratch))
    return in_order(calls)
