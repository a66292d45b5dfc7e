"""Batch, layer and group normalisation, as in the course's ``layers.py``."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...errors import ShapeError
from ...ops.norm import BatchNorm
from ...ops.options import number
from .arrays import channels_first, channels_last, dense, floats, gradient, images, layer_cache, needs_shape
from .dense import _mode
from .kernels import backward, forward


@lru_cache
def batch_norm(eps: float, training: bool) -> BatchNorm:
    return BatchNorm(eps=eps, training=training)


def batchnorm_forward(x, gamma, beta, bn_param, *, device="cpu"):
    """Give each column mean 0 and variance 1 over the batch, then scale and shift it.

    x (N, D), gamma (D,), beta (D,) give out (N, D) and a cache. ``bn_param`` has ``mode`` ("train" or "test") and may
    have ``eps`` (1e-5), ``momentum`` (0.9, **the weight of the old value**), ``running_mean`` and ``running_var`` (D,),
    which are put there in both modes: running = momentum * running + (1 - momentum) * batch's, with the **biased**
    variance.
    """
    x, gamma, beta = floats(x=x, gamma=gamma, beta=beta)
    if x.ndim != 2:
        raise ShapeError(f"x must have shape (N, D), got {x.shape}; for images there is spatial_batchnorm_forward")
    return _forward(dense(x), gamma, beta, bn_param, device)


def batchnorm_backward(dout, cache, *, device="cpu"):
    """Return dx, dgamma, dbeta of ``batchnorm_forward``."""
    _, arrays = layer_cache(cache, BatchNorm, "batchnorm_forward", 2)
    return _backward(dense(gradient(dout, arrays["x"].shape, arrays["x"].dtype)), cache, device)


def batchnorm_backward_alt(dout, cache):
    """Return the same as ``batchnorm_backward``, by its closed formula in NumPy, as the course derives it.

    With x^ = (x - mean) / std: dx = gamma / std * (dout - mean(dout) - x^ * mean(dout * x^)), means over the batch; in
    test mode, mean and std do not depend on x, and dx = gamma / std * dout.
    """
    op, arrays = layer_cache(cache, BatchNorm, "batchnorm_forward", 2)
    x, mean, inv_std = arrays["x"], arrays["mean"], arrays["inv_std"]
    dout = gradient(dout, x.shape, x.dtype)
    normalized = (x - mean) * inv_std
    dgamma, dbeta = np.sum(dout * normalized, axis=0), np.sum(dout, axis=0)
    change = dout - (dbeta + normalized * dgamma) / len(x) if op.training else dout
    return tuple(d.astype(x.dtype) for d in (arrays["weight"] * inv_std * change, dgamma, dbeta))


def spatial_batchnorm_forward(x, gamma, beta, bn_param, *, device="cpu"):
    """``batchnorm_forward`` for images, over the batch and all pixels: x (N, C, H, W), gamma (C,), beta (C,)."""
    x, gamma, beta = floats(x=x, gamma=gamma, beta=beta)
    out, cache = _forward(channels_last(images(x), device), gamma, beta, bn_param, device)
    return channels_first(out), cache


def spatial_batchnorm_backward(dout, cache, *, device="cpu"):
    """Return dx, dgamma, dbeta of ``spatial_batchnorm_forward``."""
    _, arrays = layer_cache(cache, BatchNorm, "spatial_batchnorm_forward", 4)
    x = arrays["x"]
    dout = gradient(dout, channels_first(x).shape, x.dtype)
    dx, dgamma, dbeta = _backward(channels_last(dout, device), cache, device)
    return channels_first(dx), dgamma, dbeta


def _forward(x, gamma, beta, bn_param, device):
    """Normalise x, channels last; the cache is the op and its arrays."""
    training = _mode(bn_param, "bn_param") == "train"
    op = batch_norm(number(bn_param.get("eps", 1e-5), "eps", above=0), training)
    for array, name in ((gamma, "gamma"), (beta, "beta")):
        needs_shape(array, name, x.shape[-1:], "a number per column, or channel, of x")
    running = [_running(bn_param, name, x) for name in ("running_mean", "running_var")]
    given = {"running_mean": running[0].copy(), "running_var": running[1].copy()}
    found = forward(op, device, x=x, weight=dense(gamma), bias=dense(beta), **given)
    if training:
        momentum = number(bn_param.get("momentum", 0.9), "momentum (the weight of the old value)", least=0, most=1)
        running = [
            (momentum * old + (1 - momentum) * new).astype(old.dtype)
            for old, new in zip(running, _statistics(op, found), strict=True)
        ]
    bn_param["running_mean"], bn_param["running_var"] = running
    return found["out"], (op, found)


def _backward(dout, cache, device):
    op, arrays = cache
    found = backward(op, device, dout, ("x", "weight", "bias"), **arrays)
    return found["x"], found["weight"], found["bias"]


def _statistics(op, found):
    """The batch's mean and biased variance, from what the kernel saved; its own running ones are the library's."""
    with np.errstate(divide="ignore"):
        return found["mean"], np.maximum(found["inv_std"] ** -2.0 - op.eps, 0)


def _running(bn_param, name, x):
    """A running statistic: the entry, or zeros."""
    values = bn_param.get(name)
    if values is None:
        return np.zeros(x.shape[-1], x.dtype)
    (values,) = floats(**{name: values})
    needs_shape(values, name, x.shape[-1:], "a number per column of x")
    return dense(values.astype(x.dtype))
