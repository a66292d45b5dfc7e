"""One window of a max-pool against a plain loop: ties, NaN, borders, nothing touched beyond the channels."""

import numpy as np
import pytest
from numba import njit

from nbconv.cpu.pool_tiles import find_winner, return_gradient
from nbconv.cpu.vector import lanes

GUARD = -777.0
KERNEL = 3, 4
SIZE = 6  # of the image, in both directions


@njit
def run_find(images, start, rows, columns, steps, kernel_w, channels, out, argmax):
    find_winner(images, start, rows, columns, steps, kernel_w, channels, out, argmax, 2)


@njit
def run_return(dy, out, argmax, relu, scale, start, rows, columns, steps, kernel_w, channels, gradient, add):
    return_gradient(
        dy, out, argmax, 2, relu, scale, 1, start, rows, columns, steps, kernel_w, channels, gradient, add
    )  # fmt: skip


def plain_winner(image, corner, rows, columns):
    """The maximum and its position of a window at ``corner`` of an image (H, W): NaN first, then the largest, first."""
    best, winner = -np.inf, 0
    for r in range(*rows):
        for s in range(*columns):
            value, position = image[corner[0] + r, corner[1] + s], r * KERNEL[1] + s
            if (r, s) == (rows[0], columns[0]) or value > best or (np.isnan(value) and not np.isnan(best)):
                best, winner = value, position
    return best, winner


def images(dtype, channels, values):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 3, (SIZE, SIZE, channels)).astype(dtype)  # full of ties
    if values == "nan":
        image[rng.random(image.shape) < 0.2] = np.nan
    if values == "-inf":
        image[...] = -np.inf
    return image


@pytest.mark.parametrize("values", ["ties", "nan", "-inf"])
@pytest.mark.parametrize("argmax_dtype", ["uint8", "int32"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_winner_and_the_way_back(dtype, argmax_dtype, values):
    """Taps that are not in the image are never read: the corner may lie outside of it."""
    for channels in range(1, lanes(dtype) + 1):
        image = images(dtype, channels, values)
        steps = SIZE * channels, channels
        for corner, rows, columns in ((1, 2), (0, 3), (0, 4)), ((-1, -2), (1, 3), (2, 4)), ((4, 3), (0, 2), (0, 3)):
            start = corner[0] * steps[0] + corner[1] * steps[1]
            out = np.full(2 + lanes(dtype) + 2, GUARD, dtype)
            argmax = np.full(len(out), 99, argmax_dtype)
            run_find(image.reshape(-1), start, rows, columns, steps, KERNEL[1], channels, out, argmax)
            want = [plain_winner(image[..., c], corner, rows, columns) for c in range(channels)]
            np.testing.assert_array_equal(out[2 : 2 + channels], [best for best, _ in want])
            np.testing.assert_array_equal(argmax[2 : 2 + channels], [winner for _, winner in want])
            assert (out[2 + channels :] == GUARD).all() and (argmax[2 + channels :] == 99).all()
            check_return(corner, rows, columns, steps, channels, out, argmax)


def check_return(corner, rows, columns, steps, channels, out, argmax):
    """The gradient, scaled, goes to the winner where ReLU let its value pass, and is added if wanted."""
    dy, scale = np.arange(len(out)).astype(out.dtype) + 1, 2 + np.arange(len(out)).astype(out.dtype)
    for relu in False, True:
        for add in False, True:
            gradient = np.full((SIZE, SIZE, channels), GUARD, out.dtype)
            want = gradient.copy()
            window = want[corner[0] + rows[0] : corner[0] + rows[1], corner[1] + columns[0] : corner[1] + columns[1]]
            if not add:
                window[...] = 0
            for c in range(channels):
                r, s = divmod(int(argmax[2 + c]), KERNEL[1])
                if not (relu and out[2 + c] <= 0):
                    want[corner[0] + r, corner[1] + s, c] += dy[2 + c] * scale[1 + c]
            start = corner[0] * steps[0] + corner[1] * steps[1]
            flat = gradient.reshape(-1)
            run_return(dy, out, argmax, relu, scale, start, rows, columns, steps, KERNEL[1], channels, flat, add)
            np.testing.assert_array_equal(gradient, want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_window_of_border_alone(dtype):
    out, argmax = np.zeros(2 + lanes(dtype), dtype), np.full(2 + lanes(dtype), 99, np.uint8)
    run_find(np.zeros(4, dtype), -100, (0, 0), (0, 4), (1, 1), 4, 1, out, argmax)
    assert out[2] == -np.inf
    assert argmax[2] == 0
