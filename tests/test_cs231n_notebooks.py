"""The checks of CS231n's notebooks, with their inputs, at the error levels they state.

Values that a notebook prints are written out as printed, to 8 digits, and computed again here by a formula of its own.
"""

import numpy as np
import pytest

from nbconv.compat.cs231n import (
    adam,
    affine_backward,
    affine_forward,
    affine_relu_backward,
    affine_relu_forward,
    batchnorm_backward,
    batchnorm_backward_alt,
    batchnorm_forward,
    conv_backward_fast,
    conv_backward_im2col,
    conv_backward_naive,
    conv_bn_relu_backward,
    conv_bn_relu_forward,
    conv_forward_fast,
    conv_forward_im2col,
    conv_forward_naive,
    conv_relu_backward,
    conv_relu_forward,
    conv_relu_pool_backward,
    conv_relu_pool_forward,
    dropout_backward,
    dropout_forward,
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    layernorm_backward,
    layernorm_forward,
    max_pool_backward_fast,
    max_pool_backward_naive,
    max_pool_forward_fast,
    max_pool_forward_naive,
    rel_error,
    relu_backward,
    relu_forward,
    rmsprop,
    sgd,
    sgd_momentum,
    softmax_loss,
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
    spatial_groupnorm_backward,
    spatial_groupnorm_forward,
    svm_loss,
)

CONV = {
    "naive": (conv_forward_naive, conv_backward_naive),
    "fast": (conv_forward_fast, conv_backward_fast),
    "im2col": (conv_forward_im2col, conv_backward_im2col),
}
POOL = {
    "naive": (max_pool_forward_naive, max_pool_backward_naive),
    "fast": (max_pool_forward_fast, max_pool_backward_fast),
}


def linspace(first, last, *shape):
    return np.linspace(first, last, num=int(np.prod(shape))).reshape(shape)


@pytest.fixture
def rng():
    return np.random.RandomState(231)


def check_gradients(forward, backward, arrays, dout, *rest, level, h=1e-5):
    """Each gradient against central differences; of what is linear in each array, a large ``h`` rounds least."""
    _, cache = forward(*arrays, *rest)
    gradients = backward(dout, cache)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    assert len(gradients) == len(arrays)
    for array, gradient in zip(arrays, gradients, strict=True):
        numeric = eval_numerical_gradient_array(lambda _: forward(*arrays, *rest)[0], array, dout, h)
        assert gradient.shape == array.shape
        assert rel_error(numeric, gradient) < level


# FullyConnectedNets


def test_affine_forward():
    x, w, b = linspace(-0.1, 0.5, 2, 4, 5, 6), linspace(-0.2, 0.3, 120, 3), linspace(-0.3, 0.1, 3)
    out, _ = affine_forward(x, w, b)
    printed = [[1.49834967, 1.70660132, 1.91485297], [3.25553199, 3.5141327, 3.77273342]]
    assert rel_error(out, printed) < 1e-8
    assert rel_error(out, np.einsum("nijk,ijkm->nm", x, w.reshape(4, 5, 6, 3)) + b) < 1e-14


def test_affine_backward(rng):
    x, w, b = rng.randn(10, 2, 3), rng.randn(6, 5), rng.randn(5)
    check_gradients(affine_forward, affine_backward, (x, w, b), rng.randn(10, 5), level=1e-8, h=1e-3)


def test_relu(rng):
    x = linspace(-0.5, 0.5, 3, 4)
    out, _ = relu_forward(x)
    printed = [[0, 0, 0, 0], [0, 0, 0.04545455, 0.13636364], [0.22727273, 0.31818182, 0.40909091, 0.5]]
    assert rel_error(out, printed) < 5e-8
    check_gradients(relu_forward, relu_backward, (rng.randn(10, 10),), rng.randn(10, 10), level=1e-10)


def test_affine_relu(rng):
    arrays = rng.randn(2, 3, 4), rng.randn(12, 10), rng.randn(10)
    check_gradients(affine_relu_forward, affine_relu_backward, arrays, rng.randn(2, 10), level=1e-8)


@pytest.mark.parametrize("loss, expected", [(svm_loss, 9.0), (softmax_loss, np.log(10))])
def test_losses(rng, loss, expected):
    x, y = 0.001 * rng.randn(50, 10), rng.randint(10, size=50)
    value, dx = loss(x, y)
    assert value == pytest.approx(expected, abs=2e-3)
    assert rel_error(eval_numerical_gradient(lambda x: loss(x, y)[0], x, verbose=False), dx) < 1e-7


