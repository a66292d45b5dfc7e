"""Layer and group normalisation, as in the course's ``layers.py``: each sample by itself, in training and in tests."""

from __future__ import annotations

from functools import lru_cache

from ...errors import ShapeError
from ...ops.norm import GroupNorm, LayerNorm
from ...ops.options import integer, number
from .arrays import channels_first, channels_last, dense, floats, gradient, images, layer_cache, needs_shape, parameters
from .kernels import backward, forward

layer_norm, group_norm = lru_cache(LayerNorm), lru_cache(GroupNorm)


def layernorm_forward(x, gamma, beta, ln_param, *, device="cpu"):
    """Give each row mean 0 and variance 1, then scale and shift its columns.

    x (N, D), gamma (D,), beta (D,) give out (N, D) and a cache; ``ln_param`` may have ``eps`` (1e-5).
    """
    x, gamma, beta = floats(x=x, gamma=gamma, beta=beta)
    if x.ndim != 2:
        raise ShapeError(f"x must have shape (N, D), got {x.shape}; for images there is spatial_groupnorm_forward")
    for array, name in ((gamma, "gamma"), (beta, "beta")):
        needs_shape(array, name, x.shape[1:], "a number per column of x")
    op = layer_norm(eps=_eps(ln_param, "ln_param"))
    found = forward(op, device, x=dense(x), weight=dense(gamma), bias=dense(beta))
    return found["out"], (op, found)


def layernorm_backward(dout, cache, *, device="cpu"):
    """Return dx, dgamma, dbeta of ``layernorm_forward``."""
    op, arrays = layer_cache(cache, LayerNorm, "layernorm_forward", 2)
    dout = dense(gradient(dout, arrays["x"].shape, arrays["x"].dtype))
    found = backward(op, device, dout, ("x", "weight", "bias"), **arrays)
    return found["x"], found["weight"], found["bias"]


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param, *, device="cpu"):
    """Give each of G groups of channels of each image mean 0 and variance 1, then scale and shift its channels.

    x (N, C, H, W), gamma (1, C, 1, 1), beta (1, C, 1, 1), and G, which divides C, give out (N, C, H, W) and a cache;
    ``gn_param`` may have ``eps`` (1e-5).
    """
    x, gamma, beta = floats(x=x, gamma=gamma, beta=beta)
    wanted = 1, images(x).shape[1], 1, 1
    for array, name in ((gamma, "gamma"), (beta, "beta")):
        needs_shape(array, name, wanted, f"a number per channel of x: use {name}.reshape(1, {wanted[1]}, 1, 1)")
    op = group_norm(integer(G, "G"), eps=_eps(gn_param, "gn_param"))
    weight, bias = (dense(array.reshape(-1)) for array in (gamma, beta))
    found = forward(op, device, x=channels_last(x, device), weight=weight, bias=bias)
    return channels_first(found["out"]), (op, found)


def spatial_groupnorm_backward(dout, cache, *, device="cpu"):
    """Return dx, dgamma, dbeta of ``spatial_groupnorm_forward``; the last two are (1, C, 1, 1)."""
    op, arrays = layer_cache(cache, GroupNorm, "spatial_groupnorm_forward", 4)
    dout = gradient(dout, channels_first(arrays["x"]).shape, arrays["x"].dtype)
    found = backward(op, device, channels_last(dout, device), ("x", "weight", "bias"), **arrays)
    return channels_first(found["x"]), *(found[name].reshape(1, -1, 1, 1) for name in ("weight", "bias"))


def _eps(param, where: str) -> float:
    return number(parameters(param, where).get("eps", 1e-5), "eps", above=0)
