"""Products with a few rows, and tiles over planes of pixels, against plain loops; nothing is touched beyond them."""

import numpy as np
import pytest
from numba import njit

from nbconv.cpu import few_rows, planar_tiles, plane_blocks, plane_pool
from nbconv.cpu.vector import lanes

GUARD = -777.0
DTYPES = ["float32", "float64"]


@njit
def add(weights, matrix, steps, size, onto, sums):
    few_rows.add_rows(weights, 1, matrix, 2, steps, size, onto, sums, 3)


@njit
def add_short(weights, matrix, steps, size, onto, sums):
    few_rows.add_short_rows(weights, 1, matrix, 2, steps, size, onto, sums, 3)


@njit
def dot(weights, matrix, step, size, sums):
    few_rows.dot_rows(weights, 1, matrix, 2, step, size, sums, 3)


@njit
def dot_short(weights, matrix, step, size, sums):
    few_rows.dot_short_rows(weights, 1, matrix, 2, step, size, sums, 3)


@njit
def eight(planes, offsets, some, packed, weights, results, place, onto, relu):
    planar_tiles.eight_columns(planes, 5, offsets, some, packed, weights, results, place, onto, relu)


@njit
def four(planes, offsets, some, packed, weights, results, place, onto, relu):
    planar_tiles.four_columns(planes, 5, offsets, some, packed, weights, results, place, onto, relu)


@njit
def three(planes, offsets, some, packed, weights, results, place, onto, relu):
    planar_tiles.three_columns(planes, 5, offsets, some, packed, weights, results, place, onto, relu)


@njit
def one(planes, offsets, some, packed, weights, results, place, onto, relu):
    planar_tiles.one_column(planes, 5, offsets, some, packed, weights, results, place, onto, relu)


@njit
def sum_tile(planes, offsets, gradients, plane, count, sums):
    planar_tiles.sum_pixels(planes, offsets, 1, gradients, 2, plane, count, sums, 3)


@njit
def pool(plane, line, size, out, argmax):
    plane_pool.pool_pixels(plane, 1, line, size, out, argmax, 2)


@njit
def unpool(dy, argmax, windows, size, plane, line):
    plane_pool.unpool_pixels(dy, argmax, 2, windows, size, plane, 1, line)


@njit
def split_bytes(source, plane, channels, target):
    plane_blocks.split_bytes(source, 1, plane, channels, target, 2)


@njit
def join_bytes(source, plane, channels, target):
    plane_blocks.join_bytes(source, 2, plane, channels, target, 1)


@njit
def split(source, step, size, target, plane):
    plane_blocks.split_pixels(source, 1, step, size, target, 2, plane)


@njit
def join(source, plane, size, target, step):
    plane_blocks.join_planes(source, 1, plane, size, target, 2, step)


