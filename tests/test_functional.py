"""Functions on arrays: layouts and argument order as in PyTorch, gradients against central differences."""

import inspect
import re

import numpy as np
import pytest
from scipy.signal import correlate

import nbconv as nc
from nbconv import functional as F
from nbconv.engine.registry import DEVICES
from nbconv.errors import DataError, DeviceError, OptionError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 4, 7, 6))
W = RNG.standard_normal((6, 2, 3, 2))
B = RNG.standard_normal(6)
ROWS = RNG.standard_normal((5, 4))
LABELS = np.array([0, 3, 1, 1, 2])
FROZEN = np.ones(4)
FROZEN.flags.writeable = False

on_every_device = pytest.mark.parametrize("device", DEVICES)

CALLS = {
    "conv2d": ((X, W, B), {"stride": (2, 1), "padding": (1, 0), "groups": 2}, 3),
    "linear": ((ROWS, RNG.standard_normal((3, 4)), RNG.standard_normal(3)), {}, 3),
    "max_pool2d": ((X, 3, 2, 1), {}, 1),
    "avg_pool2d": ((X, 3, 2, 1), {"count_include_pad": False}, 1),
    "global_avg_pool2d": ((X,), {}, 1),
    "relu": ((X,), {}, 1),
    "leaky_relu": ((X, 0.2), {}, 1),
    "sigmoid": ((X,), {}, 1),
    "tanh": ((X,), {}, 1),
    "softmax": ((X,), {}, 1),
    "log_softmax": ((X,), {}, 1),
    "concat": ((X, RNG.standard_normal((2, 1, 7, 6)), RNG.standard_normal((2, 3, 7, 6))), {}, 3),
    "flatten": ((X,), {}, 1),
    "add": ((X, RNG.standard_normal(X.shape)), {}, 2),
    "conv1d": ((X[:, :, 0], W[:, :, 0], B), {"stride": 2, "padding": (2, 1), "groups": 2, "flip": True}, 3),
    "conv_transpose2d": ((X, RNG.standard_normal((4, 3, 3, 2)), B), {"stride": 2, "output_padding": 1, "groups": 2}, 3),
    "max_pool1d": ((X[:, :, 0], 3, 2, 1), {}, 1),
    "avg_pool1d": ((X[:, :, 0], 3, 2, 1), {"count_include_pad": False}, 1),
    "global_avg_pool1d": ((X[:, :, 0],), {}, 1),
    "pad2d": ((X, (1, 2, 0, 3)), {"mode": "reflect"}, 1),
    "upsample": ((X, (2, 3)), {}, 1),
    "dropout": ((X, 0.4), {"seed": 3, "step": 2}, 1),
    "dropout2d": ((X, 0.4), {"seed": 3, "step": 2}, 1),
    "global_max_pool2d": ((X,), {}, 1),
    "normalize": ((X, 0.3), {"std": tuple(0.5 + c for c in range(X.shape[1])), "scale": 2.0}, 1),
    "random_horizontal_flip": ((X, 0.4), {"seed": 3, "step": 2}, 1),
    "random_crop": ((X, (3, 4), (1, 2)), {"seed": 3, "step": 2}, 1),
}
"""By function: positional arguments, options, and how many of the first arguments have a gradient."""


@on_every_device
@pytest.mark.parametrize("name", CALLS)
def test_gradients_against_central_differences(name, device):
    args, options, differentiable = CALLS[name]
    forward, backward = getattr(F, name), getattr(F, f"{name}_backward")
    y = forward(*args, **options, device=device)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    given = (
        args[:2] if name in ("conv1d", "conv2d", "conv_transpose2d", "linear") else args
    )  # their backward takes no bias
    gradients = backward(dy, *given, **options, device=device)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    assert len(gradients) == differentiable
    for position, gradient in enumerate(gradients):
        assert gradient.shape == args[position].shape and gradient.flags.c_contiguous
        for index in np.random.default_rng(2).integers(0, gradient.size, 12):
            sides = []
            for sign in (1, -1):
                moved = list(args)
                moved[position] = args[position].copy()
                moved[position].flat[index] += sign * 1e-6
                sides.append((forward(*moved, **options, device=device) * dy).sum())
            assert (sides[0] - sides[1]) / 2e-6 == pytest.approx(gradient.flat[index], abs=1e-7)


