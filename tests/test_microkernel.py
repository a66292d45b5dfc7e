"""Register tiles against plain loops: every form, every number of columns, nothing touched beyond them."""

import numpy as np
import pytest
from numba import njit

from nbconv.cpu import microkernel as mk
from nbconv.cpu.vector import lanes

GUARD = -777.0


@njit
def run_wide(source, rows, first, offsets, packed, out, columns, relu):
    mk.wide_tile(source, 1, rows, first, offsets, packed, 0, out, 3, columns, relu)


@njit
def run_narrow(source, rows, first, offsets, packed, out, columns, relu):
    mk.narrow_tile(source, 1, rows, first, offsets, packed, 0, out, 3, columns, relu)


@njit
def run_channel(source, rows, first, offsets, packed, out, columns, relu):
    mk.channel_tile(source, 1, rows, first, offsets, packed, 0, out, 3, columns, relu)


@njit
def sum_wide(x, offsets, first, dy, runs, pixels, steps, columns, sums, slot):
    mk.wide_sum(x, 1, offsets, first, dy, 2, runs, len(runs), pixels, steps[0], steps[1], columns, sums, slot)


@njit
def sum_narrow(x, offsets, first, dy, runs, pixels, steps, columns, sums, slot):
    mk.narrow_sum(x, 1, offsets, first, dy, 2, runs, len(runs), pixels, steps[0], steps[1], columns, sums, slot)


@njit
def sum_run(x, offsets, first, dy, runs, pixels, steps, columns, sums, slot):
    mk.run_sum(x, 1, offsets, first, dy, 2, runs, len(runs), pixels, steps[0], steps[1], columns, sums, slot)


@njit
def sum_channel(x, offsets, first, dy, runs, pixels, steps, columns, sums, slot):
    mk.channel_sum(x, 1, offsets, first, dy, 2, runs, len(runs), pixels, steps[0], steps[1], columns, sums, slot)


PRODUCTS = {
    "wide": (run_wide, mk.ROWS, 2),
    "narrow": (run_narrow, mk.ROWS, 1),
    "channel": (run_channel, mk.ROWS, 1),
}
SUMS = {
    "wide": (sum_wide, mk.ROWS, 2),
    "narrow": (sum_narrow, mk.NARROW_ROWS, 1),
    "run": (sum_run, mk.RUN_ROWS, 1),
    "channel": (sum_channel, mk.NARROW_ROWS, 1),
}


def product_operands(form, dtype, products):
    """Return source, rows, offsets of products and a panel; rows lie anywhere, each once."""
    _, tile_rows, vectors = PRODUCTS[form]
    rng, width = np.random.default_rng(0), vectors * lanes(dtype)
    rows = np.stack([rng.permutation(40)[: tile_rows + 2], rng.permutation(40)[: tile_rows + 2] * width], axis=1)
    offsets = rng.integers(0, 100, products).astype(np.int32)
    packed = rng.standard_normal((1 + products, width)).astype(dtype)
    return rng.standard_normal(1 + 40 + 100 + width).astype(dtype), rows.astype(np.int64), offsets, packed


def plain_product(form, source, rows, offsets, packed, columns):
    """The values of all rows of a tile, one number at a time, in double precision."""
    values = np.tile(packed[0, :columns].astype("float64"), (len(rows), 1))
    for m, (start, _) in enumerate(rows):
        for k, offset in enumerate(offsets):
            for j in range(columns):
                read = 1 + start + offset + (j if form == "channel" else 0)
                values[m, j] += float(source[read]) * float(packed[1 + k, j])
    return values


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", PRODUCTS)
def test_product_tile(form, dtype, relu):
    call, _, vectors = PRODUCTS[form]
    source, rows, offsets, packed = product_operands(form, dtype, 12)
    for columns in range(1, vectors * lanes(dtype) + 1):
        out = np.full(3 + 40 * vectors * lanes(dtype), GUARD, dtype)
        call(source, rows, 2, offsets, packed.reshape(-1), out, columns, relu)
        want = np.full_like(out, GUARD)
        values = plain_product(form, source, rows[2:], offsets, packed, columns)
        for (_, start), value in zip(rows[2:], values, strict=True):
            want[3 + start : 3 + start + columns] = np.maximum(value, 0) if relu else value
        np.testing.assert_allclose(out, want, rtol=0, atol=60 * np.finfo(dtype).eps)
        np.testing.assert_array_equal(out == GUARD, want == GUARD)


@pytest.mark.parametrize("products", [0, 1, mk.CHAIN, mk.CHAIN + 1, 3 * mk.CHAIN + 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", PRODUCTS)
def test_any_number_of_products(form, dtype, products):
    call, _, vectors = PRODUCTS[form]
    source, rows, offsets, packed = product_operands(form, dtype, products)
    out = np.full(3 + 40 * vectors * lanes(dtype), GUARD, dtype)
    call(source, rows, 2, offsets, packed.reshape(-1), out, 2, False)
    got = np.array([out[3 + start : 3 + start + 2] for _, start in rows[2:]])
    want = plain_product(form, source, rows[2:], offsets, packed, 2)
    np.testing.assert_allclose(got, want, rtol=0, atol=(60 + products) * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", PRODUCTS)
def test_nan_passes_relu(form, dtype):
    call, _, vectors = PRODUCTS[form]
    source, rows, offsets, packed = product_operands(form, dtype, 1)
    source[:] = np.nan
    out = np.full(3 + 40 * vectors * lanes(dtype), GUARD, dtype)
    call(source, rows, 2, offsets, packed.reshape(-1), out, 1, True)
    assert np.isnan(out[out != GUARD]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", SUMS)
def test_last_columns_are_not_read_beyond(form, dtype):
    """What lies beyond the columns is NaN: it must not reach a sum, and a sum must not reach it."""
    call, tile_rows, vectors = SUMS[form]
    rng, width, pixels = np.random.default_rng(1), vectors * lanes(dtype), 5
    steps = 3, 2 * width
    offsets = rng.permutation(60)[: tile_rows + 1].astype(np.int64)
    if form == "run":
        offsets[1:] = np.arange(20, 20 + tile_rows)
    runs = np.array([[7, 0], [40, 2 * width * pixels]], np.int64)
    x = rng.standard_normal(1 + 60 + 40 + 3 * pixels + width).astype(dtype)
    for columns in range(1, width + 1):
        dy = np.full(2 + 4 * width * pixels, np.nan, dtype)
        want = rng.standard_normal((tile_rows, width)).astype(dtype)
        sums = np.full(4 + want.size + 4, GUARD, dtype)
        sums[4:-4] = want.reshape(-1)
        want = want.astype("float64")
        for x_start, dy_start in runs:
            for i in range(pixels):
                at = 2 + dy_start + i * steps[1]
                dy[at : at + columns] = rng.standard_normal(columns)
                for m, offset in enumerate(offsets[1:]):
                    read = 1 + offset + x_start + i * steps[0]
                    left = x[read : read + columns] if form == "channel" else x[read]
                    want[m, :columns] += left.astype("float64") * dy[at : at + columns]
        call(x, offsets, 1, dy, runs, pixels, steps, columns, sums, 4)
        np.testing.assert_allclose(sums[4:-4].reshape(want.shape), want, rtol=0, atol=60 * np.finfo(dtype).eps)
        assert (sums[:4] == GUARD).all() and (sums[-4:] == GUARD).all()
