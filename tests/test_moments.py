"""Statistics of a convolution's results, summed strip by strip as they are made, are those batch norm would sum."""

from dataclasses import replace

import numpy as np
import pytest
from cases import DTYPES, Case
from checking import distance
from running import Bound

from nbconv import Add, BatchNorm, Conv2d, Input, Model
from nbconv.cpu.conv_kernels import forward_convolution
from nbconv.cpu.winograd import Winograd

CASES = {
    "winograd": ((5, 17, 19, 16), Conv2d(32, 3, padding=1)),
    "rows of one image": ((2, 70, 67, 8), Conv2d(17, 3, stride=2)),
    "several images": ((300, 2, 3, 12), Conv2d(20, 3, padding=1, algorithm="direct")),
    "parts of the channels": ((1, 5, 6, 40), Conv2d(150, 1)),
    "groups": ((3, 9, 8, 6), Conv2d(24, 3, padding=1, groups=2)),
    "one pixel, one image": ((1, 3, 3, 4), Conv2d(40, 3)),
    "circular": ((2, 9, 11, 20), Conv2d(33, 3, padding=1, padding_mode="circular", algorithm="direct")),
}


def measured(case, dtype):
    """The output of a convolution that measures, and what it has left: (4, strips, channels)."""
    shape, op = CASES[case]
    bound = Bound(Case(replace(op, measures=True), shape), "cpu", dtype)
    out = bound.forward()["out"]
    return out, bound.scratch[0]["moments"].transpose(1, 0, 2)[..., : out.shape[-1]]


def both(case, dtype, threads=None, **options):
    """Two models of convolution, batch norm and a sum that reads the convolution as well: fused, and not."""
    shape, op = CASES[case]
    for rewrite in True, False:
        x = Input(shape[1:], data_format="NHWC")
        y = op(x)
        yield Model(x, Add()(BatchNorm()(y), y), dtype=dtype, device="cpu", rewrite=rewrite, threads=threads, **options)


def images(case, dtype, **spoilt):
    x = 3 + np.random.default_rng(0).standard_normal(CASES[case][0])
    for value in spoilt.values():
        x[0, 0, 0, 0] = value
    return x.astype(dtype)


def test_the_cases_are_what_they_say():
    descriptions = {
        case: forward_convolution(replace(op, measures=True), "float32", shape) for case, (shape, op) in CASES.items()
    }
    assert isinstance(descriptions["winograd"], Winograd)
    records = {case: d.geometry[0] for case, d in descriptions.items()}
    assert records["rows of one image"]["strips_per_image"] > 1
    assert records["several images"]["strip_images"] > 1
    assert records["parts of the channels"]["parts"] > 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_sums_are_those_of_the_results(case, dtype):
    out, (counts, pivots, totals, squares) = measured(case, dtype)
    exact = out.reshape(-1, out.shape[-1]).astype(np.float64)
    assert (counts.sum(axis=0) == len(exact)).all()
    mean = exact.mean(axis=0)
    np.testing.assert_allclose((counts * pivots + totals).sum(axis=0) / len(exact), mean, rtol=1e-12, atol=1e-13)
    away = pivots - mean
    spread = (squares + away * (2 * totals + counts * away)).sum(axis=0) / len(exact)
    np.testing.assert_allclose(spread, exact.var(axis=0), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("case", [case for case in CASES if case != "one pixel, one image"])
def test_statistics_are_those_of_batch_norm(case, dtype, tolerance):
    outputs, states = [], []
    for model in both(case, dtype, data_format="NHWC"):
        outputs.append(model.forward(images(case, dtype), training=True))
        states.append(model.state_dict())
    assert distance(*outputs) <= tolerance
    for name, value in states[0].items():
        assert distance(value, states[1][name]) <= tolerance, name


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_channel(value):
    """A pivot that is not finite would spoil the distances of all; NaN and infinity reach their own channels alone."""
    outputs = [
        model.forward(images("groups", "float32", first=value), training=True, check_finite=False)
        for model in both("groups", "float32", data_format="NHWC")
    ]
    assert np.isnan(outputs[0]).any() and np.isfinite(outputs[0]).any()
    assert distance(*outputs) <= 1e-6


@pytest.mark.parametrize("case", ["winograd", "parts of the channels"])
def test_same_bits_for_any_number_of_threads(case):
    fused = [next(both(case, "float32", threads, data_format="NHWC")) for threads in (1, 2)]
    first, second = (model.forward(images(case, "float32"), training=True) for model in fused)
    assert first.tobytes() == second.tobytes()