@on_every_device
def test_conv2d_against_scipy(device):
    x, w = X[:1], RNG.standard_normal((3, 4, 3, 3))
    y = F.conv2d(x, w, device=device)
    for k in range(3):
        np.testing.assert_allclose(y[0, k], correlate(x[0], w[k], mode="valid")[0], atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_weight_gradients_of_a_very_wide_image_stay_exact(channels):
    rng = np.random.default_rng(0)
    x, dy = (rng.random((1, channels, 2, 60_001), np.float32) for _ in range(2))
    weight = np.ones((channels, 1, 1, 1), np.float32)
    _, dweight, dbias = F.conv2d_backward(dy, x, weight, groups=channels)
    wanted = np.einsum("nchw,nchw->c", dy, x, dtype=np.float64)
    np.testing.assert_allclose(dweight[:, 0, 0, 0], wanted, rtol=1e-6)
    np.testing.assert_allclose(dbias, dy.sum(axis=(0, 2, 3), dtype=np.float64), rtol=1e-7)


def test_taps_too_far_apart():
    from nbconv.cpu.conv import forward_convolution

    with pytest.raises(ShapeError, match=r"exceeds 2\*\*31; use a smaller dilation"):
        forward_convolution(nc.Conv2d(1, (2, 1), dilation=(49_000, 1)), "float32", (1, 50_000, 50_000, 1))


@on_every_device
def test_channels_last_is_the_same_function(device):
    x = X.transpose(0, 2, 3, 1)
    y = F.conv2d(X, W, B, groups=2, device=device)
    np.testing.assert_allclose(
        F.conv2d(x, W, B, groups=2, device=device, data_format="NHWC"), y.transpose(0, 2, 3, 1), atol=1e-12
    )
    dx, dw, db = F.conv2d_backward(y, X, W, groups=2, device=device)
    dx2, dw2, db2 = F.conv2d_backward(y.transpose(0, 2, 3, 1), x, W, groups=2, device=device, data_format="NHWC")
    np.testing.assert_allclose(dx2.transpose(0, 3, 1, 2), dx, atol=1e-11)
    np.testing.assert_allclose(dw2, dw, atol=1e-11)
    np.testing.assert_allclose(db2, db, atol=1e-11)


@on_every_device
def test_batch_norm_in_training_moves_the_running_statistics(device):
    mean, var = np.zeros(4), np.ones(4)
    y = F.batch_norm(X, mean, var, training=True, momentum=0.5, device=device)
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(mean, 0.5 * X.mean(axis=(0, 2, 3)), atol=1e-12)
    np.testing.assert_allclose(var, 0.5 + 0.5 * X.var(axis=(0, 2, 3), ddof=1), atol=1e-12)


@on_every_device
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_gradients(device, training):
    gamma, beta = RNG.random(4) + 0.5, RNG.standard_normal(4)
    mean, var = RNG.standard_normal(4), RNG.random(4) + 0.5
    dy = RNG.standard_normal(X.shape)

    def loss(x, g, b):
        return (F.batch_norm(x, mean.copy(), var.copy(), g, b, training=training, device=device) * dy).sum()

    gradients = F.batch_norm_backward(dy, X, mean, var, gamma, beta, training=training, device=device)
    for position, gradient in enumerate(gradients):
        index = int(np.abs(gradient).argmax())
        sides = []
        for sign in (1, -1):
            moved = [X.copy(), gamma.copy(), beta.copy()]
            moved[position].flat[index] += sign * 1e-6
            sides.append(loss(*moved))
        assert (sides[0] - sides[1]) / 2e-6 == pytest.approx(gradient.flat[index], rel=1e-6)


NORMS = {
    "layer_norm": ({}, (4, 7, 6)),
    "group_norm": ({"num_groups": 2}, (4,)),
    "instance_norm": ({}, (4,)),
}
"""By function: options, and the shape of weight and bias for X."""


@on_every_device
@pytest.mark.parametrize("name", NORMS)
def test_gradients_of_norms_of_samples(name, device):
    options, shape = NORMS[name]
    forward, backward = getattr(F, name), getattr(F, f"{name}_backward")
    weight, bias, dy = RNG.standard_normal(shape), RNG.standard_normal(shape), RNG.standard_normal(X.shape)
    gradients = backward(dy, X, weight=weight, bias=bias, **options, device=device)
    operands = X, weight, bias
    for position, gradient in enumerate(gradients):
        assert gradient.shape == operands[position].shape and gradient.flags.c_contiguous
        for index in np.random.default_rng(2).integers(0, gradient.size, 8):
            sides = []
            for sign in (1, -1):
                moved = [a.copy() for a in operands]
                moved[position].flat[index] += sign * 1e-6
                y = forward(moved[0], weight=moved[1], bias=moved[2], **options, device=device)
                sides.append((y * dy).sum())
            assert (sides[0] - sides[1]) / 2e-6 == pytest.approx(gradient.flat[index], abs=1e-7)
    dx, dweight, dbias = backward(dy, X, **options, device=device)
    ones, zeros = np.ones(shape), np.zeros(shape)
    np.testing.assert_allclose(dx, backward(dy, X, weight=ones, bias=zeros, **options, device=device)[0], atol=1e-13)
    assert dweight is None and dbias is None


@on_every_device
@pytest.mark.parametrize("name", NORMS)
def test_norms_of_samples_in_channels_last(name, device):
    """Weights have PyTorch's layout in both data formats."""
    options, shape = NORMS[name]
    options = {"weight": RNG.standard_normal(shape), "bias": RNG.standard_normal(shape), "device": device, **options}
    y = getattr(F, name)(X, **options)
    last = getattr(F, name)(X.transpose(0, 2, 3, 1), **options, data_format="NHWC")
    np.testing.assert_array_equal(last.transpose(0, 3, 1, 2), y)


@on_every_device
def test_norms_of_samples_by_their_definition(device):
    def normalized(x, axes):
        return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + 1e-3)

    weight, bias = RNG.standard_normal((2, 4, 7, 6))
    y = F.layer_norm(X, weight, bias, eps=1e-3, device=device)
    np.testing.assert_allclose(y, normalized(X, (1, 2, 3)) * weight + bias, atol=1e-13)
    y = F.layer_norm(ROWS, weight[:, 0, 0], bias[:, 0, 0], eps=1e-3, device=device)
    np.testing.assert_allclose(y, normalized(ROWS, 1) * weight[:, 0, 0] + bias[:, 0, 0], atol=1e-13)
    y = F.group_norm(X, 2, B[:4], W[:4, 0, 0, 0], 1e-3, device=device)
    grouped = normalized(X.reshape(2, 2, -1), 2).reshape(X.shape)
    np.testing.assert_allclose(y, grouped * B[:4, None, None] + W[:4, 0, 0, 0, None, None], atol=1e-13)
    y = F.instance_norm(X, eps=1e-3, device=device)
    np.testing.assert_allclose(y, normalized(X, (2, 3)), atol=1e-13)


