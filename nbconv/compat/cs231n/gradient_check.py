"""Numerical gradients by central differences, as in the course's ``gradient_check.py``; and the error it prints."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...errors import DataError, ShapeError


def rel_error(x, y):
    """Return the largest relative error of two arrays: max |x - y| / max(1e-8, |x| + |y|)."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape != y.shape:
        raise ShapeError(f"both must have the same shape, got {x.shape} and {y.shape}")
    return float(np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y))))


def eval_numerical_gradient(f, x, verbose=True, h=1e-5):
    """Return the gradient of a number f(x) at x, an array of floats that is changed on the way and restored.

    With ``verbose``, each index and its derivative are printed.
    """
    grad = np.zeros_like(_changeable(x))
    for index, above, below in _sides(f, x, h):
        grad[index] = (above - below) / (2 * h)
        if verbose:
            print(index, grad[index])
    return grad


def eval_numerical_gradient_array(f, x, df, h=1e-5):
    """Return the gradient at x of sum(f(x) * df), for a function that takes and returns arrays."""
    grad = np.zeros_like(_changeable(x))
    for index, above, below in _sides(lambda x: np.array(f(x)), x, h):
        grad[index] = np.sum((above - below) * df) / (2 * h)
    return grad


def eval_numerical_gradient_blobs(f, inputs, output, h=1e-5):
    """Return a gradient for each of ``inputs``, for a function that writes into an output blob.

    A blob has arrays ``vals`` and ``diffs``; ``f(*inputs, output)`` computes ``output.vals``, and ``output.diffs`` is
    the gradient that comes back.
    """

    def values(_):
        f(*inputs, output)
        return np.copy(output.vals)

    return [eval_numerical_gradient_array(values, blob.vals, output.diffs, h) for blob in inputs]


def eval_numerical_gradient_net(net, inputs, output, h=1e-5):
    """The same for a net whose ``forward()`` computes ``output`` from ``inputs``."""
    return eval_numerical_gradient_blobs(lambda *blobs: net.forward(), inputs, output, h=h)


def grad_check_sparse(f, x, analytic_grad, num_checks=10, h=1e-5):
    """Print numerical and analytic derivative of f, and their relative error, at ``num_checks`` random places of x."""
    _changeable(x)
    for _ in range(num_checks):
        index = tuple(np.random.randint(size) for size in x.shape)  # noqa: NPY002, the generator that the course seeds
        above, below = _both_sides(f, x, index, h)
        numerical, analytic = (above - below) / (2 * h), analytic_grad[index]
        error = abs(numerical - analytic) / max(abs(numerical) + abs(analytic), np.finfo(float).tiny)
        print(f"numerical: {numerical:f} analytic: {analytic:f}, relative error: {error:e}")


def _changeable(x) -> np.ndarray:
    """Return x, or raise ``DataError`` where a step of 1e-5 would be lost."""
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
        raise DataError(f"x must be an array of floats, which is changed by h and restored, got {kind}; use float64")
    return x


def _sides(f, x, h) -> Iterator[tuple]:
    """Yield (index, f above, f below) for each element of x."""
    for index in np.ndindex(x.shape):
        yield index, *_both_sides(f, x, index, h)


def _both_sides(f, x, index, h):
    before = x[index]
    try:
        x[index] = before + h
        above = f(x)
        x[index] = before - h
        return above, f(x)
    finally:
        x[index] = before
