"""The exponential of vectors against NumPy's in longer formats, over all magnitudes and what is not finite."""

import numpy as np
import pytest
from numba import njit, types
from numba.extending import intrinsic

from nbconv.cpu.compile import OPTIONS
from nbconv.cpu.exponential import exponential
from nbconv.cpu.softmax import softmax_row
from nbconv.cpu.vector import HAS_FMA, lanes
from nbconv.cpu.vectors import Vectors, pointers

DTYPES = ["float32", "float64"]

house_njit = njit(**OPTIONS)  # with the liberties that kernels give to the compiler


@intrinsic
def exponential_at(typingctx, x, start, out):
    """Write the exponentials of one vector."""

    def generate(context, builder, signature, arguments):
        x_at, start, out_at = pointers(context, builder, signature, arguments)
        v = Vectors(context, builder, x.dtype)
        v.store([exponential(v, v.load(v.at(x_at, start))[0])], v.at(out_at, start))
        return context.get_dummy_value()

    return types.void(x, types.intp, out), generate


@house_njit
def run_exponential(x, step, out):
    for start in range(0, x.size, step):
        exponential_at(x, start, out)


@house_njit
def run_softmax(x, start, count, out):
    return softmax_row(x, start, count, out)


def exponentials(x):
    padded = np.concatenate([x, np.zeros(-len(x) % lanes(x.dtype), x.dtype)])
    out = np.full_like(padded, np.nan)
    run_exponential(padded, lanes(x.dtype), out)
    return out[: len(x)]


def longer(x):
    """Numbers in a format that shows how far others are off."""
    return x.astype(np.longdouble)


@pytest.mark.skipif(
    np.finfo(np.longdouble).nmant <= 52, reason="there is no format longer than float64 to compare with"
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_error_is_about_one_unit_in_the_last_place(dtype):
    rng, info = np.random.default_rng(0), np.finfo(dtype)
    low, high = np.log(info.tiny), np.log(info.max)
    x = np.concatenate([
        rng.uniform(low, high, 200_000), rng.uniform(-1, 1, 200_000), rng.uniform(-20, 0, 200_000),
        np.arange(low, high, 1) , np.arange(-100, 100) * np.log(2) / 2, [0.0, -0.0, info.tiny, -info.eps, high - 1],
    ]).astype(dtype)  # fmt: skip
    got, want = longer(exponentials(x)), np.exp(longer(x))
    unit = longer(np.spacing(want.astype(dtype)))
    assert (np.abs(got - want) / unit).max() < (1 if HAS_FMA else 1.25)


@pytest.mark.parametrize("dtype", DTYPES)
def test_small_results_are_rounded_to_subnormal_numbers(dtype):
    info = np.finfo(dtype)
    x = np.linspace(np.log(info.smallest_subnormal) - 3, np.log(info.tiny) + 1, 10_001).astype(dtype)
    with np.errstate(under="ignore"):
        want = np.exp(longer(x)).astype(dtype)
    assert (np.abs(exponentials(x) - want) <= np.spacing(want)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_finite_or_too_large_or_too_small(dtype):
    most, info = np.log(np.finfo(dtype).max), np.finfo(dtype)
    x = np.array([np.inf, -np.inf, np.nan, info.max, -info.max, most + 1, -2 * most, most * 0.999, 0, -0.0], dtype)
    with np.errstate(over="ignore", under="ignore"):
        want = np.exp(x)
    np.testing.assert_allclose(exponentials(x), want, rtol=4 * info.eps)
    assert exponentials(x)[-1] == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_a_row_touches_nothing_else(dtype):
    for count in range(1, 3 * lanes(dtype)):
        x = np.random.default_rng(count).standard_normal(count + 7).astype(dtype)
        out = np.full(count + 7, -777, dtype)
        largest, total = run_softmax(x, 3, count, out)
        row = x[3 : 3 + count].astype(np.float64)
        powers = np.exp(row - row.max())
        assert largest == row.max()
        assert total == pytest.approx(powers.sum(), rel=1e-6 if dtype == "float32" else 1e-14)
        np.testing.assert_allclose(
            out[3 : 3 + count], powers / powers.sum(), rtol=5e-7 if dtype == "float32" else 2e-15
        )
        assert (out[:3] == -777).all() and (out[3 + count :] == -777).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_softmax_of_what_has_none(dtype, bad):
    for place in 0, lanes(dtype), 2 * lanes(dtype):
        x = np.zeros(2 * lanes(dtype) + 1, dtype)
        x[place] = bad
        out = np.zeros_like(x)
        _, total = run_softmax(x, 0, x.size, out)
        assert np.isnan(total) and np.isnan(out).all()
