"""Initial weights have the variance that their paper asks for, and the same draws in every dtype."""

import numpy as np
import pytest

from nbconv.errors import OptionError
from nbconv.train.initializers import INITIALIZERS, initialize

SHAPE, FANS = (3, 3, 40, 50), (360, 450)


def draw(init, seed=0):
    return initialize(init, SHAPE, FANS, np.random.default_rng(seed))


@pytest.mark.parametrize(
    "init, variance",
    [
        ("kaiming_normal", 2 / 360),
        ("kaiming_uniform", 2 / 360),
        ("xavier_normal", 2 / 810),
        ("xavier_uniform", 2 / 810),
        ("lecun_normal", 1 / 360),
        ("zeros", 0),
        (0.01, 1e-4),
        (0, 0),
        (np.float32(0.5), 0.25),
    ],
)
def test_mean_and_variance(init, variance):
    weights = draw(init)
    assert weights.shape == SHAPE and weights.dtype == np.float64
    assert weights.var() == pytest.approx(variance, rel=0.05)
    assert abs(weights.mean()) <= 4 * np.sqrt(variance / weights.size)


@pytest.mark.parametrize("init, bound", [("kaiming_uniform", 6 / 360), ("xavier_uniform", 6 / 810)])
def test_uniform_is_bounded(init, bound):
    assert 0.99 * np.sqrt(bound) < np.abs(draw(init)).max() <= np.sqrt(bound)


@pytest.mark.parametrize("init", INITIALIZERS)
def test_a_seed_fixes_the_weights(init):
    np.testing.assert_array_equal(draw(init, seed=3), draw(init, seed=3))


@pytest.mark.parametrize("init", ["he", None, True, [1]])
def test_unknown_name_lists_the_names(init):
    with pytest.raises(
        OptionError, match="init must be one of kaiming_normal, .*, zeros, or a standard deviation, got"
    ):
        draw(init)


@pytest.mark.parametrize("init", [-0.1, float("nan"), float("inf")])
def test_a_deviation_out_of_range(init):
    with pytest.raises(OptionError, match="init as a number is a standard deviation, zero or more, got"):
        draw(init)
