"""Normalisation on arrays."""

from __future__ import annotations

import numpy as np

from ..data.layout import channels_last
from ..errors import DataError, OptionError
from ..ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from ..ops.options import flag
from .call import Call, like


def batch_norm(
    x,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    device="cpu",
    data_format="NCHW",
):
    """Normalise each channel of (N, C, H, W) or (N, C); in training, the running statistics move in place.

    ``running_mean``, ``running_var``, ``weight`` and ``bias`` are (C,). In training the running statistics may be
    ``None``. See ``nbconv.BatchNorm``.
    """
    if flag(training, "training"):
        _check_writeable(running_mean, "running_mean")
        _check_writeable(running_var, "running_var")
    call = _norm(x, running_mean, running_var, weight, bias, training, momentum, eps, device, data_format)
    result = call.forward()
    if training:
        for host, name in (running_mean, "running_mean"), (running_var, "running_var"):
            if host is not None:
                host[...] = call.read(name)
    return result


def batch_norm_backward(
    dy,
    x,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    device="cpu",
    data_format="NCHW",
):
    """Return (dx, dweight, dbias) of ``batch_norm``; the running statistics stay as they are.

    ``batch_norm_backward(dy, x, None, None, weight, bias, training=True)``: dy and x (8, 16, 32, 32), weight and bias
    (16,) give dx (8, 16, 32, 32), dweight and dbias (16,).
    """
    return _norm(x, running_mean, running_var, weight, bias, training, momentum, eps, device, data_format).backward(dy)


def layer_norm(x, weight=None, bias=None, eps=1e-5, device="cpu", data_format="NCHW"):
    """Normalise each sample over all its values; (N, D) with (D,), or (N, C, H, W) with weight and bias (C, H, W).

    ``layer_norm(x, weight, bias)``: x (8, 16, 32, 32), weight and bias (16, 32, 32) give y (8, 16, 32, 32). The order
    of the weights' axes does not depend on ``data_format``. See ``nbconv.LayerNorm``.
    """
    op = LayerNorm(eps=eps, affine=_is_affine(weight, bias))
    return Call(op, device, data_format, x=x, weight=weight, bias=bias).forward()


def layer_norm_backward(dy, x, weight=None, bias=None, eps=1e-5, device="cpu", data_format="NCHW"):
    """Return (dx, dweight, dbias) of ``layer_norm``; the last two are ``None`` without weight and bias.

    ``layer_norm_backward(dy, x, weight, bias)``: dy and x (8, 16, 32, 32), weight and bias (16, 32, 32) give dx (8, 16,
    32, 32), dweight and dbias (16, 32, 32).
    """
    op = LayerNorm(eps=eps, affine=_is_affine(weight, bias))
    return Call(op, device, data_format, x=x, weight=weight, bias=bias).backward(dy)


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5, device="cpu", data_format="NCHW"):
    """Normalise groups of channels of each sample: (N, C, H, W) or (N, C), with weight and bias (C,).

    See ``nbconv.GroupNorm``.
    """
    op = GroupNorm(num_groups, eps=eps, affine=_is_affine(weight, bias))
    return Call(op, device, data_format, x=x, weight=weight, bias=bias).forward()


def group_norm_backward(dy, x, num_groups, weight=None, bias=None, eps=1e-5, device="cpu", data_format="NCHW"):
    """Return (dx, dweight, dbias) of ``group_norm``; the last two are ``None`` without weight and bias.

    ``group_norm_backward(dy, x, 4, weight, bias)``: dy and x (8, 16, 32, 32), weight and bias (16,) give dx (8, 16, 32,
    32), dweight and dbias (16,).
    """
    op = GroupNorm(num_groups, eps=eps, affine=_is_affine(weight, bias))
    return Call(op, device, data_format, x=x, weight=weight, bias=bias).backward(dy)


def instance_norm(x, weight=None, bias=None, eps=1e-5, device="cpu", data_format="NCHW"):
    """Normalise each channel of each image: (N, C, H, W), with weight and bias (C,). See ``nbconv.InstanceNorm``."""
    op = InstanceNorm(eps=eps, affine=_is_affine(weight, bias))
    return Call(op, device, data_format, x=x, weight=weight, bias=bias).forward()


def instance_norm_backward(dy, x, weight=None, bias=None, eps=1e-5, device="cpu", data_format="NCHW"):
    """Return (dx, dweight, dbias) of ``instance_norm``; the last two are ``None`` without weight and bias.

    ``instance_norm_backward(dy, x, weight, bias)``: dy and x (8, 16, 32, 32), weight and bias (16,) give dx (8, 16, 32,
    32), dweight and dbias (16,).
    """
    op = InstanceNorm(eps=eps, affine=_is_affine(weight, bias))
    return Call(op, device, data_format, x=x, weight=weight, bias=bias).backward(dy)


def _is_affine(weight, bias) -> bool:
    """Whether there is a scale and a shift; raise ``OptionError`` where there is only one of them."""
    if (weight is None) != (bias is None):
        raise OptionError("weight and bias come together: pass both or neither")
    return weight is not None


def _norm(x, running_mean, running_var, weight, bias, training, momentum, eps, device, data_format) -> Call:
    affine = _is_affine(weight, bias)
    if (running_mean is None) != (running_var is None):
        raise OptionError("running_mean and running_var come together: pass both or neither")
    op = BatchNorm(eps=eps, momentum=momentum, affine=affine, training=training)
    if running_mean is None:
        if not op.training:
            raise OptionError("with training=False, running_mean and running_var are needed: pass both, of shape (C,)")
        running_mean, running_var = _first_statistics(x, data_format)
    state = {"running_mean": running_mean, "running_var": running_var}
    return Call(op, device, data_format, x=x, weight=weight, bias=bias, **state)


def _first_statistics(x, data_format: str) -> tuple[np.ndarray, np.ndarray]:
    """A running mean and variance to begin with, for whoever keeps none."""
    x = like(x, "x")
    channels = channels_last(x, data_format).shape[-1:]
    return np.zeros(channels, x.dtype), np.ones(channels, x.dtype)


def _check_writeable(array, name: str) -> None:
    """Raise ``DataError`` unless this is ``None`` or an array that can be updated in place."""
    if array is not None and not (isinstance(array, np.ndarray) and array.flags.writeable):
        kind = "a read-only array" if isinstance(array, np.ndarray) else type(array).__name__
        raise DataError(
            f"{name} is updated in place in training: it must be a NumPy array that can be written to, got {kind}; "
            f"pass a copy made with np.array({name}), or None"
        )