@pytest.mark.parametrize("onto", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("call", [add, add_short])
def test_add_rows(call, dtype, onto):
    """What lies between rows of the matrix is NaN: only columns are read."""
    rng, depth = np.random.default_rng(0), 5
    weights = rng.standard_normal(1 + 3 * depth).astype(dtype)
    for columns in range(1, 4 * lanes(dtype) + 3):
        rows, step = rng.standard_normal((depth, columns)).astype(dtype), columns + 2
        matrix = np.full(2 + depth * step, np.nan, dtype)
        sums = np.full(3 + columns + 4, GUARD, dtype)
        sums[3:-4] = rng.standard_normal(columns) if onto else np.nan
        want = (sums[3:-4] if onto else 0) + weights[1::3][:depth].astype("float64") @ rows
        for k, row in enumerate(rows):
            matrix[2 + k * step : 2 + k * step + columns] = row
        call(weights, matrix, (3, step), (depth, columns), onto, sums)
        np.testing.assert_allclose(sums[3:-4], want, rtol=0, atol=40 * np.finfo(dtype).eps)
        assert (sums[:3] == GUARD).all() and (sums[-4:] == GUARD).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("call", [dot, dot_short])
def test_dot_rows(call, dtype):
    rng, depth = np.random.default_rng(0), 5
    for columns in range(1, 4 * lanes(dtype) + 3):
        rows, step = rng.standard_normal((depth, columns)).astype(dtype), columns + 2
        weights = np.concatenate([[np.nan], rng.standard_normal(columns), [np.nan]]).astype(dtype)
        matrix = np.full(2 + depth * step, np.nan, dtype)
        for k, row in enumerate(rows):
            matrix[2 + k * step : 2 + k * step + columns] = row
        sums = np.full(3 + depth + 4, GUARD, dtype)
        sums[3:-4] = rng.standard_normal(depth)
        want = sums[3:-4] + rows.astype("float64") @ weights[1:-1]
        call(weights, matrix, step, (depth, columns), sums)
        np.testing.assert_allclose(sums[3:-4], want, rtol=0, atol=200 * np.finfo(dtype).eps)
        assert (sums[:3] == GUARD).all() and (sums[-4:] == GUARD).all()


@pytest.mark.parametrize("onto", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("call, columns", [(eight, 8), (four, 4), (three, 3), (one, 1)])
def test_columns_of_pixels(call, columns, dtype, relu, onto):
    rng, pixels, products, width = np.random.default_rng(0), planar_tiles.tile_vectors(columns) * lanes(dtype), 9, 11
    offsets = rng.integers(0, 50, products).astype(np.int32)
    planes = rng.standard_normal(5 + 50 + pixels).astype(dtype)
    packed = rng.standard_normal((1 + products, width)).astype(dtype)
    plane = pixels + 3
    results = np.full(2 + columns * plane, GUARD, dtype)
    want = results.astype("float64")
    for j in range(columns):
        here = slice(2 + j * plane, 2 + j * plane + pixels)
        results[here] = rng.standard_normal(pixels) if onto else np.nan
        want[here] = results[here] if onto else packed[0, 1 + j]
        for k in range(2, products):
            at = 5 + offsets[k]
            want[here] += planes[at : at + pixels].astype("float64") * packed[1 + k, 1 + j]
        want[here] = np.maximum(want[here], 0) if relu else want[here]
    call(planes, offsets, (2, products), packed.reshape(-1), (1, width), results, (2, plane), onto, relu)
    np.testing.assert_allclose(results, want, rtol=0, atol=60 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(results == GUARD, want == GUARD)


@pytest.mark.parametrize("gap", [0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pixels_to_planes_and_back(dtype, gap):
    """Every size; in the image, what lies between pixels and around them is neither read nor written."""
    most = lanes(dtype)
    for pixels in range(1, most + 1):
        for channels in range(1, most + 1):
            step, plane = channels + gap, most + 3
            image = np.full((pixels, step), np.nan, dtype)
            image[:, :channels] = np.arange(1, pixels * channels + 1).reshape(pixels, channels)
            planes, want = (np.full(2 + channels * plane, GUARD, dtype) for _ in range(2))
            by_plane = want[2:].reshape(channels, plane)
            by_plane[:, :most], by_plane[:, :pixels] = 0, image[:, :channels].T
            flat = np.concatenate([[np.nan], image.reshape(-1)[: pixels * step - gap]]).astype(dtype)
            split(flat, step, (pixels, channels), planes, plane)
            np.testing.assert_array_equal(planes, want)
            by_plane[:, pixels:most] = np.nan
            back = np.full(2 + pixels * step + most, GUARD, dtype)
            join(want[1:], plane, (pixels, channels), back, step)
            np.testing.assert_array_equal(
                back[2 : 2 + pixels * step].reshape(pixels, step)[:, :channels], by_plane.T[:pixels]
            )
            back[2 : 2 + pixels * step].reshape(pixels, step)[:, :channels] = GUARD
            assert (back == GUARD).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 8, 16])
def test_bytes_to_planes_and_back(channels):
    image = np.random.default_rng(0).integers(0, 256, 1 + 16 * channels + 1).astype(np.uint8)
    planes = np.full(2 + 19 * channels, 7, np.uint8)
    split_bytes(image, 19, channels, planes)
    by_plane = planes[2:].reshape(channels, 19)
    np.testing.assert_array_equal(by_plane[:, :16], image[1:-1].reshape(16, channels).T)
    assert (by_plane[:, 16:] == 7).all()
    back = image.copy()
    back[1:-1] = 0
    join_bytes(planes, 19, channels, back)
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_of_pixels(dtype):
    rng, rows, columns, count = np.random.default_rng(0), planar_tiles.SUM_ROWS, planar_tiles.SUM_COLUMNS, 3
    pixels, offsets = count * lanes(dtype), rng.integers(0, 40, planar_tiles.SUM_ROWS + 1)
    planes, gradients = (rng.standard_normal(n).astype(dtype) for n in (40 + pixels, 2 + columns * (pixels + 5)))
    sums = rng.standard_normal(3 + (rows + 1) * columns * lanes(dtype) + 2).astype(dtype)
    want = sums.astype("float64")
    for j in range(columns):
        dy = gradients[2 + j * (pixels + 5) :][:pixels].astype("float64")
        for m in range(rows + 1):
            x = planes[offsets[1 + m] :][:pixels] if m < rows else 1
            at = 3 + (m * columns + j) * lanes(dtype)
            want[at : at + lanes(dtype)] += (x * dy).reshape(count, -1).sum(0)
    sum_tile(planes, offsets, gradients, pixels + 5, count, sums)
    np.testing.assert_allclose(sums, want, rtol=0, atol=60 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [2, 3])
def test_pool_in_planes_and_the_way_back(size, dtype):
    """Ties go to the first, NaN wins; past the last window, zeros come back."""
    if size > lanes(dtype):
        pytest.skip("a vector has less than a window's pixels")
    count, line = lanes(dtype), size * lanes(dtype) + 3
    rng = np.random.default_rng(0)
    image = rng.integers(-1, 2, (size, line)).astype(dtype)
    image[rng.random(image.shape) < 0.1] = np.nan
    windows = image[:, : size * count].reshape(size, count, size).transpose(1, 0, 2).reshape(count, -1)
    best = np.where(np.isnan(windows), np.inf, windows).argmax(1)
    out, argmax = np.full(2 + count, GUARD, dtype), np.full(2 + count, 99, np.uint8)
    pool(np.concatenate([[GUARD], image.reshape(-1)]).astype(dtype), line, size, out, argmax)
    np.testing.assert_array_equal(argmax[2:], best)
    np.testing.assert_array_equal(out[2:], windows[np.arange(count), best])
    dy, some = np.arange(2 + count).astype(dtype), count - 1
    plane, want = np.full(1 + size * line, GUARD, dtype), np.zeros((count, size * size), dtype)
    want[np.arange(some), best[:some]] = dy[2 : 2 + some]
    unpool(dy, argmax, some, size, plane, line)
    got = plane[1:].reshape(size, line)
    back = want.reshape(count, size, size).transpose(1, 0, 2).reshape(size, -1)
    np.testing.assert_array_equal(got[:, : size * count], back)
    assert (got[:, size * count :] == GUARD).all()
