"""Nets on sequences: the same as nets on images of height 1, from the input to the model file."""

import numpy as np
import pytest
from devices import DEVICES

import nbconv as nc
from nbconv.engine.rewrites import for_inference, for_training
from nbconv.errors import GraphError, OptionError, ShapeError

on_every_device = pytest.mark.parametrize("device", DEVICES)
RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 3, 21))
Y = np.arange(6) % 4


def net(device="reference", **options):
    x = nc.Input((3, 21))
    stem = nc.ReLU()(nc.BatchNorm()(nc.Conv1d(8, 5, padding=2, bias=False)(x)))
    block = nc.Dropout(0.2)(nc.Conv1d(8, 3, padding="same", groups=2, padding_mode="circular")(stem))
    pooled = nc.MaxPool1d(2)(nc.ReLU()(nc.Conv1d(6, 3, padding="full", flip=True)(nc.Add()(block, stem))))
    features = nc.Flatten()(nc.AvgPool1d(3, stride=2, padding=1)(pooled))
    return nc.Model(x, nc.Linear(4)(features), device=device, dtype="float64", seed=2, **options)


def twin(device="reference", **options):
    """The same net on images of height 1."""
    x = nc.Input((3, 1, 21))
    stem = nc.ReLU()(nc.BatchNorm()(nc.Conv2d(8, (1, 5), padding=(0, 2), bias=False)(x)))
    block = nc.Conv2d(8, (1, 3), padding="same", groups=2, padding_mode="circular")(stem)
    block = nc.Dropout(0.2)(block)
    pooled = nc.MaxPool2d((1, 2))(nc.ReLU()(nc.Conv2d(6, (1, 3), padding="full", flip=True)(nc.Add()(block, stem))))
    features = nc.Flatten()(nc.AvgPool2d((1, 3), stride=(1, 2), padding=(0, 1))(pooled))
    return nc.Model(x, nc.Linear(4)(features), device=device, dtype="float64", seed=2, **options)


@on_every_device
@pytest.mark.parametrize("rewrite", [True, False])
def test_a_net_on_sequences_is_one_on_images_of_height_one(device, rewrite):
    nets = net(device, rewrite=rewrite), twin(device, rewrite=rewrite)
    for model in nets:
        model.compile(nc.SGD(lr=0.1, momentum=0.9))
    nets[1].load_state_dict({n: a[:, :, None] if a.ndim == 3 else a for n, a in nets[0].state_dict().items()})
    losses = [
        [model.train_on_batch(x, Y)["loss"] for _ in range(4)]
        for model, x in zip(nets, (X, X[:, :, None]), strict=True)
    ]
    assert losses[0] == losses[1]
    assert losses[0][3] < losses[0][0]
    np.testing.assert_array_equal(nets[0].predict(X), nets[1].predict(X[:, :, None]))


def test_arrays_have_pytorchs_shapes():
    shapes = {name: array.shape for name, array in net().state_dict().items()}
    assert shapes["0.weight"] == (8, 3, 5) and shapes["3.weight"] == (8, 4, 3) and shapes["6.weight"] == (6, 8, 3)


@on_every_device
def test_channels_last_is_the_same_net(device):
    layers = nc.Conv1d(4, 3, padding=1), nc.ReLU(), nc.MaxPool1d(2)
    first = nc.Sequential(*layers, input_shape=(3, 20), device=device, dtype="float64")
    last = nc.Sequential(*layers, input_shape=(20, 3), device=device, dtype="float64", data_format="NHWC")
    assert first.input_shapes == [(3, 20)] and last.input_shapes == [(20, 3)]
    x, dy = X[:, :, :20], RNG.standard_normal((6, 4, 10))
    np.testing.assert_array_equal(last.predict(x.swapaxes(1, 2)), first.predict(x).swapaxes(1, 2))
    first.forward(x, training=True, input_gradients=True)
    last.forward(x.swapaxes(1, 2), training=True, input_gradients=True)
    gradients = first.backward(dy), last.backward(dy.swapaxes(1, 2))
    np.testing.assert_array_equal(gradients[1]["input"], gradients[0]["input"].swapaxes(1, 2))
    np.testing.assert_array_equal(gradients[1]["0.weight"], gradients[0]["0.weight"])


def test_flatten_has_pytorchs_order():
    model = nc.Sequential(nc.Flatten(), input_shape=(3, 21), device="reference", dtype="float64")
    np.testing.assert_array_equal(model.predict(X), X.reshape(6, -1))


