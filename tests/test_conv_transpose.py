"""Transposed convolution: by hand, and as what undoes the shape of a convolution."""

import numpy as np
import pytest
from devices import DEVICES

from nbconv import functional as F

on_every_device = pytest.mark.parametrize("device", DEVICES)


@on_every_device
def test_a_transposed_convolution_by_hand(device):
    """Each pixel lays down its filter, and where two meet they add up."""
    x, weight = np.array([[1.0, 2], [3, 4]])[None, None], np.array([[1.0, 10], [100, 1000]])[None, None]
    apart = F.conv_transpose2d(x, weight, stride=2, device=device)[0, 0]
    np.testing.assert_array_equal(apart, np.kron(x[0, 0], weight[0, 0]))
    overlapping = F.conv_transpose2d(x, weight, device=device)[0, 0]
    np.testing.assert_array_equal(overlapping, [[1, 12, 20], [103, 1234, 2040], [300, 3400, 4000]])
    y = F.conv_transpose2d(x, weight, np.array([0.5]), stride=2, padding=1, output_padding=1, device=device)[0, 0]
    np.testing.assert_array_equal(y, np.kron(x[0, 0], weight[0, 0])[1:, 1:] + 0.5)


@on_every_device
def test_a_transposed_convolution_is_the_adjoint(device):
    """<conv(x), y> = <x, conv_transpose(y)>, with the same weight."""
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 4, 9, 8)), rng.standard_normal((6, 2, 3, 2))
    options = {"stride": (2, 3), "padding": (1, 0), "groups": 2, "dilation": (2, 1)}
    y = F.conv2d(x, weight, **options, device=device)
    dy = rng.standard_normal(y.shape)
    back = F.conv_transpose2d(dy, weight, **options, output_padding=(0, 0), device=device)
    back = np.pad(back, [(0, 0), (0, 0), (0, 9 - back.shape[2]), (0, 8 - back.shape[3])])
    assert (y * dy).sum() == pytest.approx((x * back).sum(), rel=1e-12)


@on_every_device
@pytest.mark.parametrize("stride, size", [(1, 9), (2, 9), (2, 10), (3, 9), (3, 10), (3, 11)])
def test_output_padding_says_which_size_is_meant(stride, size, device):
    """Several sizes of an image become the same size of y; ``output_padding`` leads back to each of them."""
    x, weight = np.ones((1, 2, size, size)), np.ones((3, 2, 4, 4))
    y = F.conv2d(x, weight, stride=stride, padding=1, device=device)
    more = (size + 2 - 4) % stride
    back = F.conv_transpose2d(y, weight, stride=stride, padding=1, output_padding=more, device=device)
    assert back.shape == x.shape
    dx, _, _ = F.conv2d_backward(y, x, weight, stride=stride, padding=1, device=device)
    np.testing.assert_allclose(back, dx, rtol=1e-13)
