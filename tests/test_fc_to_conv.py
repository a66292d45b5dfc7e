"""Linear layers as convolutions: the same numbers, and on larger images those of all crops at once."""

import numpy as np
import pytest
from devices import DEVICES

from nbconv import (
    Add,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    GroupNorm,
    Input,
    InstanceNorm,
    LayerNorm,
    Linear,
    MaxPool2d,
    Model,
    ReLU,
    Sequential,
    Upsample,
    fc_to_conv,
    load,
    zoo,
)
from nbconv.errors import GraphError, OptionError, ShapeError

on_every_device = pytest.mark.parametrize("device", DEVICES)


def images(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def crops(x, size, step, count):
    """All crops of one image, (count * count, C, size, size)."""
    places = [step * i for i in range(count)]
    return np.concatenate([x[:, :, i : i + size, j : j + size] for i in places for j in places])


def separately(model, x, size, step, count):
    """The logits of all crops, (1, classes, count, count)."""
    logits = model.predict(crops(x, size, step, count))
    return logits.reshape(1, count, count, -1).transpose(0, 3, 1, 2)


def unpadded(device="reference", **options):
    """Shaped like AlexNet, with a total stride of 32, but without a border anywhere."""
    layers = [
        *(Conv2d(4, 11, stride=4), ReLU(), MaxPool2d(3, stride=2)),
        *(Conv2d(6, 5), BatchNorm(), ReLU(), MaxPool2d(3, stride=2)),
        *(Conv2d(8, 3), ReLU(), Conv2d(8, 3), ReLU(), MaxPool2d(2)),
        *(Flatten(), Dropout(), Linear(12), BatchNorm(), ReLU(), Dropout(), Linear(5)),
    ]
    model = Sequential(*layers, input_shape=(3, 224, 224), device=device, seed=0, **options)
    rng = np.random.default_rng(1)
    state = {
        name: a + rng.uniform(0, 0.3, a.shape) if "running" in name else a for name, a in model.state_dict().items()
    }
    model.load_state_dict(state)
    return model


@on_every_device
def test_one_pass_equals_the_36_crops_without_padding(device):
    model, x = unpadded(device), images(1, 3, 384, 384)
    sliding = fc_to_conv(model, (3, 384, 384))
    logits = sliding.predict(x)
    assert logits.shape == (1, 5, 6, 6)
    want = separately(model, x, 224, 32, 6)
    assert abs(logits - want).max() <= 1e-5 * abs(want).max()
    assert abs(np.diff(want, axis=-1)).min() > 0  # the crops do differ


def test_with_padding_the_borders_of_the_crops_differ():
    """A crop has zeros round it where the larger image goes on; nothing differs where there is no larger image."""
    model = zoo.AlexNet(num_classes=5, hidden_dim=16, device="cpu", seed=0)
    x = images(1, 3, 384, 384)
    logits = fc_to_conv(model, (3, 384, 384)).predict(x)
    assert logits.shape == (1, 5, 6, 6)
    want = separately(model, x, 224, 32, 6)
    assert abs(logits - want).max() > 1e-2 * abs(want).max()
    own = fc_to_conv(model).predict(x[:, :, :224, :224])
    assert own.shape == (1, 5, 1, 1)
    np.testing.assert_allclose(own[..., 0, 0], model.predict(x[:, :, :224, :224]), atol=1e-5 * abs(want).max())


def test_padding_changes_a_crop_from_its_border_inwards():
    """Each padded convolution of 3x3 lets the zeros round a crop reach one pixel further."""
    depth, size, at = 3, 16, 5
    layers = [Conv2d(2, 3, padding=1) for _ in range(depth)]
    x = images(1, 1, 32, 32)
    whole = Sequential(*layers, input_shape=(1, 32, 32), device="reference", seed=0)
    crop = Sequential(*layers, input_shape=(1, size, size), device="reference", seed=0)
    there = slice(at, at + size)
    differs = abs(crop.predict(x[..., there, there]) - whole.predict(x)[..., there, there]).max(axis=(0, 1)) > 1e-4
    inside = np.zeros((size, size), bool)
    inside[depth:-depth, depth:-depth] = True
    np.testing.assert_array_equal(differs, ~inside)


def test_alexnet_s_thousand_classes():
    sliding = fc_to_conv(zoo.AlexNet(hidden_dim=8, device="reference"), (3, 384, 384))
    (output,) = sliding.graph.outputs
    assert sliding.graph.shapes(1)[output] == (1, 6, 6, 1000)
    wider = fc_to_conv(sliding, (3, 384, 416))  # a converted net can be converted again
    assert wider.summary(print=False).rows[-1].shape == (1000, 6, 7)


def test_names_and_weights_are_kept():
    model = unpadded()
    sliding = fc_to_conv(model)
    before, after = model.state_dict(), sliding.state_dict()
    assert list(after) == list(before)
    assert after["14.weight"].shape == (12, 8, 3, 3)
    assert all(after[name].ravel().tobytes() == before[name].ravel().tobytes() for name in before)
    assert sliding.summary(print=False).parameters == model.summary(print=False).parameters
    assert not any(isinstance(node.op, (Flatten, Linear)) for node in sliding.graph.nodes)


def test_the_model_s_options_are_kept():
    sliding = fc_to_conv(unpadded(dtype="float64", rewrite=False, threads=1))
    assert (sliding.dtype, sliding.rewrite, sliding.threads, str(sliding.device)) == ("float64", False, 1, "reference")


def test_channels_last():
    last = Sequential(Conv2d(3, 3), Flatten(), Linear(4), input_shape=(6, 8, 2), data_format="NHWC", device="reference")
    x = images(1, 9, 10, 2)
    logits = fc_to_conv(last, (9, 10, 2)).predict(x)
    assert logits.shape == (1, 4, 3, 4)
    np.testing.assert_allclose(logits[0, 2, 1], last.predict(x[:, 2:8, 1:9])[0], atol=1e-5)


def test_a_graph_with_branches():
    """Two branches of features, joined after they were flattened, and after a linear layer."""
    x = Input((2, 12, 12))
    a, b = AvgPool2d(2)(Conv2d(3, 3)(x)), MaxPool2d(2)(Conv2d(3, 3)(x))
    features = Dropout()(Add()(ReLU()(Flatten()(a)), Flatten()(b)))
    joined = Add()(Linear(4)(features), Linear(4)(GlobalAvgPool2d()(a)))
    model = Model(x, [Linear(3)(ReLU()(joined)), joined], device="reference", seed=2)
    image = images(1, 2, 16, 16)
    for got, part in zip(fc_to_conv(model, (2, 16, 16)).predict(image), (0, 1), strict=True):
        want = [model.predict(image[:, :, i : i + 12, j : j + 12])[part][0] for i in (0, 2, 4) for j in (0, 2, 4)]
        np.testing.assert_allclose(got[0].reshape(len(got[0]), 9).T, want, atol=1e-5)


def test_a_residual_net():
    """Global average pooling becomes a pool of the size of the image it saw."""
    model = zoo.ResNet8(device="reference", seed=0)
    assert fc_to_conv(model, (3, 40, 36)).predict(images(1, 3, 40, 36)).shape == (1, 10, 3, 2)
    x = images(2, 3, 32, 32)
    np.testing.assert_allclose(fc_to_conv(model).predict(x)[..., 0, 0], model.predict(x), atol=1e-5)


def test_a_net_without_linear_layers():
    model = Sequential(Conv2d(3, 3), ReLU(), input_shape=(1, 5, 5), device="reference", seed=0)
    x = images(1, 1, 7, 6)
    np.testing.assert_array_equal(fc_to_conv(model, (1, 7, 6)).predict(x)[..., :3, :3], model.predict(x[..., :5, :5]))


def test_the_converted_net_is_saved_and_trained(tmp_path):
    sliding = fc_to_conv(
        Sequential(Conv2d(3, 3), Flatten(), Linear(4), input_shape=(1, 5, 5), device="reference"), (1, 7, 6)
    )
    sliding.save(tmp_path / "sliding.safetensors")
    x = images(2, 1, 7, 6)
    again = load(tmp_path / "sliding.safetensors", device="reference")
    np.testing.assert_array_equal(again.predict(x), sliding.predict(x))
    dy = np.ones_like(sliding.forward(x, training=True))
    assert sliding.backward(dy)["2.weight"].shape == (4, 3, 3, 3)


def sequential(*layers, shape=(1, 6, 6)):
    return Sequential(*layers, input_shape=shape, device="reference")


def branches():
    x = Input((1, 8, 8))
    small, large = Conv2d(2, 8)(x), Conv2d(2, 4)(MaxPool2d(2)(x))
    return Model(x, Add()(Linear(2)(Flatten()(small)), Linear(2)(Flatten()(large))), device="reference")


def mixed():
    x = Input((1, 2, 2))
    return Model(x, Add()(Linear(4)(Flatten()(x)), Flatten()(x)), device="reference")


@pytest.mark.parametrize(
    "build, error, message",
    [
        (lambda: fc_to_conv(Linear(3)), OptionError, r"needs a model, got Linear\(3\)"),
        (lambda: fc_to_conv(sequential(Linear(3), shape=(4,))), GraphError, r"a model of images, got .* shape \(4,\)"),
        (
            lambda: fc_to_conv(Model([x := Input((1, 4, 4)), z := Input((1, 4, 4))], Add()(x, z), device="reference")),
            GraphError,
            "one with 2",
        ),
        (lambda: fc_to_conv(unpadded(), (3, 223, 384)), ShapeError, r"at least as large as the \(3, 224, 224\)"),
        (lambda: fc_to_conv(unpadded(), (4, 384, 384)), ShapeError, r"as many channels, got \(4, 384, 384\)"),
        (lambda: fc_to_conv(unpadded(), (5,)), ShapeError, r"got \(5,\)"),
        (
            lambda: fc_to_conv(sequential(Flatten(), BatchNorm(), Linear(3))),
            GraphError,
            r"layer 1 \(BatchNorm\) works on a flattened image of 6x6 pixels.*move it before Flatten",
        ),
        (lambda: fc_to_conv(sequential(Flatten())), GraphError, r"returns a flattened image.*put a Linear layer"),
        (lambda: fc_to_conv(mixed()), GraphError, r"layer \d \(Add\) joins features of a flattened image"),
        (lambda: fc_to_conv(branches(), (1, 9, 9)), ShapeError, r"branches .* on images of \(1, 9, 9\): Add needs two"),
    ],
)
def test_what_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize(
    "layers",
    [
        [LayerNorm(), Flatten(), Linear(3)],
        [Conv2d(4, 3), GroupNorm(2), Flatten(), Linear(3)],
        [Conv2d(4, 3), InstanceNorm(), Flatten(), Linear(3)],
        [Flatten(), Linear(4), ReLU(), LayerNorm(), Linear(3)],
    ],
    ids=str,
)
def test_layers_that_look_at_the_whole_image(layers):
    with pytest.raises(GraphError, match=r"Norm\) looks at the whole of its input at once.*such as BatchNorm"):
        fc_to_conv(sequential(*layers), (1, 8, 8))


@pytest.mark.parametrize("layer", [Upsample(2), Upsample((1, 2)), ConvTranspose2d(2, 2, stride=2)], ids=str)
def test_layers_that_enlarge(layer):
    with pytest.raises(GraphError, match=rf"layer 1 \({type(layer).__name__}\) makes several values of one pixel"):
        fc_to_conv(sequential(MaxPool2d(2), layer, Flatten(), Linear(3)), (1, 8, 8))


def test_transposed_convolutions_of_stride_one_slide():
    model = sequential(ConvTranspose2d(2, 3, padding=2), Flatten(), Linear(3))  # no border: padding takes away
    x = images(1, 1, 8, 7)
    want = [model.predict(x[:, :, i : i + 6, j : j + 6])[0] for i in range(3) for j in range(2)]
    np.testing.assert_allclose(fc_to_conv(model, (1, 8, 7)).predict(x)[0].reshape(3, 6).T, want, atol=1e-5)


@pytest.mark.parametrize("pool", [MaxPool2d(2, ceil_mode=True), AvgPool2d(8, ceil_mode=True)], ids=str)
def test_windows_that_hang_over(pool):
    model = sequential(pool, Flatten(), Linear(3), shape=(1, 7, 7))
    with pytest.raises(GraphError, match=r"layer 0 \(\w+Pool2d\) has ceil_mode=True, .* edge of its input of 7x7"):
        fc_to_conv(model, (1, 9, 9))


@pytest.mark.parametrize("kind", [MaxPool2d, AvgPool2d])
def test_windows_that_do_not_hang_over_do_not_in_larger_images(kind):
    """The last window of 9 pixels would hang over: it is no crop of 6 pixels."""
    model = sequential(kind(2, ceil_mode=True), Conv2d(2, 2), Flatten(), Linear(3))
    x = images(1, 1, 9, 9)
    logits = fc_to_conv(model, (1, 9, 9)).predict(x)
    assert logits.shape == (1, 3, 2, 2)
    np.testing.assert_allclose(logits, separately(model, x, 6, 2, 2), atol=1e-5)
