"""The course material's own numbers, on every device: what convolution, pooling and padding must give.

Each number was computed again by hand: some that the material prints are wrong.
"""

import numpy as np
import pytest
from devices import DEVICES

import nbconv as nc
from nbconv import functional as F

on_every_device = pytest.mark.parametrize("device", DEVICES)
ALGORITHMS = ("auto", "direct", "im2col")

COUNTING = np.arange(1.0, 26).reshape(1, 1, 5, 5)
EDGES = np.array([[-1.0, -2, -1], [0, 0, 0], [1, 2, 1]])[None, None]
TURNED = {
    "valid": ({}, np.full((3, 3), -40)),
    "pad 1": (
        {"padding": 1},
        [
            [-19, -28, -32, -36, -29],
            [-30, -40, -40, -40, -30],
            [-30, -40, -40, -40, -30],
            [-30, -40, -40, -40, -30],
            [49, 68, 72, 76, 59],
        ],
    ),
    "pad 1, stride 2": ({"padding": 1, "stride": 2}, [[-19, -32, -29], [-30, -40, -30], [49, 72, 59]]),
}
"""True convolution of the 5x5 matrix 1..25 with a Sobel filter."""


@on_every_device
@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "winograd"])
@pytest.mark.parametrize("name", TURNED)
def test_true_convolution_of_a_matrix(name, algorithm, device):
    options, wanted = TURNED[name]
    if algorithm == "winograd" and "stride" in options:
        algorithm = "auto"
    y = F.conv2d(COUNTING, EDGES, **options, flip=True, algorithm=algorithm, device=device)
    np.testing.assert_allclose(y[0, 0], wanted, rtol=0, atol=1e-12)
    turned = F.conv2d(COUNTING, EDGES[:, :, ::-1, ::-1].copy(), **options, algorithm=algorithm, device=device)
    np.testing.assert_array_equal(y, turned)


@on_every_device
def test_cross_correlation_does_not_turn_the_filter(device):
    """For this filter, turned round is negated."""
    np.testing.assert_array_equal(F.conv2d(COUNTING, EDGES, device=device), np.full((1, 1, 3, 3), 40.0))


def box(start, length=20):
    x = np.zeros((1, 1, length))
    x[0, 0, start : start + 7] = 1
    return x


@on_every_device
def test_full_convolution_of_a_box(device):
    """2 - (1/2)^n as long as the box lasts, then it dies away."""
    n = np.arange(20)
    y = F.conv1d(box(0), (0.5**n)[None, None], padding="full", flip=True, device=device)[0, 0, :20]
    wanted = np.where(n < 7, 2 - 0.5**n, 0.5 ** (n - 6.0) * (2 - 0.5**6))
    np.testing.assert_allclose(y, wanted, rtol=1e-14)


@on_every_device
@pytest.mark.parametrize("shift", [1, 4, 11])
def test_a_shifted_input_shifts_the_output(shift, device):
    decay = (0.5 ** np.arange(20))[None, None]
    y, shifted = (F.conv1d(box(s), decay, padding="full", flip=True, device=device)[0, 0] for s in (0, shift))
    np.testing.assert_allclose(shifted[shift:], y[:-shift], rtol=1e-14, atol=1e-15)
    assert (shifted[:shift] == 0).all()


