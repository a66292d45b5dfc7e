"""Borders and enlargement, by hand."""

import numpy as np
import pytest
from devices import DEVICES

from nbconv import functional as F

on_every_device = pytest.mark.parametrize("device", DEVICES)


@on_every_device
def test_a_padded_image_convolves_as_with_padding(device):
    """``Pad2d`` before a convolution is its own padding, and opens it to borders that it does not have itself."""
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 3, 6, 5)), rng.standard_normal((4, 3, 3, 3))
    for mode in "zeros", "circular":
        bordered = F.pad2d(x, 1, mode, device=device)
        np.testing.assert_allclose(
            F.conv2d(bordered, weight, device=device),
            F.conv2d(x, weight, padding=1, padding_mode=mode, device=device),
            rtol=1e-12,
            atol=1e-12,
        )
    row = np.array([1.0, 2, 3])[None, None, None]
    borders = {mode: F.pad2d(row, (0, 0, 2, 2), mode, device=device)[0, 0, 0].tolist() for mode in ("edge", "reflect")}
    assert borders == {"edge": [1, 1, 1, 2, 3, 3, 3], "reflect": [3, 2, 1, 2, 3, 2, 1]}
    assert F.pad2d(row, (0, 0, 2, 2), "circular", device=device)[0, 0, 0].tolist() == [2, 3, 1, 2, 3, 1, 2]


@on_every_device
def test_a_border_gives_its_gradient_to_what_it_copied(device):
    row, dy = np.zeros((1, 1, 1, 3)), np.array([1.0, 2, 4, 8, 16, 32, 64])[None, None, None]
    gradients = {
        mode: F.pad2d_backward(dy, row, (0, 0, 2, 2), mode, device=device)[0, 0, 0].tolist()
        for mode in ("zeros", "edge", "reflect", "circular")
    }
    assert gradients == {
        "zeros": [4, 8, 16],
        "edge": [1 + 2 + 4, 8, 16 + 32 + 64],
        "reflect": [4 + 64, 2 + 8 + 32, 1 + 16],
        "circular": [4 + 32, 1 + 8 + 64, 2 + 16],
    }


@on_every_device
def test_enlarged_pixels(device):
    x = np.array([[1.0, 2], [3, 4]])[None, None]
    y = F.upsample(x, (1, 3), device=device)
    np.testing.assert_array_equal(y[0, 0], [[1, 1, 1, 2, 2, 2], [3, 3, 3, 4, 4, 4]])
    dx = F.upsample_backward(np.arange(12.0).reshape(1, 1, 2, 6), x, (1, 3), device=device)
    np.testing.assert_array_equal(dx[0, 0], [[3, 12], [21, 30]])