@on_every_device
def test_a_saved_net_comes_back(tmp_path, device):
    model = net(device)
    model.compile("adam")
    model.fit(X, Y, batch_size=3, verbose=0)
    model.save(tmp_path / "net.safetensors")
    loaded = nc.load(tmp_path / "net.safetensors", device=device)
    assert loaded.graph == model.graph
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_every_new_layer_comes_back_from_a_file(tmp_path):
    layers = [
        nc.Pad2d((1, 0, 2, 1), "reflect"),
        nc.Conv2d(4, 3, padding="full", flip=True),
        nc.ConvTranspose2d(5, 3, 2, 1, 1, dilation=(1, 2)),
        nc.Upsample((1, 2)),
        nc.ReLU(),
    ]
    model = nc.Sequential(layers, input_shape=(2, 5, 6), device="reference")
    model.save(tmp_path / "net.safetensors")
    loaded = nc.load(tmp_path / "net.safetensors", device="reference")
    x = RNG.standard_normal((2, 2, 5, 6))
    assert loaded.graph == model.graph
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))


def test_summary(capsys):
    net().summary()
    table = capsys.readouterr().out
    assert "8x21" in table and "6x11" in table
    assert f"{8 * 3 * 5 * 21:,}" in table  # multiply-adds of the stem


@on_every_device
def test_one_label_per_place(device):
    """A net whose output is a sequence learns a label for each of its places: here, the sign of the input."""
    model = nc.Sequential(nc.Conv1d(2, 1), input_shape=(1, 15), device=device, dtype="float64")
    x = RNG.standard_normal((8, 1, 15))
    y = (x[:, 0] > 0).astype(int)
    model.compile(nc.SGD(lr=1.0))
    model.fit(x, y, batch_size=4, epochs=30, verbose=0)
    assert model.evaluate(x, y)["accuracy"] > 0.95
    with pytest.raises(ShapeError, match=r"one label per pixel, shape \(8, 15\), got \(8,\)"):
        model.fit(x, y[:, 0], verbose=0)
    loss = nc.functional.cross_entropy(model.predict(x), y, device=device)
    assert loss == pytest.approx(model.evaluate(x, y)["loss"], rel=1e-12)


def ops(graph):
    return [graph.nodes[i].op for i in graph.steps]


def graph(*layers, shape):
    return nc.Sequential(*layers, input_shape=shape, device="reference").graph


def test_what_becomes_one_node():
    layers = nc.Conv1d(4, 3), nc.BatchNorm(), nc.ReLU(), nc.MaxPool1d(2)
    assert ops(for_training(graph(*layers, shape=(2, 9)))) == [
        nc.Conv1d(4, 3, measures=True),
        nc.BatchNorm(activation="relu"),
        nc.MaxPool1d(2),
    ]
    assert ops(for_inference(graph(*layers, shape=(2, 9)))) == [
        nc.Conv1d(4, 3, activation="relu", pool=nc.MaxPool1d(2))
    ]
    spread = graph(nc.ConvTranspose2d(4, 3), nc.ReLU(), nc.MaxPool2d(2), shape=(2, 9, 9))
    assert ops(for_training(spread)) == [nc.ConvTranspose2d(4, 3, activation="relu"), nc.MaxPool2d(2)]


@on_every_device
def test_a_batch_norm_is_folded_into_a_true_convolution(device):
    layers = nc.Conv2d(6, (3, 2), padding=1, flip=True, groups=3), nc.BatchNorm(), nc.ReLU()
    plain, folded = (
        nc.Sequential(*layers, input_shape=(3, 7, 6), device=device, dtype="float64", rewrite=rewrite)
        for rewrite in (False, True)
    )
    state = {name: RNG.random(array.shape) + 0.5 for name, array in plain.state_dict().items()}
    x = RNG.standard_normal((2, 3, 7, 6))
    for model in plain, folded:
        model.load_state_dict(state)
    np.testing.assert_allclose(folded.predict(x), plain.predict(x), rtol=1e-12, atol=1e-12)