@on_every_device
def test_batch_norm_without_scale_and_shift(device):
    mean, var, dy = RNG.standard_normal(4), RNG.random(4) + 0.5, RNG.standard_normal(X.shape)
    plain = F.batch_norm_backward(dy, X, mean, var, device=device)
    scaled = F.batch_norm_backward(dy, X, mean, var, np.ones(4), np.zeros(4), device=device)
    assert plain[1] is None and plain[2] is None
    np.testing.assert_allclose(plain[0], scaled[0], rtol=1e-14)


@on_every_device
def test_batch_norm_without_running_statistics(device):
    y = F.batch_norm(X, None, None, training=True, device=device)
    np.testing.assert_array_equal(y, F.batch_norm(X, np.zeros(4), np.ones(4), training=True, device=device))
    dy = RNG.standard_normal(X.shape)
    dx, _, _ = F.batch_norm_backward(dy, X, None, None, training=True, device=device)
    kept, _, _ = F.batch_norm_backward(dy, X, np.zeros(4), np.ones(4), training=True, device=device)
    np.testing.assert_array_equal(dx, kept)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.batch_norm(x, B[:4], B[:4]),
        lambda x: F.relu(x),
        lambda x: F.add(x, x),
        lambda x: F.sigmoid(x),
        lambda x: F.softmax(x),
        lambda x: F.concat(x, x),
        lambda x: F.dropout(x),
        lambda x: F.flatten(x),
    ],
)
@pytest.mark.parametrize("shape", [(), (4,), (2, 4, 5, 6, 7)])
def test_only_images_sequences_and_features_are_accepted(call, shape):
    with pytest.raises(ShapeError, match=r"needs images .*, sequences .* or features \(N, C\), got an array of"):
        call(np.ones(shape))