@on_every_device
def test_convolution_commutes_and_correlation_does_not(device):
    a, b = (np.random.default_rng(s).standard_normal((1, 1, n)) for s, n in ((0, 9), (1, 4)))
    flipped, plain = (
        [F.conv1d(x, w, padding="full", flip=flip, device=device) for x, w in ((a, b), (b, a))]
        for flip in (True, False)
    )
    np.testing.assert_allclose(*flipped, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(plain[0], plain[1][..., ::-1], rtol=1e-12, atol=1e-14)
    assert np.abs(plain[0] - plain[1]).max() > 0.1


def parameters(model):
    return {name: array.size for name, array in model.state_dict().items()}


@on_every_device
@pytest.mark.parametrize("padding, size", [(0, 28), (2, 32)])
def test_sizes_and_weights_of_a_32x32_image(padding, size, device):
    one = nc.Sequential(nc.Conv2d(1, 5, padding=padding), input_shape=(3, 32, 32), device=device)
    assert one.predict(np.zeros((1, 3, 32, 32))).shape == (1, 1, size, size)
    assert parameters(one) == {"0.weight": 75, "0.bias": 1}
    ten = nc.Sequential(nc.Conv2d(10, 5, padding=padding), input_shape=(3, 32, 32), device=device)
    assert ten.predict(np.zeros((1, 3, 32, 32))).shape == (1, 10, size, size)
    assert parameters(ten) == {"0.weight": 750, "0.bias": 10}


@on_every_device
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_first_layer_of_alexnet(algorithm, device):
    x = np.random.default_rng(0).standard_normal((1, 3, 227, 227)).astype(np.float32)
    model = nc.Sequential(nc.Conv2d(96, 11, stride=4, algorithm=algorithm), input_shape=(3, 227, 227), device=device)
    y = model.predict(x)
    assert y.shape == (1, 96, 55, 55) and parameters(model) == {"0.weight": 96 * 363, "0.bias": 96}
    windows = np.lib.stride_tricks.sliding_window_view(x[0], (11, 11), axis=(1, 2))[:, ::4, ::4]
    matrix = windows.transpose(0, 3, 4, 1, 2).reshape(363, 3025)
    wanted = model.state_dict()["0.weight"].reshape(96, 363) @ matrix.astype(np.float64)
    np.testing.assert_allclose(y[0].reshape(96, 3025), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_im2col_matrix_of_alexnet():
    """On the CPU, a row for each of 3025 windows, a column for each of 363 products."""
    from nbconv.cpu import conv

    op = nc.Conv2d(96, 11, stride=4, algorithm="im2col")
    matrix = conv.forward_scratch(op, "float32", (1, 227, 227, 3))["matrix"]
    assert matrix.shape == (1, 55, 55, 363) and 55 * 55 == 3025


@on_every_device
def test_two_filters_of_stride_two(device):
    """5x5x3, two 3x3 filters, stride 2, pad 1: 3x3x2, each number the sum over its window."""
    rng = np.random.default_rng(0)
    x, weight = rng.integers(0, 3, (1, 3, 5, 5)).astype(float), rng.integers(-1, 2, (2, 3, 3, 3)).astype(float)
    bias = np.array([1.0, 0.0])
    y = F.conv2d(x, weight, bias, stride=2, padding=1, device=device)
    assert y.shape == (1, 2, 3, 3)
    padded = np.pad(x[0], ((0, 0), (1, 1), (1, 1)))
    for k in range(2):
        for i in range(3):
            for j in range(3):
                window = padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
                assert y[0, k, i, j] == (window * weight[k]).sum() + bias[k]


@on_every_device
@pytest.mark.parametrize("size, padding", [(3, 0), (3, 1), (4, 2), (1, 0)])
def test_gradients_of_a_convolution_are_convolutions(size, padding, device):
    """dL/dx is the full convolution of dL/dy with the flipped weights; dL/dw the correlation of x with dL/dy."""
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((1, 1, 8, 7)), rng.standard_normal((1, 1, size, size))
    dy = rng.standard_normal(F.conv2d(x, weight, padding=padding).shape)
    dx, dweight, dbias = F.conv2d_backward(dy, x, weight, padding=padding, device=device)
    turned = weight[:, :, ::-1, ::-1].copy()
    full = F.conv2d(dy, turned, padding="full", device=device)
    inside = full[:, :, padding : padding + 8, padding : padding + 7]
    np.testing.assert_allclose(dx, inside, rtol=1e-12, atol=1e-13)
    convolved = F.conv2d(dy, weight, padding="full", flip=True, device=device)
    np.testing.assert_allclose(convolved, full, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(dweight, F.conv2d(x, dy, padding=padding, device=device), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(dbias, [dy.sum()], rtol=1e-12)


@on_every_device
def test_gradients_of_a_convolution_of_a_sequence(device):
    """Four inputs, zero padded by 1, and three weights: a band matrix of 4x6, and its transpose."""
    w, x, dy = np.array([2.0, 3.0, 5.0]), np.array([1.0, -2.0, 4.0, 7.0]), np.array([1.0, 0.0, -1.0, 2.0])
    matrix = np.array([
        [2.0, 3, 5, 0, 0, 0],
        [0.0, 2, 3, 5, 0, 0],
        [0.0, 0, 2, 3, 5, 0],
        [0.0, 0, 0, 2, 3, 5],
    ])  # fmt: skip
    given = x[None, None], w[None, None]
    y = F.conv1d(*given, padding=1, device=device)
    np.testing.assert_array_equal(y[0, 0], matrix @ np.pad(x, 1))
    dx, dweight, _ = F.conv1d_backward(dy[None, None], *given, padding=1, device=device)
    np.testing.assert_array_equal(dx[0, 0], (matrix.T @ dy)[1:-1])
    np.testing.assert_array_equal(dx[0, 0], np.convolve(dy, w)[1:-1])
    np.testing.assert_array_equal(dweight[0, 0], [np.pad(x, 1)[s : s + 4] @ dy for s in range(3)])


@on_every_device
def test_pooling_gradients(device):
    """Average pooling spreads a quarter over each 2x2 block; max pooling sends all of it to one pixel."""
    x = np.array([[1.0, 2, 6, 3], [4, 3, 5, 1], [8, 1, 0, 0], [2, 7, 0, 9]])[None, None]
    dy = np.array([[4.0, 8], [12, -16]])[None, None]
    spread = F.avg_pool2d_backward(dy, x, 2, device=device)
    np.testing.assert_array_equal(spread[0, 0], np.kron(dy[0, 0] / 4, np.ones((2, 2))))
    np.testing.assert_array_equal(spread, F.upsample(dy / 4, 2, device=device))
    sent = F.max_pool2d_backward(dy, x, 2, device=device)
    np.testing.assert_array_equal(sent[0, 0], [[0, 0, 8, 0], [4, 0, 0, 0], [12, 0, 0, 0], [0, 0, 0, -16]])


SIDE = 8


def features(device):
    """Two convolutions with circular padding, and the mean of each channel."""
    layers = (
        *(nc.Conv2d(6, 3, padding=1, padding_mode="circular"), nc.ReLU()),
        *(nc.Conv2d(5, (2, 3), padding="same", padding_mode="circular"), nc.ReLU(), nc.GlobalAvgPool2d()),
    )
    return nc.Sequential(*layers, input_shape=(1, SIDE, SIDE), device=device, seed=1)


@on_every_device
def test_circular_padding_and_a_global_mean_do_not_see_shifts(device):
    image = np.random.default_rng(0).standard_normal((SIDE, SIDE))
    shifts = [np.roll(image, (i, j), axis=(0, 1)) for i in range(SIDE) for j in range(SIDE)]
    pooled = features(device).predict(np.stack(shifts)[:, None])
    assert np.ptp(pooled, axis=0).max() <= 1e-6
    zeros = nc.Sequential(nc.Conv2d(6, 3, padding=1), nc.ReLU(), nc.GlobalAvgPool2d(), input_shape=(1, SIDE, SIDE))
    assert np.ptp(zeros.predict(np.stack(shifts)[:, None]), axis=0).max() > 1e-3  # a border of zeros is seen


@on_every_device
def test_a_horizontal_and_a_vertical_edge_differ(device):
    edge = np.zeros((SIDE, SIDE))
    edge[: SIDE // 2] = 1
    horizontal, vertical = features(device).predict(np.stack([edge, edge.T])[:, None])
    assert np.abs(horizontal - vertical).max() > 1e-2
