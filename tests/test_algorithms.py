"""Algorithms of a convolution: the choice, what it may not change, and what is said where there is none."""

from dataclasses import replace

import numpy as np
import pytest
from cases import Case
from checking import distance
from running import Bound, bits, exact

import nbconv.functional as F
from nbconv import Conv2d
from nbconv.cpu import algorithms
from nbconv.errors import OptionError


def outputs(op, x, dtype="float32"):
    y = op.conv_shape(x)
    forward = algorithms.winograd_forward(op, dtype, x, y), algorithms.winograd_forward(op, dtype, y, x)
    return (*forward, algorithms.winograd_gradient(op, dtype, x, y))


SAME = {3: Conv2d(64, 3, padding=1), 5: Conv2d(64, 5, padding=2)}


@pytest.mark.parametrize(
    ("op", "x", "wanted"),
    [
        (SAME[3], (8, 56, 56, 64), (4, 4, 4)),
        (SAME[5], (8, 56, 56, 64), (2, 2, 2)),
        (SAME[3], (8, 6, 6, 64), (2, 2, 2)),  # tiles of 4 x 4 would be half empty
        (SAME[3], (64, 1, 1, 64), (0, 0, 0)),
        (Conv2d(64, 3, stride=2), (8, 56, 56, 64), (0, 0, 0)),
        (Conv2d(64, 3, dilation=2), (8, 56, 56, 64), (0, 0, 0)),
        (Conv2d(64, (3, 5)), (8, 56, 56, 64), (0, 0, 0)),
        (Conv2d(64, 3, groups=64), (8, 56, 56, 64), (0, 0, 0)),
        (Conv2d(64, 3, algorithm="direct"), (8, 56, 56, 64), (0, 0, 0)),
        (Conv2d(1, 3, algorithm="winograd"), (1, 3, 3, 1), (2, 2, 2)),
    ],
)
def test_choice(op, x, wanted):
    assert outputs(op, x) == wanted


def test_float64_keeps_its_digits():
    assert outputs(SAME[3], (8, 56, 56, 64), "float64") == (0, 0, 0)


@pytest.mark.parametrize(("size", "padding"), [(3, 1), (5, 2)])
def test_auto_is_one_of_the_algorithms_to_the_last_bit(size, padding):
    case = Case(Conv2d(32, size, padding=padding), (2, 20, 22, 32))
    auto, direct, winograd = (
        Bound(case._replace(op=replace(case.op, algorithm=name)), "cpu", "float32")
        for name in ("auto", "direct", "winograd")
    )
    results = [bits(bound.forward()) for bound in (auto, direct, winograd)]
    gradients = [bits(bound.backward()) for bound in (auto, direct, winograd)]
    assert results[0] == results[2] != results[1]
    assert gradients[0] == gradients[2] != gradients[1]


def test_residual_of_deep_sums():
    """Over 512 channels, within the 2e-5 of the largest output that are promised."""
    case = Case(Conv2d(64, 3, padding=1, algorithm="winograd"), (1, 16, 16, 512))
    got, want = Bound(case, "cpu", "float32").forward()["out"], exact(case, "float32").forward()["out"]
    assert np.abs(got - want).max() < 2e-5 * np.abs(want).max()


@pytest.mark.parametrize("wanted", ["out", "weight", "x"])
def test_what_overflows_only_in_a_transform_is_computed_again(wanted):
    """Numbers near the largest, with small partners: the products are small, sums of a transform are infinite."""
    rng = np.random.default_rng(0)
    x, weight, dy = (rng.uniform(0.5, 1, shape) for shape in ((2, 9, 10, 5), (3, 3, 5, 6), (2, 9, 10, 6)))
    scale = {"out": (3e38, 1e-30, 1), "weight": (3e38, 1, 1e-32), "x": (1, 1e-30, 3e38)}[wanted]
    given = {
        name: (array * factor).astype(np.float32)
        for name, array, factor in zip(("x", "weight", "dy"), (x, weight, dy), scale, strict=True)
    }
    case = Case(Conv2d(6, 3, padding=1, bias=False, algorithm="winograd"), x.shape)
    results = []
    for device, dtype in ("cpu", "float32"), ("reference", "float64"):
        bound = Bound(case, device, dtype, rounded_to="float32", given=given)
        forward = bound.forward()
        results.append(forward["out"] if wanted == "out" else bound.backward([wanted])[wanted])
    assert np.isfinite(results[0]).all()
    assert distance(*results) < 1e-6


def test_functional_takes_an_algorithm():
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 20, 24, 24), (20, 20, 3, 3)))
    y = {name: F.conv2d(x, weight, padding=1, algorithm=name) for name in ("auto", "direct", "winograd")}
    assert 0 < np.abs(y["direct"] - y["winograd"]).max() < 1e-4
    np.testing.assert_array_equal(y["auto"], y["winograd"])
    dy = np.ones_like(y["auto"])
    gradients = [F.conv2d_backward(dy, x, weight, padding=1, algorithm=name) for name in ("direct", "winograd")]
    for direct, winograd in zip(*gradients, strict=True):
        np.testing.assert_allclose(direct, winograd, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("options", [{"stride": 2}, {"dilation": 2}, {"kernel_size": 4}, {"kernel_size": (3, 5)}])
def test_winograd_where_it_is_not_possible(options):
    with pytest.raises(OptionError, match=r"needs a kernel of 3x3 or 5x5, stride 1 and dilation 1, .* use .*'auto'"):
        Conv2d(8, **{"kernel_size": 3, "algorithm": "winograd", **options})


def test_unknown_algorithm():
    with pytest.raises(OptionError, match=r"algorithm must be one of \('auto', .* got 'fft'"):
        Conv2d(8, 3, algorithm="fft")