W, DW = linspace(-0.4, 0.6, 4, 5), linspace(-0.6, 0.4, 4, 5)


def test_sgd():
    next_w, config = sgd(W, DW, {"learning_rate": 0.5})
    assert rel_error(next_w, W - 0.5 * DW) < 1e-15 and config == {"learning_rate": 0.5}


def test_sgd_momentum():
    v = linspace(0.6, 0.9, 4, 5)
    next_w, config = sgd_momentum(W, DW, {"learning_rate": 1e-3, "velocity": v})
    assert rel_error(next_w[0], [0.1406, 0.20738947, 0.27417895, 0.34096842, 0.40775789]) < 1e-7
    assert rel_error(config["velocity"][0], [0.5406, 0.55475789, 0.56891579, 0.58307368, 0.59723158]) < 1e-8
    assert rel_error(config["velocity"], 0.9 * v - 1e-3 * DW) < 1e-14
    assert rel_error(next_w, W + 0.9 * v - 1e-3 * DW) < 1e-14


def test_rmsprop():
    cache = linspace(0.6, 0.9, 4, 5)
    next_w, config = rmsprop(W, DW, {"learning_rate": 1e-2, "cache": cache})
    assert rel_error(next_w[0], [-0.39223849, -0.34037513, -0.28849239, -0.23659121, -0.18467247]) < 1e-7
    assert rel_error(config["cache"][0], [0.5976, 0.6126277, 0.6277108, 0.64284931, 0.65804321]) < 1e-7
    square = 0.99 * cache + 0.01 * DW**2
    assert rel_error(config["cache"], square) < 1e-14
    assert rel_error(next_w, W - 1e-2 * DW / (np.sqrt(square) + 1e-8)) < 1e-12


def test_adam():
    m, v = linspace(0.6, 0.9, 4, 5), linspace(0.7, 0.5, 4, 5)
    next_w, config = adam(W, DW, {"learning_rate": 1e-2, "m": m, "v": v, "t": 5})
    assert rel_error(next_w[0], [-0.40094747, -0.34836187, -0.29577703, -0.24319299, -0.19060977]) < 1e-7
    assert config["t"] == 6
    mean, square = 0.9 * m + 0.1 * DW, 0.999 * v + 0.001 * DW**2
    assert rel_error(config["m"], mean) < 1e-14 and rel_error(config["v"], square) < 1e-14
    step = (mean / (1 - 0.9**6)) / (np.sqrt(square / (1 - 0.999**6)) + 1e-8)
    assert rel_error(next_w, W - 1e-2 * step) < 1e-12


# BatchNormalization


def test_batchnorm_train(rng):
    a = np.maximum(0, rng.randn(200, 50) @ rng.randn(50, 60)) @ rng.randn(60, 3)
    out, _ = batchnorm_forward(a, np.ones(3), np.zeros(3), {"mode": "train"})
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(out.std(axis=0), 1, atol=1e-7)
    gamma, beta = np.array([1.0, 2.0, 3.0]), np.array([11.0, 12.0, 13.0])
    out, _ = batchnorm_forward(a, gamma, beta, {"mode": "train"})
    np.testing.assert_allclose(out.mean(axis=0), beta, rtol=1e-13)
    np.testing.assert_allclose(out.std(axis=0), gamma, rtol=1e-7)


def test_batchnorm_test(rng):
    w1, w2, param = rng.randn(50, 60), rng.randn(60, 3), {"mode": "train"}
    for _ in range(50):
        batchnorm_forward(np.maximum(0, rng.randn(200, 50) @ w1) @ w2, np.ones(3), np.zeros(3), param)
    param["mode"] = "test"
    out, _ = batchnorm_forward(np.maximum(0, rng.randn(200, 50) @ w1) @ w2, np.ones(3), np.zeros(3), param)
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=0.15)
    np.testing.assert_allclose(out.std(axis=0), 1, atol=0.1)


@pytest.mark.parametrize("mode", ["train", "test"])
def test_batchnorm_backward(rng, mode):
    x, gamma, beta, dout = 5 * rng.randn(4, 5) + 12, rng.randn(5), rng.randn(5), rng.randn(4, 5)
    param = {"mode": mode, "running_mean": x.mean(axis=0), "running_var": x.var(axis=0)}

    def forward(x, gamma, beta):
        return batchnorm_forward(x, gamma, beta, dict(param))

    check_gradients(forward, batchnorm_backward, (x, gamma, beta), dout, level=2e-8)
    _, cache = forward(x, gamma, beta)
    for ours, formula in zip(batchnorm_backward(dout, cache), batchnorm_backward_alt(dout, cache), strict=True):
        assert rel_error(ours, formula) < 5e-13