@on_every_device
def test_arrays_of_the_other_byte_order(device):
    swapped = [a.astype(a.dtype.newbyteorder()) for a in (X, W, B)]
    y = F.conv2d(*swapped, groups=2, device=device)
    np.testing.assert_array_equal(y, F.conv2d(X, W, B, groups=2, device=device))
    assert y.dtype.isnative
    dx, dw, db = F.conv2d_backward(y.astype(">f8"), *swapped[:2], groups=2, device=device)
    for given, wanted in zip((dx, dw, db), F.conv2d_backward(y, X, W, groups=2, device=device), strict=True):
        np.testing.assert_array_equal(given, wanted)
    mean, var = np.zeros(4, ">f8"), np.ones(4, ">f8")
    F.batch_norm(X, mean, var, training=True, momentum=1.0, device=device)
    np.testing.assert_allclose(mean, X.mean(axis=(0, 2, 3)), atol=1e-12)


def test_a_gradient_of_another_dtype_is_shown_as_it_was_given():
    with pytest.raises(ShapeError) as error:
        F.relu_backward(X.astype(np.float32), X)
    assert str(error.value) == "dy must be float64 of shape (2, 4, 7, 6), like the result, got float32 (2, 4, 7, 6)"


@on_every_device
def test_a_window_larger_than_the_image_hangs_over_as_in_pytorch(device):
    x = np.arange(8.0).reshape(1, 2, 2, 2)
    assert F.max_pool2d(x, 3, ceil_mode=True, device=device).ravel().tolist() == [3, 7]
    assert F.avg_pool2d(x, 3, ceil_mode=True, device=device).ravel().tolist() == [1.5, 5.5]
    with pytest.raises(ShapeError, match="a window of 3 does not fit height 2"):
        F.max_pool2d(x, 3, stride=1, ceil_mode=True, device=device)


@on_every_device
def test_cross_entropy_by_hand(device):
    x = np.log(np.array([[1.0, 2.0, 1.0], [1.0, 1.0, 6.0]]))
    target = np.array([1, 0])
    assert F.cross_entropy(x, target, device=device) == pytest.approx((np.log(2) + np.log(8)) / 2)
    dx = F.cross_entropy_backward(2.0, x, target, device=device)
    np.testing.assert_allclose(dx, [[0.25, -0.5, 0.25], [-0.875, 0.125, 0.75]], atol=1e-15)
    assert F.accuracy(x, target, device=device) == 0.5


LOSSES = {
    "cross_entropy": (LABELS, {"weight": (1.0, 0.5, 2.0, 0.1), "label_smoothing": 0.2}),
    "hinge": (LABELS, {"margin": 1.5}),
    "mse": (RNG.standard_normal(ROWS.shape), {}),
    "bce_with_logits": (RNG.random(ROWS.shape), {}),
}
"""By function: what it compares ``ROWS`` with, and options."""


@on_every_device
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_losses_against_central_differences(name, device):
    target, options = LOSSES[name]
    loss, backward = getattr(F, name), getattr(F, f"{name}_backward")
    gradient = backward(3.0, ROWS, target, **options, device=device)
    assert gradient.shape == ROWS.shape
    for index in range(ROWS.size):
        sides = []
        for sign in (1, -1):
            moved = ROWS.copy()
            moved.flat[index] += sign * 1e-6
            sides.append(loss(moved, target, **options, device=device))
        assert 3 * (sides[0] - sides[1]) / 2e-6 == pytest.approx(gradient.flat[index], abs=1e-8)


@on_every_device
def test_losses_by_hand(device):
    scores = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])
    assert F.hinge(scores, [0, 1, 2], device=device) == pytest.approx((2.9 + 12.9) / 3)
    assert F.mse(np.array([1.0, 2.0]), np.array([3.0, 2.5]), device=device) == (4 + 0.25) / 2
    assert F.bce_with_logits(np.zeros((2, 1)), np.ones((2, 1)), device=device) == pytest.approx(np.log(2))
    logits, sides = np.array([1.0, -1.0, 0.0, 2.0]), np.array([1.0, 1.0, 0.0, 0.0])
    assert F.binary_accuracy(logits, sides, device=device) == 0.5
    images, target = RNG.standard_normal((2, 3, 4, 5)), RNG.random((2, 3, 4, 5))
    for loss in F.mse, F.bce_with_logits:
        last = [array.transpose(0, 2, 3, 1) for array in (images, target)]
        assert loss(images, target, device=device) == pytest.approx(
            loss(*last, device=device, data_format="NHWC"), rel=1e-14
        )


