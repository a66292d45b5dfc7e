"""Functions on arrays: layouts and argument order as in PyTorch, gradients against central differences."""

import inspect

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
    "flatten": ((X,), {}, 1),
    "add": ((X, RNG.standard_normal(X.shape)), {}, 2),
    "dropout": ((X, 0.4), {"seed": 3, "step": 2}, 1),
}
"""By function: positional arguments, options, and how many of the first arguments have a gradient."""


@on_every_device
@pytest.mark.parametrize("name", CALLS)
def test_gradients_against_central_differences(name, device):
    args, options, differentiable = CALLS[name]
    forward, backward = getattr(F, name), getattr(F, f"{name}_backward")
    y = forward(*args, **options, device=device)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    given = args[:2] if name in ("conv2d", "linear") else args  # their backward takes no bias
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
        lambda x: F.dropout(x),
        lambda x: F.flatten(x),
    ],
)
@pytest.mark.parametrize("shape", [(), (4,), (2, 4, 5), (2, 4, 5, 6, 7)])
def test_only_images_and_features_are_accepted(call, shape):
    with pytest.raises(ShapeError, match=r"needs images \(N, C, H, W\) or features \(N, C\), got an array of shape"):
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
        ("dropout", ["x", "p", "training"]),
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
        (lambda: F.mse(ROWS, np.where(ROWS > 0, np.nan, ROWS)), DataError, r"target has .* not finite"),
        (lambda: F.mse(1.0, 1.0), ShapeError, r"x must have a batch axis"),
        (lambda: F.bce_with_logits(ROWS, 1 + ROWS**2), DataError, r"target is .* at index \(0, 0\), .* from 0 to 1"),
        (lambda: F.cross_entropy(ROWS, LABELS[:3]), ShapeError, r"5 samples, but 3 labels"),
        (lambda: F.cross_entropy(ROWS[0], LABELS), ShapeError, r"logits must be \(N, C\)"),
        (lambda: F.add(X, X[:1]), ShapeError, r"Add needs two equal shapes"),
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
        "Flatten",
        "Add",
    }
    assert layers <= set(nc.__all__)
    assert all(hasattr(F, f"{name}_backward") for name in (*CALLS, *LOSSES, "batch_norm"))