def test_layernorm(rng):
    a = np.maximum(0, rng.randn(4, 50) @ rng.randn(50, 60)) @ rng.randn(60, 30)
    out, _ = layernorm_forward(a, np.full(30, 3.0), np.full(30, 5.0), {})
    np.testing.assert_allclose(out.mean(axis=1), 5, rtol=1e-13)
    np.testing.assert_allclose(out.std(axis=1), 3, rtol=1e-6)
    x, gamma, beta, dout = 5 * rng.randn(4, 5) + 12, rng.randn(5), rng.randn(5), rng.randn(4, 5)
    check_gradients(layernorm_forward, layernorm_backward, (x, gamma, beta), dout, {}, level=2e-8)


# Dropout


@pytest.mark.parametrize("p", [0.25, 0.4, 0.7])
def test_dropout(rng, p):
    x = rng.randn(500, 500) + 10
    out, _ = dropout_forward(x, {"mode": "train", "p": p, "seed": 1})
    assert out.mean() == pytest.approx(10, abs=4 * 10 * np.sqrt((1 - p) / p) / 500)  # four standard deviations
    assert (out == 0).mean() == pytest.approx(1 - p, abs=4 * np.sqrt(p * (1 - p)) / 500)
    kept = out != 0
    np.testing.assert_allclose(out[kept], x[kept] / p, rtol=1e-15)
    test, _ = dropout_forward(x, {"mode": "test", "p": p})
    np.testing.assert_array_equal(test, x)
    small, param = rng.randn(10, 10) + 10, {"mode": "train", "p": 0.2, "seed": 123}
    check_gradients(lambda x: dropout_forward(x, param), dropout_backward, (small,), rng.randn(10, 10), level=1e-9)


# ConvolutionalNetworks


@pytest.mark.parametrize("method", CONV)
def test_conv_forward(method):
    x, w, b = linspace(-0.1, 0.5, 2, 3, 4, 4), linspace(-0.2, 0.3, 3, 3, 4, 4), linspace(-0.1, 0.2, 3)
    out, _ = CONV[method][0](x, w, b, {"stride": 2, "pad": 1})
    printed = [
        [
            [[-0.08759809, -0.10987781], [-0.18387192, -0.2109216]],
            [[0.21027089, 0.21661097], [0.22847626, 0.23004637]],
            [[0.50813986, 0.54309974], [0.64082444, 0.67101435]],
        ],
        [
            [[-0.98053589, -1.03143541], [-1.19128892, -1.24695841]],
            [[0.69108355, 0.66880383], [0.59480972, 0.56776003]],
            [[2.36270298, 2.36904306], [2.38090835, 2.38247847]],
        ],
    ]
    assert rel_error(out, printed) < 5e-8
    wanted = np.empty((2, 3, 2, 2))
    for n, k, i, j in np.ndindex(wanted.shape):
        wanted[n, k, i, j] = b[k] + sum(
            x[n, c, 2 * i + r - 1, 2 * j + s - 1] * w[k, c, r, s]
            for c, r, s in np.ndindex(3, 4, 4)
            if 0 <= 2 * i + r - 1 < 4 and 0 <= 2 * j + s - 1 < 4
        )
    assert rel_error(out, wanted) < 1e-13


@pytest.mark.parametrize("method", CONV)
def test_conv_backward(rng, method):
    arrays = rng.randn(4, 3, 5, 5), rng.randn(2, 3, 3, 3), rng.randn(2)
    check_gradients(*CONV[method], arrays, rng.randn(4, 2, 5, 5), {"stride": 1, "pad": 1}, level=1e-8, h=1e-3)


@pytest.mark.parametrize("method", POOL)
def test_max_pool(rng, method):
    x, param = linspace(-0.3, 0.4, 2, 3, 4, 4), {"pool_width": 2, "pool_height": 2, "stride": 2}
    out, _ = POOL[method][0](x, param)
    assert rel_error(out[0, 0], [[-0.26315789, -0.24842105], [-0.20421053, -0.18947368]]) < 5e-8
    np.testing.assert_array_equal(out, x[:, :, 1::2, 1::2])  # numbers rise, so that the last of a window is the largest
    x, dout = rng.randn(3, 2, 8, 8), rng.randn(3, 2, 4, 4)
    check_gradients(*POOL[method], (x,), dout, param, level=5e-11)
    _, cache = POOL[method][0](x, param)
    spread = np.kron(dout, np.ones((2, 2)))
    wins = x == np.kron(POOL[method][0](x, param)[0], np.ones((2, 2)))
    assert rel_error(POOL[method][1](dout, cache), spread * wins) < 1e-12


