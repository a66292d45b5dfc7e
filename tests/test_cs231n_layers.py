"""The course's functions on arrays of every kind, against the naive ones, and what they say of what does not fit."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from devices import DEVICES

import nbconv as nc
from nbconv.compat import cs231n
from nbconv.compat.cs231n.arrays import dense
from nbconv.compat.cs231n.kernels import Kernel, Pool
from nbconv.errors import DataError, OptionError, ShapeError
from nbconv.ops.activation import ReLU

RNG = np.random.default_rng(0)
CONV = {"stride": 2, "pad": 1}
POOL = {"pool_height": 2, "pool_width": 2, "stride": 2}
X, W, B = RNG.standard_normal((2, 3, 6, 7)), RNG.standard_normal((4, 3, 3, 2)), RNG.standard_normal(4)
ROWS, LABELS = RNG.standard_normal((5, 4)), np.array([0, 3, 1, 1, 2])

on_every_device = pytest.mark.parametrize("device", DEVICES)

SHAPES = [
    ((2, 3, 9, 8), (5, 3, 3, 4), 2, 1),
    ((1, 1, 1, 1), (1, 1, 1, 1), 1, 0),
    ((3, 17, 5, 6), (17, 17, 2, 3), 1, 2),
    ((2, 1, 7, 4), (6, 1, 7, 1), 3, 0),
    ((1, 4, 6, 6), (3, 4, 5, 5), 4, 3),
]


@on_every_device
@pytest.mark.parametrize("method", ["fast", "im2col", "strides"])
@pytest.mark.parametrize("x_shape, w_shape, stride, pad", SHAPES)
@pytest.mark.parametrize("dtype, level", [("float64", 1e-13), ("float32", 2e-6)])
def test_convolution_is_the_naive_one(device, method, x_shape, w_shape, stride, pad, dtype, level):
    rng, param = np.random.default_rng(1), {"stride": stride, "pad": pad}
    x, w, b = (rng.standard_normal(s).astype(dtype) for s in (x_shape, w_shape, w_shape[:1]))
    want, cache = cs231n.conv_forward_naive(*(a.astype(np.float64) for a in (x, w, b)), param)
    dout = rng.standard_normal(want.shape).astype(dtype)
    forward, backward = (getattr(cs231n, f"conv_{way}_{method}") for way in ("forward", "backward"))
    out, fast_cache = forward(x, w, b, param, device=device)
    assert fast_cache[0] is x and fast_cache[3] is param and out.dtype == dtype
    wanted = [want, *cs231n.conv_backward_naive(dout.astype(np.float64), cache)]
    for got, want in zip([out, *backward(dout, fast_cache, device=device)], wanted, strict=True):
        assert got.shape == want.shape and got.dtype == dtype
        assert np.abs(got - want).max() <= level * np.abs(want).max()


def arrangements(x):
    """The same numbers, in memory in every way."""
    read_only = x.copy()
    read_only.flags.writeable = False
    yield from (x.tolist(), np.asfortranarray(x), read_only, x.astype(x.dtype.newbyteorder()))
    yield x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    yield np.repeat(x, 2, axis=3)[..., ::2]
    yield x[::-1].copy()[::-1]
    yield np.frombuffer(b"\0" + x.tobytes(), x.dtype, offset=1).reshape(x.shape)


@on_every_device
@pytest.mark.parametrize("index", range(8))
def test_arrays_may_lie_in_memory_in_any_way(device, index):
    x, w = list(arrangements(X))[index], list(arrangements(W))[index]
    out, cache = cs231n.conv_relu_pool_forward(X, W, B, CONV, POOL, device=device)
    again, again_cache = cs231n.conv_relu_pool_forward(x, w, B, CONV, POOL, device=device)
    np.testing.assert_array_equal(again, out)
    dout = np.random.default_rng(1).standard_normal(out.shape)
    wanted = cs231n.conv_relu_pool_backward(dout, cache, device=device)
    given = list(arrangements(dout))[index]
    for got, want in zip(cs231n.conv_relu_pool_backward(given, again_cache, device=device), wanted, strict=True):
        np.testing.assert_array_equal(got, want)
    norm = cs231n.spatial_batchnorm_forward(X, B[:3], B[:3], {"mode": "train"}, device=device)[0]
    same = cs231n.spatial_batchnorm_forward(x, B[:3], B[:3], {"mode": "train"}, device=device)[0]
    np.testing.assert_array_equal(same, norm)


@pytest.mark.parametrize("index", range(1, 8))
def test_kernels_see_one_kind_of_memory(index):
    """Anything else would be compiled for again."""
    array = dense(np.asarray(list(arrangements(X))[index]).astype(float, copy=False))
    assert array.flags.c_contiguous and array.flags.behaved
    assert dense(array) is array


@pytest.mark.parametrize("dtype, result", [("int64", "float64"), ("uint8", "float64"), ("bool", "float64")])
def test_integers_are_numbers(dtype, result):
    x = (np.abs(X) * 3).astype(dtype)
    out, _ = cs231n.conv_forward_fast(x, x[:, :, :2, :2], [1, 2], {"stride": 1, "pad": 0})
    want, _ = cs231n.conv_forward_naive(x.astype(float), x[:, :, :2, :2].astype(float), [1, 2], {"stride": 1, "pad": 0})
    assert out.dtype == result
    np.testing.assert_array_equal(out, want)


def test_dtypes_are_promoted_as_numpy_does():
    kinds = [("float32", "float32", "float32"), ("float16", "float16", "float32"), ("float32", "float64", "float64")]
    for x_dtype, w_dtype, result in kinds:
        out, cache = cs231n.conv_forward_fast(X.astype(x_dtype), W.astype(w_dtype), B.astype(w_dtype), CONV)
        assert out.dtype == result
        assert {d.dtype.name for d in cs231n.conv_backward_fast(np.ones(out.shape, int), cache)} == {result}


def test_results_are_new_arrays():
    first, cache = cs231n.conv_relu_pool_forward(X, W, B, CONV, POOL)
    kept, x = first.copy(), X.copy()
    gradients = cs231n.conv_relu_pool_backward(kept, cache)
    copies = [g.copy() for g in gradients]
    for _ in range(3):
        out, other = cs231n.conv_relu_pool_forward(-X, W, B, CONV, POOL)
        out[...] = 7
        for gradient in cs231n.conv_relu_pool_backward(-kept, other):
            gradient[...] = 7
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(X, x)
    for gradient, copy in zip(gradients, copies, strict=True):
        np.testing.assert_array_equal(gradient, copy)


def test_backward_does_not_change_the_cache():
    for forward, backward, given in [
        (cs231n.max_pool_forward_fast, cs231n.max_pool_backward_fast, (X[..., :6], POOL)),
        (cs231n.batchnorm_forward, cs231n.batchnorm_backward, (ROWS, B, B, {"mode": "train"})),
        (cs231n.layernorm_forward, cs231n.layernorm_backward, (ROWS, B, B, {})),
        (cs231n.affine_relu_forward, cs231n.affine_relu_backward, (ROWS, ROWS[:4], B)),
    ]:
        out, cache = forward(*given)
        once, twice = backward(out, cache), backward(out, cache)
        for a, b in zip(once, twice, strict=True):
            np.testing.assert_array_equal(a, b)


# Max pooling


@on_every_device
def test_equal_maxima_share_where_windows_tile(device):
    x = np.array([[1.0, 1, 5, 0], [1, 1, 0, 5], [2, 3, 4, 4], [3, 3, 0, 4]])[None, None]
    dout = np.array([[12.0, 6], [9, 3]])[None, None]
    wanted = [[3, 3, 3, 0], [3, 3, 0, 3], [0, 3, 1, 1], [3, 3, 0, 1]]
    out, cache = cs231n.max_pool_forward_fast(x, POOL, device=device)
    assert cache[0] == "reshape" and out.tolist() == [[[[1, 5], [3, 4]]]]
    assert cs231n.max_pool_backward_fast(dout, cache, device=device)[0, 0].tolist() == wanted
    assert cs231n.max_pool_backward_naive(dout, (x, POOL))[0, 0].tolist() == wanted


@on_every_device
def test_the_first_maximum_has_all_where_windows_overlap(device):
    x, param = np.zeros((1, 1, 3, 3)), {"pool_height": 2, "pool_width": 2, "stride": 1}
    out, cache = cs231n.max_pool_forward_fast(x, param, device=device)
    assert cache[0] == "im2col"
    dx = cs231n.max_pool_backward_fast(np.ones(out.shape), cache, device=device)
    assert dx[0, 0].tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    shared = cs231n.max_pool_backward_naive(np.ones(out.shape), (x, param))
    assert shared[0, 0].tolist() == [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]


@on_every_device
@pytest.mark.parametrize("height, width, stride", [(2, 2, 2), (3, 3, 3), (1, 1, 1), (3, 2, 2), (2, 2, 3), (2, 3, 1)])
def test_pooling_is_the_naive_one(device, height, width, stride):
    x, param = RNG.permutation(2 * 3 * 6 * 9).reshape(2, 3, 6, 9).astype(float), {"stride": stride}
    param |= {"pool_height": height, "pool_width": width}
    out, cache = cs231n.max_pool_forward_fast(x, param, device=device)
    want, naive = cs231n.max_pool_forward_naive(x, param)
    np.testing.assert_array_equal(out, want)
    dout = RNG.standard_normal(out.shape)
    dx = cs231n.max_pool_backward_fast(dout, cache, device=device)
    np.testing.assert_allclose(dx, cs231n.max_pool_backward_naive(dout, naive), atol=1e-15)


@on_every_device
def test_a_window_with_nan_has_no_maximum(device):
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    x[0, 0, 0, 1] = np.nan
    out, cache = cs231n.max_pool_forward_fast(x, POOL, device=device)
    assert np.isnan(out[0, 0, 0, 0]) and out[0, 0].ravel()[1:].tolist() == [7, 13, 15]
    for dx in (
        cs231n.max_pool_backward_fast(np.ones(out.shape), cache, device=device),
        cs231n.max_pool_backward_naive(np.ones(out.shape), (x, POOL)),
    ):
        assert np.isnan(dx[0, 0, :2, :2]).all() and dx[0, 0, 2:].tolist() == [[0, 0, 0, 0], [0, 1, 0, 1]]


# Fully connected layers, ReLU, dropout


@on_every_device
def test_affine_takes_samples_of_any_shape(device):
    x, w = RNG.standard_normal((3, 2, 5, 4)), RNG.standard_normal((40, 6))
    out, cache = cs231n.affine_forward(x, w, np.arange(6), device=device)
    np.testing.assert_allclose(out, x.reshape(3, -1) @ w + np.arange(6), rtol=1e-12)
    dx, dw, db = cs231n.affine_backward(out, cache, device=device)
    np.testing.assert_allclose(dx, (out @ w.T).reshape(x.shape), rtol=1e-12)
    np.testing.assert_allclose(dw, x.reshape(3, -1).T @ out, rtol=1e-12)
    np.testing.assert_allclose(db, out.sum(axis=0), rtol=1e-12)
    last = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(cs231n.affine_forward(last, w, np.arange(6), device=device)[0], out)


@on_every_device
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (2, 3, 4, 5, 2)])
def test_relu_takes_any_shape(device, shape):
    x, dout = RNG.standard_normal((2, *shape))
    for given in (x, np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2]):
        out, cache = cs231n.relu_forward(given, device=device)
        np.testing.assert_array_equal(out, np.maximum(x, 0))
        np.testing.assert_array_equal(cs231n.relu_backward(dout, cache, device=device), np.where(x > 0, dout, 0))


def test_dropout_draws_as_the_course_does():
    np.random.seed(3)  # noqa: NPY002
    mask = (np.random.rand(4, 6) < 0.7) / 0.7  # noqa: NPY002
    out, cache = cs231n.dropout_forward(np.full((4, 6), 2.0), {"mode": "train", "p": 0.7, "seed": 3})
    np.testing.assert_array_equal(out, 2 * mask)
    np.testing.assert_array_equal(cache[1], mask)
    np.random.seed(3)  # noqa: NPY002
    np.testing.assert_array_equal(cs231n.dropout_forward(np.ones((4, 6)), {"mode": "train", "p": 0.7})[0], mask)
    x = np.ones((2, 2), np.float32)
    assert cs231n.dropout_forward(x, {"mode": "train", "p": 0.5})[0].dtype == np.float32
    out, cache = cs231n.dropout_forward(x, {"mode": "test", "p": 0.5})
    assert cache[1] is None and not np.shares_memory(out, x)
    np.testing.assert_array_equal(cs231n.dropout_backward(3 * x, cache), 3 * x)


# Normalisation


@on_every_device
def test_running_statistics_are_the_courses(device):
    x, old_mean, old_var = RNG.standard_normal((6, 3)), np.arange(3.0), np.arange(1.0, 4)
    param = {"mode": "train", "momentum": 0.75, "running_mean": old_mean, "running_var": old_var}
    cs231n.batchnorm_forward(x, np.ones(3), np.zeros(3), param, device=device)
    np.testing.assert_allclose(param["running_mean"], 0.75 * old_mean + 0.25 * x.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(param["running_var"], 0.75 * old_var + 0.25 * x.var(axis=0), rtol=1e-14)
    assert old_mean.tolist() == [0, 1, 2] and old_var.tolist() == [1, 2, 3]
    first = {"mode": "train"}
    cs231n.batchnorm_forward(x, np.ones(3), np.zeros(3), first, device=device)
    np.testing.assert_allclose(first["running_var"], 0.1 * x.var(axis=0), rtol=1e-14)
    test = {"mode": "test", "eps": 0.5, "running_mean": old_mean, "running_var": old_var}
    out, _ = cs231n.batchnorm_forward(x, np.full(3, 2.0), np.ones(3), test, device=device)
    np.testing.assert_allclose(out, 2 * (x - old_mean) / np.sqrt(old_var + 0.5) + 1, atol=1e-14)


@on_every_device
def test_a_batch_of_one_has_variance_zero(device):
    param = {"mode": "train"}
    out, cache = cs231n.batchnorm_forward(ROWS[:1], np.ones(4), np.arange(4.0), param, device=device)
    np.testing.assert_allclose(out, [[0, 1, 2, 3]], atol=1e-15)
    np.testing.assert_allclose(param["running_mean"], 0.1 * ROWS[0], rtol=1e-14)
    np.testing.assert_allclose(param["running_var"], 0, atol=1e-15)
    dx, dgamma, dbeta = cs231n.batchnorm_backward(ROWS[:1], cache, device=device)
    np.testing.assert_allclose([dx[0], dgamma, dbeta], [0 * dgamma, 0 * dgamma, ROWS[0]], atol=1e-13)


@on_every_device
def test_a_statistic_that_is_not_finite_shows(device):
    x, param = ROWS.copy(), {"mode": "train"}
    x[1, 2] = np.nan
    out, _ = cs231n.batchnorm_forward(x, np.ones(4), np.zeros(4), param, device=device)
    assert np.isnan(out).all(axis=0).tolist() == [False, False, True, False]
    for name in ("running_mean", "running_var"):
        assert np.isnan(param[name]).tolist() == [False, False, True, False]


@on_every_device
def test_norms_of_images_by_formula(device):
    x, gamma, beta = RNG.standard_normal((2, 6, 4, 3)) * 3 + 1, RNG.random(6), RNG.random(6)
    param = {"mode": "train"}
    out, _ = cs231n.spatial_batchnorm_forward(x, gamma, beta, param, device=device)
    rows = x.transpose(0, 2, 3, 1).reshape(-1, 6)
    want, _ = cs231n.batchnorm_forward(rows, gamma, beta, {"mode": "train"})
    np.testing.assert_allclose(out, want.reshape(2, 4, 3, 6).transpose(0, 3, 1, 2), atol=1e-14)
    np.testing.assert_allclose(param["running_var"], 0.1 * rows.var(axis=0), rtol=1e-13)
    scale, shift = (a.reshape(1, 6, 1, 1) for a in (gamma, beta))
    for groups in (1, 2, 3, 6):
        out, cache = cs231n.spatial_groupnorm_forward(x, scale, shift, groups, {"eps": 0.1}, device=device)
        g = x.reshape(2, groups, -1)
        normalized = (g - g.mean(axis=2, keepdims=True)) / np.sqrt(g.var(axis=2, keepdims=True) + 0.1)
        np.testing.assert_allclose(out, normalized.reshape(x.shape) * scale + shift, atol=1e-13)
        _, dgamma, dbeta = cs231n.spatial_groupnorm_backward(x, cache, device=device)
        np.testing.assert_allclose(dgamma, (x * normalized.reshape(x.shape)).sum((0, 2, 3), keepdims=True), rtol=1e-11)
        np.testing.assert_allclose(dbeta, x.sum(axis=(0, 2, 3), keepdims=True), rtol=1e-11)


@on_every_device
def test_layer_norm_by_formula(device):
    out, cache = cs231n.layernorm_forward(ROWS, B, B, {"eps": 0.1}, device=device)
    normalized = (ROWS - ROWS.mean(axis=1, keepdims=True)) / np.sqrt(ROWS.var(axis=1, keepdims=True) + 0.1)
    np.testing.assert_allclose(out, normalized * B + B, atol=1e-14)
    _, dgamma, dbeta = cs231n.layernorm_backward(ROWS, cache, device=device)
    np.testing.assert_allclose(dgamma, (ROWS * normalized).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(dbeta, ROWS.sum(axis=0), rtol=1e-12)


# Losses


@on_every_device
def test_losses_by_hand(device):
    x, y = np.array([[3.0, 2.5, 1.0], [0.0, 0.0, 0.0]]), [0, 2]
    loss, dx = cs231n.svm_loss(x, y, device=device)  # margins 0.5 and -1; 1 and 1
    assert loss == 1.25 and dx.tolist() == [[-0.5, 0.5, 0], [0.5, 0.5, -1]]
    loss, dx = cs231n.softmax_loss(np.log([[1.0, 2, 1], [1, 1, 6]]), [1, 0], device=device)
    assert loss == pytest.approx((np.log(2) + np.log(8)) / 2)
    np.testing.assert_allclose(dx, [[0.125, -0.25, 0.125], [-0.4375, 0.0625, 0.375]], atol=1e-15)


# im2col


def test_im2col_of_alexnets_first_layer():
    x, w = RNG.standard_normal((1, 3, 227, 227)), RNG.standard_normal((96, 3, 11, 11))
    cols = cs231n.im2col(x, 11, 11, padding=0, stride=4)
    assert cols.shape == (363, 3025)
    out = (w.reshape(96, -1) @ cols).reshape(96, 55, 55)
    fast, _ = cs231n.conv_forward_fast(x, w, np.zeros(96), {"stride": 4, "pad": 0})
    assert fast.shape == (1, 96, 55, 55)
    np.testing.assert_allclose(fast[0], out, atol=1e-11)


def test_a_column_is_a_window():
    cols = cs231n.im2col_indices(X, 3, 2, padding=1, stride=2)
    padded = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))
    places = [(i, j, n) for i in range(3) for j in range(4) for n in range(2)]
    assert cols.shape == (3 * 3 * 2, len(places))
    for column, (i, j, n) in zip(cols.T, places, strict=True):
        np.testing.assert_array_equal(column, padded[n, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 2].ravel())


@pytest.mark.parametrize("padding, stride", [(0, 1), (1, 2), (2, 3)])
def test_col2im_is_the_transpose_of_im2col(padding, stride):
    cols = cs231n.im2col_indices(X, 3, 2, padding, stride)
    other = RNG.standard_normal(cols.shape)
    back = cs231n.col2im_indices(other, X.shape, 3, 2, padding, stride)
    assert back.shape == X.shape
    assert (cols * other).sum() == pytest.approx((X * back).sum(), rel=1e-12)


# Working memory


def test_the_pool_is_bounded():
    pool = Pool(most_bytes=1000, most_kept=3)
    kernels = [Kernel(ReLU(), "float64", "cpu", [(1, n)]) for n in range(1, 6)]
    for n, kernel in enumerate(kernels):
        kernel.nbytes = 300
        pool.give((n,), kernel)
    assert (pool.kept, pool.nbytes) == (3, 900)
    assert [pool.take((n,)) is kernels[n] for n in range(5)] == [False, False, True, True, True]
    assert (pool.kept, pool.nbytes) == (0, 0)
    kernels[0].nbytes = 1001
    pool.give(("large",), kernels[0])
    assert pool.take(("large",)) is None and pool.nbytes == 0


def test_what_is_taken_is_nobody_elses():
    pool, kernel = Pool(), Kernel(ReLU(), "float64", "cpu", [(1, 3)])
    pool.give(("key",), kernel)
    assert pool.take(("key",)) is kernel and pool.take(("key",)) is None


def test_threads_do_not_disturb_each_other():
    rng = np.random.default_rng(5)
    inputs = [rng.standard_normal((4, 3, 12, 12)) for _ in range(8)]

    def work(x):
        out, cache = cs231n.conv_relu_pool_forward(x, W, B, {"stride": 1, "pad": 1}, POOL)
        return [out, *cs231n.conv_relu_pool_backward(out, cache)]

    inputs = [x[..., :11] for x in inputs]
    alone = [work(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, inputs * 6))
    for results, wanted in zip(together, alone * 6, strict=True):
        for got, want in zip(results, wanted, strict=True):
            np.testing.assert_array_equal(got, want)


# Errors


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: cs231n.conv_forward_fast(X[0], W, B, CONV), ShapeError, r"x must be images of shape \(N, C, H, W\)"),
        (lambda: cs231n.conv_forward_fast(X, W[:, :2], B, CONV), ShapeError, r"w must have shape \(F, 3, HH, WW\)"),
        (lambda: cs231n.conv_forward_naive(X, W, B[:2], CONV), ShapeError, r"b must have shape \(4,\), a number per"),
        (lambda: cs231n.conv_forward_fast(X, W, B, {"stride": 1}), DataError, r'conv_param has no "pad"; it has'),
        (
            lambda: cs231n.conv_forward_fast(X, W, B, {"stride": 0, "pad": 1}),
            OptionError,
            "stride must be an integer of",
        ),
        (lambda: cs231n.conv_forward_fast(X, W, B, {"stride": 1.5, "pad": 1}), OptionError, "stride must be an integ"),
        (
            lambda: cs231n.conv_forward_fast(X[:, :, :1, :1], W, B, {"stride": 1, "pad": 0}),
            ShapeError,
            "a window of 3 does not fit height 1 with 0 pixels",
        ),
        (lambda: cs231n.conv_forward_fast(X * 1j, W, B, CONV), DataError, "x must hold real numbers, got dtype compl"),
        (lambda: cs231n.conv_forward_fast(X[:0], W, B, CONV), DataError, "x is empty"),
        (
            lambda: cs231n.conv_backward_fast(X, cs231n.conv_forward_fast(X, W, B, CONV)[1]),
            ShapeError,
            r"dout must have the shape of what forward returned, \(2, 4, 3, 4\), got \(2, 3, 6, 7\)",
        ),
        (lambda: cs231n.max_pool_forward_fast(X, {**POOL, "pool_height": 7}), ShapeError, "a window of 7 does not fit"),
        (
            lambda: cs231n.max_pool_forward_reshape(X, POOL),
            ShapeError,
            "do not tile an image of 6x7; use max_pool_forward_fast",
        ),
        (lambda: cs231n.max_pool_backward_fast(X, ("strides", ())), DataError, 'must be of method "reshape" or "im2c'),
        (lambda: cs231n.affine_forward(ROWS, W, B), ShapeError, r"w must have shape \(4, M\)"),
        (lambda: cs231n.affine_forward(B, ROWS, B), ShapeError, r"x must have shape \(N, d_1, ..., d_k\), got \(4,\)"),
        (
            lambda: cs231n.batchnorm_forward(X, B, B, {"mode": "train"}),
            ShapeError,
            "there is spatial_batchnorm_forward",
        ),
        (lambda: cs231n.batchnorm_forward(ROWS, B, B, {}), DataError, 'bn_param has no "mode"; it has nothing'),
        (lambda: cs231n.batchnorm_forward(ROWS, B, B, {"mode": "eval"}), OptionError, 'must be "train" or "test"'),
        (lambda: cs231n.batchnorm_forward(ROWS, B[:3], B, {"mode": "train"}), ShapeError, r"gamma must have shape \(4"),
        (
            lambda: cs231n.batchnorm_forward(ROWS, B, B, {"mode": "test", "running_mean": B[:3]}),
            ShapeError,
            r"running_mean must have shape \(4,\)",
        ),
        (
            lambda: cs231n.spatial_groupnorm_forward(X, B[:3], B[:3], 3, {}),
            ShapeError,
            r"gamma must have shape \(1, 3, 1, 1\)",
        ),
        (
            lambda: cs231n.spatial_groupnorm_forward(X, *np.ones((2, 1, 3, 1, 1)), 2, {}),
            ShapeError,
            "cannot divide 3 channels",
        ),
        (lambda: cs231n.dropout_forward(X, {"mode": "train", "p": 0}), OptionError, "probability of keeping"),
        (lambda: cs231n.softmax_loss(ROWS, [0, 1, 2, 3, 4]), DataError, r"y\[4\] is 4, but labels must be from 0 to 3"),
        (lambda: cs231n.svm_loss(ROWS, LABELS[:3]), ShapeError, "there are 5 samples, but 3 labels"),
        (lambda: cs231n.svm_loss(X, LABELS), ShapeError, r"x must be scores of shape \(N, C\)"),
        (lambda: cs231n.im2col(X, 9, 9), ShapeError, "a field of 9x9 does not fit an image of 8x9"),
        (lambda: cs231n.col2im(ROWS, X.shape), ShapeError, r"cols must have shape \(27, 84\)"),
        (lambda: cs231n.conv_forward_fast(X, W, B, CONV, device="gpu"), nc.errors.DeviceError, "unknown device 'gpu'"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


CAUSES = {
    "conv_naive": lambda: cs231n.conv_forward_naive(X, W, B, CONV),
    "conv_fast": lambda: cs231n.conv_forward_fast(X, W, B, CONV),
    "affine": lambda: cs231n.affine_forward(ROWS, W[:, 0, 0, :1] @ ROWS[:1], B),
    "pool_naive": lambda: cs231n.max_pool_forward_naive(X[..., :6], POOL),
    "pool_fast": lambda: cs231n.max_pool_forward_fast(X[..., :6], POOL),
    "pool_im2col": lambda: cs231n.max_pool_forward_im2col(X[..., :6], POOL),
    "pool_reshape": lambda: cs231n.max_pool_forward_reshape(X[..., :6], POOL),
    "batchnorm": lambda: cs231n.batchnorm_forward(ROWS, B, B, {"mode": "train"}),
    "spatial_batchnorm": lambda: cs231n.spatial_batchnorm_forward(X, B[:3], B[:3], {"mode": "train"}),
    "layernorm": lambda: cs231n.layernorm_forward(ROWS, B, B, {}),
    "groupnorm": lambda: cs231n.spatial_groupnorm_forward(X, *np.ones((2, 1, 3, 1, 1)), 3, {}),
}
"""Forward functions whose caches a backward may be given by mistake."""


@pytest.mark.parametrize(
    "backward, cause, message",
    [
        ("max_pool_backward_fast", "pool_naive", "max_pool_forward_naive made it: use max_pool_backward_naive"),
        ("max_pool_backward_naive", "pool_fast", "max_pool_forward_fast made it: use max_pool_backward_fast"),
        ("max_pool_backward_im2col", "pool_reshape", "max_pool_forward_reshape made it"),
        ("max_pool_backward_reshape", "pool_im2col", "max_pool_forward_im2col made it"),
        ("max_pool_backward_fast", "conv_fast", "must be what max_pool_forward_fast returned"),
        ("max_pool_backward_naive", "affine", "must be what max_pool_forward_naive returned"),
        ("conv_backward_fast", "affine", "must be what conv_forward_fast returned beside out, got a tuple of 3"),
        ("conv_backward_naive", "pool_fast", "must be what conv_forward_naive returned"),
        ("affine_backward", "conv_fast", "must be what affine_forward returned beside out, got a tuple of 5"),
        ("relu_backward", "affine", "must be what relu_forward returned"),
        ("dropout_backward", "affine", "must be what dropout_forward returned"),
        ("batchnorm_backward", "layernorm", "must be what batchnorm_forward returned"),
        ("batchnorm_backward", "spatial_batchnorm", "must be what batchnorm_forward returned"),
        ("batchnorm_backward_alt", "pool_naive", "must be what batchnorm_forward returned"),
        ("spatial_batchnorm_backward", "batchnorm", "must be what spatial_batchnorm_forward returned"),
        ("layernorm_backward", "batchnorm", "must be what layernorm_forward returned"),
        ("spatial_groupnorm_backward", "layernorm", "must be what spatial_groupnorm_forward returned"),
        ("conv_relu_backward", "conv_fast", "must be what conv_relu_forward returned beside out, got a tuple of 5"),
        ("affine_bn_relu_backward", "pool_fast", "must be what affine_bn_relu_forward returned"),
    ],
)
def test_caches_of_other_functions(backward, cause, message):
    out, cache = CAUSES[cause]()
    with pytest.raises(DataError, match=message):
        getattr(cs231n, backward)(out, cache)


def test_convolutions_take_each_others_caches():
    out, naive = cs231n.conv_forward_naive(X, W, B, CONV)
    _, fast = cs231n.conv_forward_fast(X, W, B, CONV)
    for cache in naive, fast:
        for got, want in zip(
            cs231n.conv_backward_fast(out, cache), cs231n.conv_backward_naive(out, cache), strict=True
        ):
            np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: cs231n.conv_forward_naive(X, W, B, None), "conv_param"),
        (lambda: cs231n.max_pool_forward_fast(X, None), "pool_param"),
        (lambda: cs231n.dropout_forward(X, None), "dropout_param"),
        (lambda: cs231n.batchnorm_forward(ROWS, B, B, None), "bn_param"),
        (lambda: cs231n.layernorm_forward(ROWS, B, B, None), "ln_param"),
        (lambda: cs231n.spatial_groupnorm_forward(X, *np.ones((2, 1, 3, 1, 1)), 3, None), "gn_param"),
    ],
)
def test_parameters_are_dicts(call, name):
    with pytest.raises(DataError, match=f"{name} must be a dict, got None"):
        call()


@pytest.mark.parametrize("half", [(3 - 1) / 2, np.float64(1)])
def test_a_quotient_is_no_number_of_pixels(half):
    with pytest.raises(OptionError, match=r"pad must be an integer, got .*1\.0.*; if it is a quotient, use // instead"):
        cs231n.conv_forward_fast(X, W, B, {"stride": 1, "pad": half})
    with pytest.raises(OptionError, match="pool_height must be an integer, got .*use // instead"):
        cs231n.max_pool_forward_fast(X, {**POOL, "pool_height": half})


def test_gamma_of_group_norm_says_its_shape():
    with pytest.raises(ShapeError, match=r"use gamma\.reshape\(1, 3, 1, 1\), got \(3,\)"):
        cs231n.spatial_groupnorm_forward(X, B[:3], B[:3], 3, {})


def test_a_seed_of_dropout_seeds_what_is_drawn_later():
    _, (_, mask) = cs231n.dropout_forward(ROWS, {"mode": "train", "p": 0.5, "seed": 7})
    later = np.random.random_sample(3)  # noqa: NPY002
    generator = np.random.RandomState(7)
    np.testing.assert_array_equal(mask, (generator.random_sample(ROWS.shape) < 0.5) / 0.5)
    np.testing.assert_array_equal(later, generator.random_sample(3))


@pytest.mark.parametrize("padding, stride", [(0, 1), (1, 2), (2, 1)])
def test_indices_of_windows_are_those_of_im2col(padding, stride):
    k, i, j = cs231n.get_im2col_indices(X.shape, 3, 2, padding, stride)
    padded = np.pad(X, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    columns = padded[:, k, i, j].transpose(1, 2, 0).reshape(18, -1)
    np.testing.assert_array_equal(columns, cs231n.im2col_indices(X, 3, 2, padding, stride))
    assert k.ravel().tolist() == [c for c in range(3) for _ in range(6)] and (i[0, 0], j[0, 0]) == (0, 0)


def test_it_is_found_under_nc():
    assert nc.compat.cs231n.conv_forward_fast is cs231n.conv_forward_fast
    assert all(hasattr(cs231n, name) for name in cs231n.__all__)
