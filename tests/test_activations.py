"""Sigmoid, tanh and softmax to the last digits, and the logarithm under them, against NumPy's longest format."""

import numpy as np
import pytest
from devices import DEVICES
from numba import njit, types
from numba.extending import intrinsic
from running import Bound, Case

from nbconv import LogSoftmax, Sigmoid, Softmax, Tanh
from nbconv.cpu.compile import OPTIONS, exact_helper
from nbconv.cpu.logarithm import logarithm

DTYPES = ["float32", "float64"]
NAN, INF = np.nan, np.inf

on_every_device = pytest.mark.parametrize("device", DEVICES)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
needs_a_longer_format = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant <= 52, reason="there is no format longer than float64 to compare with"
)


def result(op, x, device, dtype):
    x = np.asarray(x, dtype)
    return Bound(Case(op, x.shape), device, dtype, given={"x": x}).forward()["out"]


def units(got, want):
    """How far numbers are off, in units of the last place; ``want`` is in the longest format."""
    with np.errstate(under="ignore"):
        return np.abs(got - want) / np.spacing(np.abs(want).astype(got.dtype))


def all_magnitudes(dtype):
    rng, info = np.random.default_rng(0), np.finfo(dtype)
    small = 10 ** rng.uniform(np.log10(info.tiny), 0, 20_000)
    special = [0.0, info.tiny, info.smallest_subnormal, info.max, 1e3]
    x = np.concatenate(
        [rng.uniform(0, 100, 50_000), rng.uniform(0, 9, 50_000), rng.uniform(0, 1, 20_000), small, special]
    )
    return np.concatenate([x, -x]).astype(dtype)[None]


@needs_a_longer_format
@on_every_device
@both_dtypes
def test_sigmoid_is_exact_to_the_last_digits(device, dtype):
    x = all_magnitudes(dtype)
    with np.errstate(under="ignore"):
        power = np.exp(-np.abs(x.astype(np.longdouble)))
    want = np.where(x >= 0, 1, power) / (1 + power)
    assert units(result(Sigmoid(), x, device, dtype), want).max() < 3


@needs_a_longer_format
@on_every_device
@both_dtypes
def test_tanh_is_exact_to_the_last_digits(device, dtype):
    """Also of the smallest numbers, where exp(x) - exp(-x) would have no digit right."""
    x = all_magnitudes(dtype)
    assert units(result(Tanh(), x, device, dtype), np.tanh(x.astype(np.longdouble))).max() < 3


@on_every_device
@both_dtypes
def test_limits(device, dtype):
    x = [[1e3, -1e3, INF, -INF, NAN, 0.0]]
    np.testing.assert_array_equal(result(Sigmoid(), x, device, dtype), [[1, 0, 1, 0, NAN, 0.5]])
    np.testing.assert_array_equal(result(Tanh(), x, device, dtype), [[1, -1, 1, -1, NAN, 0]])
    assert np.signbit(result(Tanh(), [[0.0, -0.0]], device, dtype)).tolist() == [[False, True]]


ROWS = {
    "equal": ([0.0, 0.0, 0.0, 0.0], [0.25] * 4),
    "equal and large": ([-3e4] * 4, [0.25] * 4),
    "-inf": ([-INF, 2.0, -INF, 2.0], [0, 0.5, 0, 0.5]),
    "one left": ([-INF, -INF, -7.0, -INF], [0, 0, 1, 0]),
    "far apart": ([1e4, -1e4, 1e4, 0.0], [0.5, 0, 0.5, 0]),
    "nothing but -inf": ([-INF] * 4, [NAN] * 4),
    "inf": ([INF, 0.0, -INF, 0.0], [NAN] * 4),
    "nan": ([0.0, 0.0, 0.0, NAN], [NAN] * 4),
}


@on_every_device
@both_dtypes
@pytest.mark.parametrize("repeats", [1, 9, 40], ids="{}x".format)
@pytest.mark.parametrize("kind", ROWS)
def test_softmax_of_rows(kind, repeats, device, dtype):
    """Short rows and long ones, many and few of them; what a row holds stays in it."""
    row, want = (np.repeat(values, repeats) for values in ROWS[kind])
    x, rtol = np.tile([np.ones(4 * repeats), row], (40, 1)), 2e-7 if dtype == "float32" else 1e-15
    out, logarithms = (result(op, x, device, dtype) for op in (Softmax(), LogSoftmax()))
    np.testing.assert_allclose(out[::2], 0.25 / repeats, rtol=rtol)
    np.testing.assert_allclose(logarithms[::2], np.log(0.25 / repeats), rtol=rtol)
    np.testing.assert_allclose(out[1::2], np.tile(want / repeats, (40, 1)), rtol=rtol)
    if np.isnan(want).any():
        assert np.isnan(logarithms[1::2]).all()
    else:
        gaps = row - row.max() - np.log((row == row.max()).sum())
        np.testing.assert_allclose(logarithms[1::2], np.tile(gaps, (40, 1)), rtol=rtol)


@on_every_device
def test_log_softmax_keeps_the_digits_of_a_certain_class(device):
    """-log(1 + exp(-20)) is about -2e-9: a logarithm of the probability in float32 would be zero."""
    out = result(LogSoftmax(), [[0.0, -20.0]], device, "float32")
    np.testing.assert_allclose(out, [[-np.log1p(np.exp(-20)), -20]], rtol=2e-7)


@intrinsic
def logarithm_of(typingctx, x):
    def generate(context, builder, signature, arguments):
        return logarithm(builder, arguments[0])

    return types.float64(types.float64), generate


@exact_helper
def exact_logarithm(x):
    return logarithm_of(x)


@njit(**OPTIONS)
def run_logarithm(x, out):
    for i in range(x.size):
        out[i] = exact_logarithm(x[i])


@needs_a_longer_format
def test_logarithm_is_exact_to_the_last_digits():
    rng = np.random.default_rng(0)
    magnitudes = 10 ** rng.uniform(-300, 300, 100_000), 1 + 10 ** rng.uniform(-16, 0, 100_000)
    x = np.concatenate([*magnitudes, rng.uniform(0.3, 3, 100_000), rng.uniform(1, 1000, 100_000), [1.0, 2.0, 0.5]])
    out = np.empty_like(x)
    run_logarithm(x, out)
    assert units(out, np.log(x.astype(np.longdouble))).max() < 2.5
    run_logarithm(np.array([NAN, 1.0]), out)
    assert np.isnan(out[0]) and out[1] == 0