@on_every_device
def test_softmax_is_over_channels(device):
    want = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(F.softmax(X, device=device), want, rtol=1e-14)
    np.testing.assert_allclose(F.log_softmax(X, device=device), np.log(want), rtol=1e-13)
    last = X.transpose(0, 2, 3, 1)
    result = F.softmax(last, device=device, data_format="NHWC")
    np.testing.assert_allclose(result, want.transpose(0, 2, 3, 1), rtol=1e-14)


@on_every_device
def test_concat_joins_channels(device):
    parts = X, X[:, :1] + 7, -X[:, 1:]
    np.testing.assert_array_equal(F.concat(*parts, device=device), np.concatenate(parts, axis=1))
    last = [part.transpose(0, 2, 3, 1) for part in parts]
    result = F.concat(*last, device=device, data_format="NHWC")
    np.testing.assert_array_equal(result, np.concatenate(last, axis=3))
    gradients = F.concat_backward(result, *last, device=device, data_format="NHWC")
    for gradient, part in zip(gradients, last, strict=True):
        np.testing.assert_array_equal(gradient, part)


@on_every_device
def test_dropout_keeps_its_mask_in_backward_and_its_mean(device):
    x = np.ones((64, 3, 9, 9), np.float32)
    y = F.dropout(x, 0.3, seed=1, step=5, device=device)
    np.testing.assert_array_equal(F.dropout_backward(x, x, 0.3, seed=1, step=5, device=device), y)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert y.mean() == pytest.approx(1, abs=0.03)
    assert (F.dropout(x, 0.3, seed=1, step=6, device=device) != y).any()
    np.testing.assert_array_equal(F.dropout(x, 0.3, training=False, device=device), x)


