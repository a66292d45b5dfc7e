"""Activations on arrays."""

from __future__ import annotations

from ..ops.activation import LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from .call import Call


def relu(x, device="cpu", data_format="NCHW"):
    """Replace negative values by zero; any (N, C, H, W) or (N, C)."""
    return Call(ReLU(), device, data_format, x=x).forward()


def relu_backward(dy, x, device="cpu", data_format="NCHW"):
    """Return dx of ``relu``: dy where x is positive (or NaN).

    ``relu_backward(dy, x)``: dy and x (8, 10) give dx (8, 10).
    """
    return Call(ReLU(), device, data_format, x=x).backward(dy)


def leaky_relu(x, negative_slope=0.01, device="cpu", data_format="NCHW"):
    """Multiply what is not positive by ``negative_slope``; any (N, C, H, W) or (N, C)."""
    return Call(LeakyReLU(negative_slope), device, data_format, x=x).forward()


def leaky_relu_backward(dy, x, negative_slope=0.01, device="cpu", data_format="NCHW"):
    """Return dx of ``leaky_relu``: dy where x is positive, else negative_slope * dy.

    ``leaky_relu_backward(dy, x, 0.1)``: dy and x (8, 10) give dx (8, 10).
    """
    return Call(LeakyReLU(negative_slope), device, data_format, x=x).backward(dy)


def sigmoid(x, device="cpu", data_format="NCHW"):
    """Return 1 / (1 + exp(-x)); any (N, C, H, W) or (N, C)."""
    return Call(Sigmoid(), device, data_format, x=x).forward()


def sigmoid_backward(dy, x, device="cpu", data_format="NCHW"):
    """Return dx of ``sigmoid``: dy * y * (1 - y).

    ``sigmoid_backward(dy, x)``: dy and x (8, 10) give dx (8, 10).
    """
    return Call(Sigmoid(), device, data_format, x=x).backward(dy)


def tanh(x, device="cpu", data_format="NCHW"):
    """Return the hyperbolic tangent; any (N, C, H, W) or (N, C)."""
    return Call(Tanh(), device, data_format, x=x).forward()


def tanh_backward(dy, x, device="cpu", data_format="NCHW"):
    """Return dx of ``tanh``: dy * (1 - y) * (1 + y).

    ``tanh_backward(dy, x)``: dy and x (8, 10) give dx (8, 10).
    """
    return Call(Tanh(), device, data_format, x=x).backward(dy)


def softmax(x, device="cpu", data_format="NCHW"):
    """Return the probabilities of each row of logits (N, C), or of each pixel's in (N, C, H, W): their sum is 1."""
    return Call(Softmax(), device, data_format, x=x).forward()


def softmax_backward(dy, x, device="cpu", data_format="NCHW"):
    """Return dx of ``softmax``: p * (dy - sum(dy * p)), summed over channels.

    ``softmax_backward(dy, x)``: dy and x (8, 10) give dx (8, 10).
    """
    return Call(Softmax(), device, data_format, x=x).backward(dy)


def log_softmax(x, device="cpu", data_format="NCHW"):
    """Return the logarithms of ``softmax``, x - log(sum(exp(x))), without overflow."""
    return Call(LogSoftmax(), device, data_format, x=x).forward()


def log_softmax_backward(dy, x, device="cpu", data_format="NCHW"):
    """Return dx of ``log_softmax``: dy - p * sum(dy), summed over channels.

    ``log_softmax_backward(dy, x)``: dy and x (8, 10) give dx (8, 10).
    """
    return Call(LogSoftmax(), device, data_format, x=x).backward(dy)