def test_what_does_not_fit_is_named():
    with pytest.raises(
        ShapeError, match=r"layer 0 \(Conv1d\): Conv1d needs sequences .* got samples of shape \(8, 8, 1\)"
    ):
        nc.Sequential(nc.Conv1d(4, 3), input_shape=(1, 8, 8))
    with pytest.raises(ShapeError, match=r"layer 0 \(Conv2d\): Conv2d needs images .* got samples of shape \(8, 1\)"):
        nc.Sequential(nc.Conv2d(4, 3), input_shape=(1, 8))
    with pytest.raises(ShapeError, match=r"layer 1 \(Conv1d\): 4 input channels do not divide by groups=3"):
        nc.Sequential(nc.Conv1d(4, 3), nc.Conv1d(3, 3, groups=3), input_shape=(1, 8))
    with pytest.raises(ShapeError, match=r"layer 0 \(MaxPool1d\): a window of 5 does not fit length 3"):
        nc.Sequential(nc.MaxPool1d(5), input_shape=(1, 3))
    with pytest.raises(ShapeError, match=r"layer 0 \(Linear\): Linear needs flat features"):
        nc.Sequential(nc.Linear(4), input_shape=(1, 3))
    with pytest.raises(GraphError, match=r"write Conv1d\(\.\.\.\)"):
        nc.Sequential(nc.Conv1d, input_shape=(1, 3))
    model = nc.Sequential(nc.Conv1d(4, 3), input_shape=(3, 20), device="reference")
    with pytest.raises(
        ShapeError, match=r'x must have shape \(N, 3, 20\) \(data_format="NCHW"\), got \(6, 20, 3\); .*"NHWC"'
    ):
        model.predict(X[:, :, :20].swapaxes(1, 2))


@on_every_device
def test_norms_of_sequences_are_those_of_images_of_height_one(device):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 2, 4, 6))
    weight, bias = rng.standard_normal((2, 4))
    for name, arguments in (("group_norm", (2, weight, bias)), ("instance_norm", (weight, bias))):
        forward, backward = getattr(nc.functional, name), getattr(nc.functional, f"{name}_backward")
        image = forward(x[:, :, None], *arguments, device=device)
        np.testing.assert_allclose(forward(x, *arguments, device=device), image[:, :, 0], rtol=1e-12)
        gradients = backward(dy, x, *arguments, device=device)
        of_image = backward(dy[:, :, None], x[:, :, None], *arguments, device=device)
        np.testing.assert_allclose(gradients[0], of_image[0][:, :, 0], rtol=1e-9)
    weight, bias = rng.standard_normal((2, 4, 6))
    image = nc.functional.layer_norm(x[:, :, None], weight[:, None], bias[:, None], device=device)
    np.testing.assert_allclose(nc.functional.layer_norm(x, weight, bias, device=device), image[:, :, 0], rtol=1e-12)


@pytest.mark.parametrize(
    "build, error, message",
    [
        (lambda: nc.Conv1d(4, 3, padding="sam"), OptionError,
         r'padding must be "same", "valid", "full", an integer or a pair \(left, right\), got \'sam\''),
        (lambda: nc.MaxPool1d(3, padding="full"), OptionError,
         r'padding must be "same", "valid", an integer or a pair \(left, right\), got'),
        (lambda: nc.Conv1d(4, 3, padding=1.5), OptionError, "padding must be an integer of at least 0, got 1.5"),
        (lambda: nc.Conv1d(4, 3, padding=(1, 2, 3)), OptionError, r"padding of a sequence takes 1 or 2 \(left,"),
        (lambda: nc.AvgPool1d(4, padding=3), OptionError, r"padding \(3, 3\) exceeds half of the window 4: a window"),
        (lambda: nc.MaxPool1d(2, padding=3, dilation=4), OptionError, r"exceeds half of the window 5: a window"),
        (lambda: nc.Conv1d(4, 30)(nc.Input((2, 9))), ShapeError,
         r"layer 0 \(Conv1d\): a window of 30 does not fit length 9 with padding 0 \+ 0; use a smaller kernel_size"),
        (lambda: nc.AvgPool1d(10)(nc.Input((2, 9))), ShapeError, "a window of 10 does not fit length 9"),
        (lambda: nc.Conv1d(4, 3, padding=(2, 10), padding_mode="circular")(nc.Input((2, 9))), ShapeError,
         r"circular padding 2 \+ 10 wraps more than once round length 9; use at most 9"),
        (lambda: nc.Conv2d(4, 3, padding=(1, 10), padding_mode="circular")(nc.Input((2, 20, 9))), ShapeError,
         r"circular padding 10 \+ 10 wraps more than once round width 9; use at most 9"),
    ],
)  # fmt: skip
def test_messages_speak_of_sequences(build, error, message):
    with pytest.raises(error, match=message):
        build()