def test_conv_fast_is_naive(rng):
    x, w, b, param = rng.randn(10, 3, 31, 31), rng.randn(25, 3, 3, 3), rng.randn(25), {"stride": 2, "pad": 1}
    out, cache = conv_forward_naive(x, w, b, param)
    dout = rng.randn(*out.shape)
    gradients = conv_backward_naive(dout, cache)
    for method in ("fast", "im2col"):
        fast, fast_cache = CONV[method][0](x, w, b, param)
        assert np.abs(fast - out).max() < 1e-12 and rel_error(fast, out) < 1e-8
        for ours, naive in zip(CONV[method][1](dout, fast_cache), gradients, strict=True):
            assert np.abs(ours - naive).max() < 1e-10 and rel_error(ours, naive) < 1e-8


def test_max_pool_fast_is_naive(rng):
    x, param = rng.randn(8, 3, 32, 32), {"pool_height": 2, "pool_width": 2, "stride": 2}
    out, cache = max_pool_forward_naive(x, param)
    fast, fast_cache = max_pool_forward_fast(x, param)
    dout = rng.randn(*out.shape)
    assert rel_error(fast, out) == 0
    assert rel_error(max_pool_backward_fast(dout, fast_cache), max_pool_backward_naive(dout, cache)) < 1e-12


def test_conv_sandwiches(rng):
    arrays, conv = (rng.randn(2, 3, 8, 8), rng.randn(3, 3, 3, 3), rng.randn(3)), {"stride": 1, "pad": 1}
    check_gradients(conv_relu_forward, conv_relu_backward, arrays, rng.randn(2, 3, 8, 8), conv, level=1e-7)
    pool = {"pool_height": 2, "pool_width": 2, "stride": 2}
    given = rng.randn(2, 3, 4, 4), conv, pool
    check_gradients(conv_relu_pool_forward, conv_relu_pool_backward, arrays, *given, level=1e-6)

    def forward(*arrays):
        return conv_bn_relu_forward(*arrays, conv, {"mode": "train"})

    arrays = (rng.randn(2, 2, 4, 4), rng.randn(3, 2, 3, 3), rng.randn(3), rng.rand(3) + 0.5, rng.randn(3))
    _, cache = forward(*arrays)
    dout = rng.randn(2, 3, 4, 4)
    gradients = conv_bn_relu_backward(dout, cache)
    for i in (0, 1, 3, 4):  # the mean takes the convolution's bias away: its gradient is zero
        numeric = eval_numerical_gradient_array(lambda _: forward(*arrays)[0], arrays[i], dout)
        np.testing.assert_allclose(gradients[i], numeric, atol=1e-7)
    np.testing.assert_allclose(gradients[2], 0, atol=1e-12)


def test_spatial_batchnorm(rng):
    x, gamma, beta = 4 * rng.randn(2, 3, 4, 5) + 10, np.array([3.0, 4, 5]), np.array([6.0, 7, 8])
    out, _ = spatial_batchnorm_forward(x, gamma, beta, {"mode": "train"})
    np.testing.assert_allclose(out.mean(axis=(0, 2, 3)), beta, rtol=1e-13)
    np.testing.assert_allclose(out.std(axis=(0, 2, 3)), gamma, rtol=1e-6)

    def forward(x, gamma, beta):
        return spatial_batchnorm_forward(x, gamma, beta, {"mode": "train"})

    x, dout = 5 * rng.randn(2, 3, 4, 5) + 12, rng.randn(2, 3, 4, 5)
    check_gradients(forward, spatial_batchnorm_backward, (x, rng.randn(3), rng.randn(3)), dout, level=1e-6)


def test_spatial_groupnorm(rng):
    x = 4 * rng.randn(2, 6, 4, 5) + 10
    out, _ = spatial_groupnorm_forward(x, np.ones((1, 6, 1, 1)), np.zeros((1, 6, 1, 1)), 2, {})
    groups = out.reshape(4, -1)
    np.testing.assert_allclose(groups.mean(axis=1), 0, atol=1e-13)
    np.testing.assert_allclose(groups.std(axis=1), 1, atol=1e-6)
    arrays = 5 * rng.randn(2, 6, 4, 5) + 12, rng.randn(1, 6, 1, 1), rng.randn(1, 6, 1, 1)
    given = rng.randn(2, 6, 4, 5), 2, {}
    check_gradients(spatial_groupnorm_forward, spatial_groupnorm_backward, arrays, *given, level=1e-6)
