"""CS231n's notebook checks of layer norm and spatial group norm: their inputs, what they print, their error levels."""

import numpy as np
import pytest
from devices import DEVICES
from numpy.testing import assert_allclose

from nbconv import functional as F

on_every_device = pytest.mark.parametrize("device", DEVICES)


def rel_error(x, y):
    """The course's measure: the largest difference of two elements, relative to their size."""
    return np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)))


def numerical_gradient(f, x, df, h=1e-3):
    """Differences of f at x, for the gradient df of its result.

    The notebook's, of two points 1e-5 away, round off 1e-7 of the smallest elements; these, of four, next to nothing.
    """
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        before, slope = x[index], 0.0
        for steps, share in (1, 8), (-1, -8), (2, -1), (-2, 1):
            x[index] = before + steps * h
            slope += share * np.sum(f(x) * df)
        x[index] = before
        gradient[index] = slope / (12 * h)
    return gradient


def errors(f, operands, dout, gradients):
    """The course's error of each gradient of ``f(*operands)``."""
    found = []
    for position, gradient in enumerate(gradients):

        def moved(value, position=position):
            return f(*operands[:position], value, *operands[position + 1 :])

        found.append(rel_error(numerical_gradient(moved, operands[position].copy(), dout), gradient))
    return found


def two_layer_features():
    """What the notebook normalises: the scores of a net of two layers, four samples of three."""
    rng = np.random.RandomState(231)
    x, w1, w2 = rng.randn(4, 50), rng.randn(50, 60), rng.randn(60, 3)
    return np.maximum(0, x.dot(w1)).dot(w2)


@on_every_device
def test_layer_norm_forward(device):
    a = two_layer_features()
    assert_allclose(a.mean(axis=1), [-59.06673243, -47.60782686, -43.31137368, -26.40991744], atol=5e-9)
    assert_allclose(a.std(axis=1), [10.07429373, 28.39478981, 35.28360729, 4.01831507], atol=5e-9)

    y = F.layer_norm(a, np.ones(3), np.zeros(3), device=device)
    assert_allclose(y.mean(axis=1), 0, atol=2e-15)
    assert_allclose(y.std(axis=1), [0.99999995, 0.99999999, 1, 0.99999969], atol=5e-9)

    y = F.layer_norm(a, np.full(3, 3.0), np.full(3, 5.0), device=device)
    assert_allclose(y.mean(axis=1), 5, atol=1e-14)
    assert_allclose(y.std(axis=1), [2.99999985, 2.99999998, 2.99999999, 2.99999907], atol=5e-9)


@on_every_device
def test_layer_norm_backward(device):
    rng = np.random.RandomState(231)
    x = 5 * rng.randn(4, 5) + 12
    gamma, beta, dout = rng.randn(5), rng.randn(5), rng.randn(4, 5)

    def forward(x, gamma, beta):
        return F.layer_norm(x, gamma, beta, device=device)

    gradients = F.layer_norm_backward(dout, x, gamma, beta, device=device)
    dx, dgamma, dbeta = errors(forward, (x, gamma, beta), dout, gradients)
    assert dx < 1e-9 and dgamma < 1e-11 and dbeta < 1e-11  # the notebook: from 1e-12 to 1e-8


@on_every_device
def test_spatial_group_norm_forward(device):
    n, c, h, w, groups = 2, 6, 4, 5, 2
    x = 4 * np.random.RandomState(231).randn(n, c, h, w) + 10
    x_g = x.reshape(n * groups, -1)
    assert_allclose(x_g.mean(axis=1), [9.72505327, 8.51114185, 8.9147544, 9.43448077], atol=5e-9)
    assert_allclose(x_g.std(axis=1), [3.67070958, 3.09892597, 4.27043622, 3.97521327], atol=5e-9)

    y_g = F.group_norm(x, groups, np.ones(c), np.zeros(c), device=device).reshape(n * groups, -1)
    assert_allclose(y_g.mean(axis=1), 0, atol=2e-15)
    assert_allclose(y_g.std(axis=1), [0.99999963, 0.99999948, 0.99999973, 0.99999968], atol=5e-9)


@on_every_device
def test_spatial_group_norm_backward(device):
    rng, groups = np.random.RandomState(231), 2
    x = 5 * rng.randn(2, 6, 4, 5) + 12
    gamma, beta, dout = rng.randn(6), rng.randn(6), rng.randn(*x.shape)

    def forward(x, gamma, beta):
        return F.group_norm(x, groups, gamma, beta, device=device)

    gradients = F.group_norm_backward(dout, x, groups, gamma, beta, device=device)
    dx, dgamma, dbeta = errors(forward, (x, gamma, beta), dout, gradients)
    assert dx < 2e-8 and dgamma < 1e-11 and dbeta < 1e-11  # the notebook: from 1e-12 to 1e-7


@on_every_device
def test_layer_norm_is_batch_norm_of_the_transpose(device):
    """What the course asks to see: the same normalisation along the other axis."""
    a = two_layer_features()
    transposed = F.batch_norm(np.ascontiguousarray(a.T), None, None, training=True, device=device)
    assert_allclose(F.layer_norm(a, device=device), transposed.T, atol=1e-14)
