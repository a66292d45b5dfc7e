"""The fully connected layer on the CPU: a convolution of images of one pixel, but for a few of them."""

from __future__ import annotations

from functools import lru_cache

from ..ops.base import Buffer
from . import convolution, few, weight_gradient
from .activation import relu_backward
from .convolution import Convolution
from .geometry import Channels, forward_axis
from .packing import bind_prepare, bind_turn
from .weight_gradient import WeightGradient


@lru_cache
def product(dtype, batch, features_in, features_out, relu=False) -> Convolution:
    """Describe (batch, features_in) @ (features_in, features_out)."""
    channels, axis = Channels.of(1, features_in, features_out), forward_axis(1, 1, 1, 0, 1, 1)
    source, result = (batch, 1, 1, features_in), (batch, 1, 1, features_out)
    return convolution.describe(dtype, source, axis, axis, channels, result, 1, relu=relu)


@lru_cache
def parameter_gradient(dtype, batch, features_in, features_out, weight=True, bias=True) -> WeightGradient:
    """Describe dweight and dbias as sums over the batch, as far as they are wanted."""
    channels, axis = Channels.of(1, features_in, features_out), forward_axis(1, 1, 1, 0, 1, 1)
    source = (batch, 1, 1, features_in)
    return weight_gradient.describe(dtype, source, axis, axis, channels, features_out, weight=weight, bias=bias)


def prepared_shapes(op, dtype, x_shape):
    if few.serves(dtype, x_shape[0], op.out_features):
        return {}
    return product(dtype, *x_shape, op.out_features, op.activation == "relu").weights


def prepare(op, weight, bias, *, scratch):
    if "packed" not in scratch:
        return lambda: None
    return bind_prepare(Channels.of(1, *weight.shape), weight[None, None], bias, scratch["packed"])


def forward_scratch(op, dtype, x_shape):
    if few.serves(dtype, x_shape[0], op.out_features):
        return {}
    return product(dtype, *x_shape, op.out_features, op.activation == "relu").scratch


def linear(op, x, weight, bias, *, out, scratch):
    if few.serves(str(x.dtype), len(x), op.out_features):
        return few.bind_forward(x, weight, bias, op.activation == "relu", out)
    description = product(str(x.dtype), *x.shape, op.out_features, op.activation == "relu")
    return convolution.bind(description, x, scratch["packed"], out, None, scratch)


def backward_scratch(op, dtype, x_shape):
    batch, features = x_shape
    buffers = {}
    if not few.serves(dtype, batch, op.out_features):
        dx, sums = (
            product(dtype, batch, op.out_features, features),
            parameter_gradient(dtype, *x_shape, op.out_features),
        )
        buffers = {**dx.weights, **dx.scratch, **sums.scratch}
    if op.activation:
        buffers["gated"] = Buffer((batch, op.out_features), dtype)
    return buffers


def linear_backward(op, dy, x, weight, out, *, dx, dweight, dbias, scratch):
    calls = []
    if op.activation:
        dy, before = scratch["gated"], dy
        calls.append(relu_backward(None, before, out, dx=dy))
    is_few = few.serves(str(x.dtype), len(x), op.out_features)
    gradients = _few_gradients if is_few else _gradients
    calls += gradients(dy, x, weight, dx, dweight, dbias, scratch)

    def run():
        for call in calls:
            call()

    return run


def _few_gradients(dy, x, weight, dx, dweight, dbias, scratch):
    calls = []
    if dweight is not None:
        calls.append(few.bind_weight_gradient(x, dy, dweight))
    if dbias is not None:
        calls.append(few.bind_bias_gradient(dy, dbias))
    if dx is not None:
        calls.append(few.bind_input_gradient(dy, weight, dx))
    return calls


def _gradients(dy, x, weight, dx, dweight, dbias, scratch):
    dtype, calls = str(x.dtype), []
    if dweight is not None or dbias is not None:
        sums = parameter_gradient(dtype, *x.shape, weight.shape[1], dweight is not None, dbias is not None)
        calls.append(weight_gradient.bind(sums, x, dy, dweight, dbias, scratch))
    if dx is not None:
        description = product(dtype, *dy.shape, x.shape[1])
        channels, packed = Channels.of(1, *reversed(weight.shape)), scratch["packed"]
        calls.append(bind_turn(channels, description.phases, description.taps, weight[None, None], packed))
        calls.append(convolution.bind(description, dy, packed, dx, None, scratch))
    return calls