def test_results_do_not_share_memory_with_arguments():
    x = X.copy()
    y = F.relu(x, device="cpu")
    y[...] = 7
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize(
    "name, order",
    [
        ("conv2d", ["x", "weight", "bias", "stride", "padding", "dilation", "groups", "padding_mode"]),
        ("linear", ["x", "weight", "bias"]),
        ("max_pool2d", ["x", "kernel_size", "stride", "padding", "dilation", "ceil_mode"]),
        (
            "avg_pool2d",
            ["x", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"],
        ),
        ("batch_norm", ["x", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"]),
        ("group_norm", ["x", "num_groups", "weight", "bias", "eps"]),
        ("layer_norm", ["x", "weight", "bias", "eps"]),  # the normalized_shape is that of a sample
        ("dropout", ["x", "p", "training"]),
        ("leaky_relu", ["x", "negative_slope"]),
        ("dropout2d", ["x", "p", "training"]),
        ("cross_entropy", ["x", "target"]),
        ("cross_entropy", ["x", "target", "weight"]),
        ("mse", ["x", "target"]),
        ("bce_with_logits", ["x", "target"]),
    ],
)
def test_the_order_of_arguments_is_pytorchs(name, order):
    assert list(inspect.signature(getattr(F, name)).parameters)[: len(order)] == order


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: F.conv2d(X.astype(np.float32), W), DataError, r"all float64, got x float32, weight float64"),
        (lambda: F.conv2d((X * 9).astype(int), W), DataError, r"convert with x.astype"),
        (lambda: F.conv2d(X.astype(object), W), DataError, r"got x object"),
        (lambda: F.conv2d(X, W), ShapeError, r"weight has shape \(6, 2, 3, 2\), but .* needs \(6, 4, 3, 2\)"),
        (lambda: F.conv2d(X, W[0]), ShapeError, r"weight must have shape \(out_channels, in_channels / groups"),
        (lambda: F.conv2d(X, W, B[:4], groups=2), ShapeError, r"bias has shape \(4,\)"),
        (lambda: F.conv2d(X[0], W, groups=2), ShapeError, r"Conv2d needs images"),
        (lambda: F.conv2d(X[:0], W, groups=2), DataError, r"x is empty"),
        (lambda: F.conv1d(X, W[:, :, 0]), ShapeError, r"Conv1d needs sequences \(channels, length\), got samples of"),
        (
            lambda: F.conv1d(X[0], W),
            ShapeError,
            r"weight must have shape \(out_channels, in_channels / groups, width\)",
        ),
        (
            lambda: F.conv1d(X[0, :, :2], W[:, :, 0, :1].repeat(5, 2), groups=2),
            ShapeError,
            r"has shape .* needs \(6, 1, 5\)",
        ),
        (
            lambda: F.conv_transpose2d(X, W[0]),
            ShapeError,
            r"weight must have shape \(in_channels, out_channels / groups, ",
        ),
        (lambda: F.conv_transpose2d(X, W), ShapeError, r"weight has shape \(6, 2, 3, 2\), but .* needs \(4, 2, 3, 2\)"),
        (
            lambda: F.conv_transpose2d(X, W[:4], groups=3),
            ShapeError,
            r"4 input channels do not divide by groups=3; use",
        ),
        (
            lambda: F.conv_transpose2d(X[..., :2, :], W[:4], padding=(2, 0)),
            ShapeError,
            r"a height of 0 on .* a smaller pad",
        ),
        (
            lambda: F.pad2d(X, (7, 0), "reflect"),
            ShapeError,
            r"reflect border of 7 is too large for height 7; use at most 6",
        ),
        (lambda: F.pad2d(X, (0, 0, 1, 7), "circular"), ShapeError, r"circular border of 7 .* width 6; use at most 6"),
        (lambda: F.pad2d(X[0], 1), ShapeError, r"Pad2d needs images"),
        (lambda: F.upsample(X[0], 2), ShapeError, r"Upsample needs images"),
        (lambda: F.max_pool1d(X, 2), ShapeError, r"MaxPool1d needs sequences"),
        (lambda: F.conv2d(X, W, groups=2, flip=1), OptionError, r"flip must be True or False, got 1"),
        (lambda: F.conv2d(X, W, groups=2, device="tpu"), DeviceError, r"unknown device 'tpu'"),
        (lambda: F.conv2d(X, W, groups=2, data_format="CHWN"), OptionError, r"data_format must be"),
        (lambda: F.conv2d_backward(X, X, W, groups=2), ShapeError, r"dy must be float64 of shape \(2, 6, 5, 5\)"),
        (lambda: F.batch_norm(X, B[:4], B[:4], weight=B[:4]), OptionError, r"pass both or neither"),
        (lambda: F.batch_norm(X[:1, :, :1, :1], B[:4], B[:4], training=True), ShapeError, r"more than one value"),
        (lambda: F.batch_norm(X, B, B), ShapeError, r"running_mean has shape \(6,\)"),
        (lambda: F.cross_entropy(ROWS, LABELS + 1), DataError, r"target.*must be from 0 to 3"),
        (lambda: F.cross_entropy(ROWS, LABELS, weight=(1, 2)), ShapeError, r"weights for 2 classes, .* are 4 logits"),
        (lambda: F.hinge(ROWS, ROWS), ShapeError, r"target must be one label per sample"),
        (lambda: F.hinge(ROWS, LABELS, margin=0), OptionError, r"margin must be positive"),
        (lambda: F.mse(ROWS, LABELS), ShapeError, r"target must have the shape of the output, \(5, 4\), got \(5,\)"),
        (lambda: F.mse(ROWS, ROWS[:3]), ShapeError, r"5 samples, but 3 targets in target"),
        (lambda: F.mse(ROWS, ROWS.astype(np.float32)), DataError, r"got x float64, target float32"),
        (
            lambda: F.mse(ROWS, np.where(ROWS > 0, np.nan, ROWS)),
            DataError,
            r"target has .* not finite.*; repair the data$",
        ),
        (lambda: F.mse(1.0, 1.0), ShapeError, r"x must have a batch axis"),
        (lambda: F.bce_with_logits(ROWS, 1 + ROWS**2), DataError, r"target is .* at index \(0, 0\), .* from 0 to 1"),
        (lambda: F.cross_entropy(ROWS, LABELS[:3]), ShapeError, r"5 samples, but 3 labels"),
        (lambda: F.cross_entropy(ROWS[0], LABELS), ShapeError, r"logits must be \(N, C\)"),
        (lambda: F.add(X, X[:1]), ShapeError, r"Add needs two equal shapes"),
        (lambda: F.concat(X), DataError, r"two or more arrays, got 1; write concat\(a, b\), not concat\(\[a, b\]\)"),
        (lambda: F.concat(X, X[:1]), ShapeError, r"value 1 has shape \(1, 7, 6, 4\) and value 0 has \(2, 7, 6, 4\)"),
        (lambda: F.concat(X, X[:, :, 1:]), ShapeError, r"value 1 has shape \(6, 6, 4\) and value 0 has \(7, 6, 4\)"),
        (lambda: F.concat(X, X[:, :0]), DataError, r"x1 is empty"),
        (lambda: F.concat(X, X.astype(np.float32)), DataError, r"x0 float64, x1 float32"),
        (lambda: F.concat_backward(X, X, X), ShapeError, r"dy must be float64 of shape \(2, 8, 7, 6\)"),
        (lambda: F.leaky_relu(X, -0.1), OptionError, r"negative_slope must be zero or more, and finite, got -0.1"),
        (
            lambda: F.batch_norm(X, [0.0] * 4, np.ones(4), training=True),
            DataError,
            r"running_mean is updated .* got list",
        ),
        (lambda: F.batch_norm(X, np.zeros(4), FROZEN, training=True), DataError, r"running_var .* a read-only array"),
        (lambda: F.batch_norm(X, None, None), OptionError, r"with training=False, running_mean and running_var are"),
        (lambda: F.batch_norm(X, None, B[:4]), OptionError, r"running_mean and running_var come together"),
        (lambda: F.batch_norm(X, B[:4], B[:4], training="yes"), OptionError, r"training must be True or False"),
        (lambda: F.relu([[1.0, 2.0], [3.0]]), DataError, r"x is ragged"),
        (lambda: F.linear(ROWS, [[1.0, 2.0], [3.0]]), DataError, r"weight is ragged"),
        (lambda: F.cross_entropy(ROWS, [[1], [2, 3]]), DataError, r"target is ragged"),
        (lambda: F.cross_entropy([[1.0], [2.0, 3.0]], [0, 1]), DataError, r"x is ragged"),
        (lambda: F.relu_backward([[1.0], [2.0, 3.0]], ROWS), DataError, r"dy is ragged"),
        (lambda: F.dropout(X, seed=1.9), OptionError, r"seed must be an integer of at least 0, got 1.9"),
        (lambda: F.dropout(X, seed=2**64), OptionError, r"seed must be an integer of at most 9223372036854775807"),
        (lambda: F.dropout(X, step=-1), OptionError, r"step must be an integer of at least 0, got -1"),
        (lambda: F.dropout2d(X, seed=-1), OptionError, r"seed must be an integer of at least 0, got -1"),
        (lambda: F.layer_norm(X, B[:4], B[:4]), ShapeError, r"weight has shape \(4,\), but .* needs \(4, 7, 6\)"),
        (lambda: F.layer_norm(ROWS, X[0], X[0]), ShapeError, r"weight has shape \(4, 7, 6\), but .* needs \(4,\)"),
        (lambda: F.layer_norm(X[None]), ShapeError, r"LayerNorm needs images \(N, C, H, W\), sequences .* or features"),
        (lambda: F.layer_norm(ROWS[:, :1]), ShapeError, r"single values, .* more than one feature"),
        (lambda: F.group_norm(X, 3), ShapeError, r"4 channels into num_groups=3 .* divides 4 \(1, 2, 4\)"),
        (lambda: F.group_norm(ROWS, 4), ShapeError, r"single values, .* use a smaller num_groups"),
        (lambda: F.group_norm(X, 2, B[:4]), OptionError, r"pass both or neither"),
        (lambda: F.group_norm(X, 2, B, B), ShapeError, r"weight has shape \(6,\), but .* needs \(4,\)"),
        (lambda: F.instance_norm(ROWS), ShapeError, r"InstanceNorm needs images"),
        (lambda: F.instance_norm(X[:, :, :1, :1]), ShapeError, r"single values, .* more than one pixel"),
        (lambda: F.global_max_pool2d(ROWS), ShapeError, r"GlobalMaxPool2d needs images"),
        (lambda: F.max_pool2d(X, 9), ShapeError, r"a window of 9 does not fit height 7"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_every_layer_has_a_function():
    layers = {
        "Conv2d",
        "Linear",
        "MaxPool2d",
        "AvgPool2d",
        "GlobalAvgPool2d",
        "ReLU",
        "BatchNorm",
        "Dropout",
        "Dropout2d",
        "Flatten",
        "Add",
        "LeakyReLU",
        "Sigmoid",
        "Tanh",
        "Softmax",
        "LogSoftmax",
        "Concat",
        "GlobalMaxPool2d",
        "GroupNorm",
        "InstanceNorm",
        "LayerNorm",
    }
    assert layers <= set(nc.__all__)
    assert all(hasattr(F, f"{name}_backward") for name in (*CALLS, *NORMS, "batch_norm", "cross_entropy"))
    assert all(hasattr(F, f"{name}_backward") for name in (*CALLS, *LOSSES, "batch_norm"))


@pytest.mark.parametrize("dy", [None, "1", True, 1j, [1.0], np.ones(1), np.ones((5, 4)), np.array("1")], ids=repr)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_of_a_loss_is_a_number(loss, dy):
    target, options = LOSSES[loss]
    with pytest.raises(OptionError, match="dy must be the number that the loss is multiplied by, such as 1.0, got"):
        getattr(F, f"{loss}_backward")(dy, ROWS, target, **options, device="reference")


@pytest.mark.parametrize("dy", [2, np.float32(2), np.int64(2), np.array(2.0)], ids=repr)
def test_any_kind_of_number_is_a_gradient(dy):
    want = F.mse_backward(2.0, ROWS, 0 * ROWS, device="reference")
    np.testing.assert_array_equal(F.mse_backward(dy, ROWS, 0 * ROWS, device="reference"), want)


@on_every_device
@pytest.mark.parametrize("name", ["mse", "bce_with_logits", "binary_accuracy"])
def test_targets_may_be_truth_values_and_integers(name, device):
    target = ROWS > 0.1
    for x in ROWS, ROWS.astype(np.float32):
        want = getattr(F, name)(x, target.astype(x.dtype), device=device)
        assert [getattr(F, name)(x, t, device=device) for t in (target, target.astype(int))] == [want, want]


@on_every_device
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_of_infinite_logits(dtype, device):
    """Infinite for every target but the one that the logit is sure of."""
    for x, targets in (np.inf, (0, 0.5)), (-np.inf, (0.5, 1)):
        for target in targets:
            with np.errstate(invalid="ignore"):
                logits, wanted = np.array([1, x], dtype), np.array([1, target], dtype)
                assert F.bce_with_logits(logits, wanted, device=device) == np.inf
                assert np.isnan(F.bce_with_logits_backward(1.0, logits, wanted, device=device)).all()


EXAMPLE = r"``(?P<name>\w+)\((?P<given>[^`]*)\)``: (?P<operands>.*?) give (?P<result>[^.]*)\."
NAMES = r"(\w+(?:, \w+)*(?: and \w+)?) (\([\d, ]+\))"


def shapes(text):
    """``shapes("dy and x (8, 3), bias (3,)") == {"dy": (8, 3), "x": (8, 3), "bias": (3,)}``."""
    return {
        name: tuple(map(int, re.findall(r"\d+", shape)))
        for names, shape in re.findall(NAMES, text)
        for name in re.split(", | and ", names)
    }


@pytest.mark.parametrize("name", [*(name for name in F.__all__ if name.endswith("_backward")), "layer_norm"])
def test_examples_of_docstrings(name):
    """Each says with which shapes it is called and what comes of it, and that is so."""
    example = re.search(EXAMPLE, " ".join(inspect.getdoc(getattr(F, name)).split()))
    assert example and example["name"] == name
    operands = {n: RNG.random(shape) for n, shape in shapes(example["operands"]).items()}
    if "target" in operands and len(operands["target"].shape) == 1:
        operands["target"] = np.zeros(operands["target"].shape, int)
    result = eval(f"F.{name}({example['given']}, device='reference')", {"F": F, **operands})
    got = [array.shape for array in (result if isinstance(result, tuple) else [result])]
    assert got == list(shapes(example["result"]).values())
