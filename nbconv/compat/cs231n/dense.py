"""Fully connected layers, ReLU and dropout, as in the course's ``layers.py``."""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from ...errors import OptionError, ShapeError
from ...ops.activation import ReLU
from ...ops.linear import Linear
from ...ops.options import integer, number
from .arrays import dense, floats, foreign_cache, gradient, needs_shape, parameter, parts_of
from .kernels import backward, forward

RELU = ReLU()
linear = lru_cache(Linear)


def affine_forward(x, w, b, *, device="cpu"):
    """Flatten each sample, multiply by a matrix and add a bias.

    x (N, d_1, ..., d_k), w (D, M) with D = d_1 * ... * d_k, b (M,) give out (N, M) and cache (x, w, b).
    """
    x, w, b = floats(x=x, w=w, b=b)
    rows = _rows(x)
    if w.ndim != 2 or len(w) != rows.shape[1]:
        raise ShapeError(
            f"w must have shape ({rows.shape[1]}, M), a row per number of a sample {x.shape[1:]}, got {w.shape}"
        )
    needs_shape(b, "b", w.shape[1:], "a number per column of w")
    found = forward(linear(w.shape[1]), device, x=rows, weight=dense(w), bias=dense(b))
    return found["out"], (x, w, b)


def affine_backward(dout, cache, *, device="cpu"):
    """Return dx, dw, db of ``affine_forward``, of the shapes of x, w, b."""
    x, w, b = floats(**dict(zip("xwb", parts_of(cache, "affine_forward", 3), strict=True)))
    dout = dense(gradient(dout, (len(x), w.shape[1]), x.dtype))
    found = backward(
        linear(w.shape[1]), device, dout, ("x", "weight", "bias"), x=_rows(x), weight=dense(w), bias=dense(b)
    )
    return found["x"].reshape(x.shape), found["weight"], found["bias"]


def _rows(x: np.ndarray) -> np.ndarray:
    if x.ndim < 2:
        raise ShapeError(f"x must have shape (N, d_1, ..., d_k), got {x.shape}")
    return dense(x.reshape(len(x), prod(x.shape[1:])))


def relu_forward(x, *, device="cpu"):
    """Replace negative numbers by zero: x of any shape gives out of the same, and cache x."""
    (x,) = floats(x=x)
    x = _in_memory_order(x)
    flat = forward(RELU, device, x=_line(x))["out"]
    return _like(flat, x), x


def relu_backward(dout, cache, *, device="cpu"):
    """Return dx of ``relu_forward``: dout where x is positive (or NaN), else zero."""
    if not isinstance(cache, np.ndarray):
        raise foreign_cache(cache, "relu_forward")
    (x,) = floats(x=cache)
    dout = gradient(dout, x.shape, x.dtype)
    x = _in_memory_order(x)
    aligned = np.empty_like(x)  # which keeps the order of axes in memory
    if dout.strides == x.strides and dout.flags.behaved:
        aligned = dout
    else:
        aligned[...] = dout
    line = _line(x)
    return _like(backward(RELU, device, _line(aligned), ("x",), x=line, out=line)["x"], x)


def _in_memory_order(x: np.ndarray) -> np.ndarray:
    """Return x, or a copy, such that its elements fill memory without gaps, in whatever order of axes."""
    permuted = x.transpose(np.argsort([-stride for stride in x.strides], kind="stable"))
    return x if permuted.flags.c_contiguous and x.flags.behaved else np.array(x, order="K")


def _line(x: np.ndarray) -> np.ndarray:
    """View all elements, in the order of memory, as one row."""
    return x.ravel(order="K").reshape(1, -1)


def _like(line: np.ndarray, x: np.ndarray) -> np.ndarray:
    """View a row of numbers in the shape and order of ``x``."""
    axes = np.argsort([-stride for stride in x.strides], kind="stable")
    return line.reshape([x.shape[axis] for axis in axes]).transpose(np.argsort(axes))


def dropout_forward(x, dropout_param):
    """Keep each number with probability p and divide it by p; the others become zero (inverted dropout).

    ``dropout_param`` has ``mode`` ("train" or "test"), ``p``, **the probability of keeping**, and perhaps ``seed``.
    Returns out, of the shape of x, and cache (dropout_param, mask); the mask is ``None`` in test mode.

    The mask is drawn as the course draws it, from NumPy's generator: with the same seed it is the same. A
    seed seeds that generator (``np.random.seed``), as the course does, so that what is drawn later is the same, too.
    """
    (x,) = floats(x=x)
    if _mode(dropout_param, "dropout_param") == "test":
        return x.copy(), (dropout_param, None)
    p = number(parameter(dropout_param, "p", "dropout_param"), "p (the probability of keeping)", above=0, most=1)
    seed = dropout_param.get("seed")
    if seed is not None:
        np.random.seed(integer(seed, "seed", least=0, most=2**32 - 1))  # noqa: NPY002, later draws are the course's, too
    mask = ((np.random.random_sample(x.shape) < p) / p).astype(x.dtype)  # noqa: NPY002
    return x * mask, (dropout_param, mask)


def dropout_backward(dout, cache):
    """Return dx of ``dropout_forward``: dout times the mask, or dout itself in test mode."""
    _, mask = parts_of(cache, "dropout_forward", 2)
    if not (mask is None or isinstance(mask, np.ndarray)):
        raise foreign_cache(cache, "dropout_forward")
    if mask is None:
        (dout,) = floats(dout=dout)
        return dout.copy()
    return gradient(dout, mask.shape, mask.dtype) * mask


def _mode(given: dict, where: str) -> str:
    """Return "train" or "test"."""
    mode = parameter(given, "mode", where)
    if mode not in ("train", "test"):
        raise OptionError(f'the mode of {where} must be "train" or "test", got {mode!r}')
    return mode
