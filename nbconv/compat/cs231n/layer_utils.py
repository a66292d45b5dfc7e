"""Layers that come together, as in the course's ``layer_utils.py``: the cache is the caches of the parts, in order."""

from __future__ import annotations

from .arrays import parts_of
from .dense import affine_backward, affine_forward, relu_backward, relu_forward
from .fast_layers import conv_backward_fast, conv_forward_fast, max_pool_backward_fast, max_pool_forward_fast
from .norm import batchnorm_backward, batchnorm_forward, spatial_batchnorm_backward, spatial_batchnorm_forward


def affine_relu_forward(x, w, b, *, device="cpu"):
    """Affine, ReLU: x (N, d_1, ..., d_k), w (D, M), b (M,) give out (N, M) and a cache."""
    a, affine_cache = affine_forward(x, w, b, device=device)
    out, relu_cache = relu_forward(a, device=device)
    return out, (affine_cache, relu_cache)


def affine_relu_backward(dout, cache, *, device="cpu"):
    """Return dx, dw, db of ``affine_relu_forward``."""
    affine_cache, relu_cache = parts_of(cache, "affine_relu_forward", 2)
    return affine_backward(relu_backward(dout, relu_cache, device=device), affine_cache, device=device)


def affine_bn_relu_forward(x, w, b, gamma, beta, bn_param, *, device="cpu"):
    """Affine, batch normalisation, ReLU: gamma and beta (M,); out (N, M) and a cache."""
    a, affine_cache = affine_forward(x, w, b, device=device)
    a, bn_cache = batchnorm_forward(a, gamma, beta, bn_param, device=device)
    out, relu_cache = relu_forward(a, device=device)
    return out, (affine_cache, bn_cache, relu_cache)


def affine_bn_relu_backward(dout, cache, *, device="cpu"):
    """Return dx, dw, db, dgamma, dbeta of ``affine_bn_relu_forward``."""
    affine_cache, bn_cache, relu_cache = parts_of(cache, "affine_bn_relu_forward", 3)
    da = relu_backward(dout, relu_cache, device=device)
    da, dgamma, dbeta = batchnorm_backward(da, bn_cache, device=device)
    return *affine_backward(da, affine_cache, device=device), dgamma, dbeta


def conv_relu_forward(x, w, b, conv_param, *, device="cpu"):
    """Convolution, ReLU: x (N, C, H, W), w (F, C, HH, WW), b (F,) give out (N, F, H', W') and a cache."""
    a, conv_cache = conv_forward_fast(x, w, b, conv_param, device=device)
    out, relu_cache = relu_forward(a, device=device)
    return out, (conv_cache, relu_cache)


def conv_relu_backward(dout, cache, *, device="cpu"):
    """Return dx, dw, db of ``conv_relu_forward``."""
    conv_cache, relu_cache = parts_of(cache, "conv_relu_forward", 2)
    return conv_backward_fast(relu_backward(dout, relu_cache, device=device), conv_cache, device=device)


def conv_bn_relu_forward(x, w, b, gamma, beta, conv_param, bn_param, *, device="cpu"):
    """Convolution, spatial batch normalisation, ReLU: gamma and beta (F,); out (N, F, H', W') and a cache."""
    a, conv_cache = conv_forward_fast(x, w, b, conv_param, device=device)
    a, bn_cache = spatial_batchnorm_forward(a, gamma, beta, bn_param, device=device)
    out, relu_cache = relu_forward(a, device=device)
    return out, (conv_cache, bn_cache, relu_cache)


def conv_bn_relu_backward(dout, cache, *, device="cpu"):
    """Return dx, dw, db, dgamma, dbeta of ``conv_bn_relu_forward``."""
    conv_cache, bn_cache, relu_cache = parts_of(cache, "conv_bn_relu_forward", 3)
    da = relu_backward(dout, relu_cache, device=device)
    da, dgamma, dbeta = spatial_batchnorm_backward(da, bn_cache, device=device)
    return *conv_backward_fast(da, conv_cache, device=device), dgamma, dbeta


def conv_relu_pool_forward(x, w, b, conv_param, pool_param, *, device="cpu"):
    """Convolution, ReLU, max pooling: out (N, F, H'', W'') and a cache."""
    a, conv_cache = conv_forward_fast(x, w, b, conv_param, device=device)
    s, relu_cache = relu_forward(a, device=device)
    out, pool_cache = max_pool_forward_fast(s, pool_param, device=device)
    return out, (conv_cache, relu_cache, pool_cache)


def conv_relu_pool_backward(dout, cache, *, device="cpu"):
    """Return dx, dw, db of ``conv_relu_pool_forward``."""
    conv_cache, relu_cache, pool_cache = parts_of(cache, "conv_relu_pool_forward", 3)
    ds = max_pool_backward_fast(dout, pool_cache, device=device)
    return conv_backward_fast(relu_backward(ds, relu_cache, device=device), conv_cache, device=device)
