"""Values joined along channels: in graphs, in training, in files."""

import json
import struct

import numpy as np
import pytest
from devices import DEVICES

import nbconv as nc
from nbconv.engine.graph import trace
from nbconv.engine.schedule import Accumulate, Backward, schedule
from nbconv.errors import FileFormatError, GraphError, OptionError, ShapeError

on_every_device = pytest.mark.parametrize("device", DEVICES)


def dense_net(device, dtype="float32", **options):
    """Every layer of the block reads all before it; the net's end joins features of two depths."""
    x = nc.Input((3, 9, 8))
    values = [nc.Conv2d(6, 3, padding=1)(x)]
    for activation in nc.ReLU(), nc.LeakyReLU(0.1), nc.Tanh():
        joined = values[0] if len(values) == 1 else nc.Concat()(*values)
        values.append(nc.Conv2d(5, 3, padding=1)(activation(nc.BatchNorm()(joined))))
    whole = nc.Concat(name="block")(*values)
    gate = nc.Sigmoid()(nc.Conv2d(4, 1)(whole))
    features = nc.Concat()(nc.GlobalAvgPool2d()(whole), nc.GlobalAvgPool2d()(gate))
    return nc.Model(x, nc.Linear(4)(features), device=device, dtype=dtype, seed=3, **options)


def samples(count=24):
    """Noise that is strongest in the channels and rows that the label says."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((count, 3, 9, 8)).astype(np.float32), rng.integers(0, 4, count)
    for image, label in zip(x, y, strict=True):
        image[: label // 2 + 1, label % 2 * 5 :] *= 3
    return x, y


@pytest.mark.parametrize("rewrite", [True, False])
def test_a_dense_net_trains_alike_on_every_device(rewrite):
    x, y = samples()
    losses, gradients, logits = [], [], []
    for device in DEVICES:
        net = dense_net(device, "float64", rewrite=rewrite)
        net.compile(nc.SGD(lr=0.1, momentum=0.9), "cross_entropy")
        gradients.append(net.loss_and_grads(x, y)[1])
        losses.append(net.fit(x, y, batch_size=8, epochs=6, verbose=0).history["loss"])
        logits.append(net.predict(x))
    assert losses[0][-1] < 0.7 * losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)
    np.testing.assert_allclose(logits[1], logits[0], rtol=1e-7, atol=1e-9)
    for name, gradient in gradients[0].items():
        np.testing.assert_allclose(gradients[1][name], gradient, atol=1e-12, err_msg=name)


@on_every_device
def test_gradients_of_a_dense_net_against_central_differences(device):
    x, y = samples(5)
    net = dense_net(device, "float64")
    net.compile(nc.SGD(lr=0.1), "cross_entropy")
    _, gradients = net.loss_and_grads(x, y)
    state = net.state_dict()
    for name in list(gradients)[::4]:
        index = int(np.abs(gradients[name]).argmax())
        sides = []
        for sign in (1, -1):
            moved = {key: value.copy() for key, value in state.items()}
            moved[name].flat[index] += sign * 1e-6
            net.load_state_dict(moved)
            sides.append(net.loss_and_grads(x, y)[0])
        assert (sides[0] - sides[1]) / 2e-6 == pytest.approx(gradients[name].flat[index], rel=1e-5), name


@on_every_device
def test_a_saved_dense_net_predicts_and_trains_on_bit_by_bit(device, tmp_path):
    x, y = samples()
    first = dense_net(device)
    first.compile(nc.Adam(lr=0.01), "cross_entropy")
    first.fit(x, y, batch_size=7, epochs=1, verbose=0)
    first.save(tmp_path / "net.safetensors")
    second = nc.load(tmp_path / "net.safetensors", device=device)
    assert second.graph == first.graph
    for net in first, second:
        net.fit(x, y, batch_size=7, epochs=1, verbose=0)
    np.testing.assert_array_equal(first.predict(x), second.predict(x))


def test_every_activation_survives_a_file(tmp_path):
    layers = nc.LeakyReLU(0.3), nc.Sigmoid(name="gate"), nc.Tanh(), nc.Softmax(), nc.LogSoftmax()
    net = nc.Sequential(nc.Linear(5), *layers, input_shape=(3,), device="reference")
    net.save(tmp_path / "net.safetensors")
    again = nc.load(tmp_path / "net.safetensors", device="reference")
    assert [again.graph.nodes[i].op for i in again.graph.steps] == [nc.Linear(5), *layers]


def rewritten(path, change):
    """Change the description in a model file."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    description = json.loads(header["__metadata__"]["nbconv"])
    change(next(n for n in description["graph"]["nodes"] if n.get("layer", {}).get("op") == "Concat")["layer"])
    header["__metadata__"]["nbconv"] = json.dumps(description)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


@pytest.mark.parametrize("channels", [[6], [6, 5, 5], [5, 6], 11, "65", [6, -5], [6, 5.5], []])
def test_a_file_with_other_channels_is_refused(channels, tmp_path):
    path = tmp_path / "net.safetensors"
    dense_net("reference").save(path)
    rewritten(path, lambda layer: layer.update(channels=channels))
    with pytest.raises(FileFormatError, match="Concat"):
        nc.load(path, device="reference")


def test_channels_are_found_when_the_layer_is_called():
    join = nc.Concat()
    a, b = nc.Input((2, 5, 4)), nc.Input((3, 5, 4))
    once, twice = join(a, b), join(b, a, b)
    assert (once.shape, twice.shape) == ((5, 4, 5), (5, 4, 8))
    assert (once.op, twice.op, join) == (nc.Concat(channels=(2, 3)), nc.Concat(channels=(3, 2, 3)), nc.Concat())
    assert repr(join) == "Concat()"
    assert repr(nc.Concat(name="skip")(a, a).op) == "Concat(channels=(2, 2), name='skip')"


def test_schedule_of_a_value_that_is_joined_to_itself():
    x = nc.Input((3,))
    hidden = nc.Linear(4)(x)
    graph = trace([x], [nc.Concat()(hidden, x, hidden)])
    assert schedule(graph, targets=(2,)).backward == (
        Backward(2, {"x0": (1,), "x2": (1, 2, "x2")}),  # nobody wants the gradient of x
        Accumulate(1, (1, 2, "x2")),
        Backward(1, {}),
    )


@on_every_device
def test_a_value_that_is_joined_to_itself_gets_both_gradients(device):
    x = nc.Input((3,))
    net = nc.Model(x, nc.Concat()(nc.Linear(2)(x), x, nc.Linear(2)(x)), device=device, dtype="float64")
    inputs, dy = np.arange(6.0).reshape(2, 3), np.arange(14.0).reshape(2, 7)
    net.forward(inputs, training=True, input_gradients=True)
    gradients, state = net.backward(dy), net.state_dict()
    want = dy[:, :2] @ state["0.weight"] + dy[:, 2:5] + dy[:, 5:] @ state["1.weight"]
    np.testing.assert_allclose(gradients["input"], want, rtol=1e-14)
    np.testing.assert_allclose(gradients["1.weight"], dy[:, 5:].T @ inputs, rtol=1e-14)


@pytest.mark.parametrize(
    "build, error, message",
    [
        (lambda: nc.Concat()(), GraphError, r"Concat\(\) takes two or more graph values \(x\), got nothing"),
        (lambda: nc.Concat()(nc.Input((3,))), GraphError, r"takes two or more graph values \(x\), got Symbol"),
        (lambda: nc.Concat()([nc.Input((3,))] * 2), GraphError, r"got list"),
        (lambda: nc.Concat()(nc.Input((3,)), np.ones((2, 3))), GraphError, r"got Symbol, ndarray"),
        (lambda: nc.Sequential(nc.Concat(), input_shape=(3,)), GraphError, r"takes two or more graph values"),
        (
            lambda: nc.Concat()(nc.Input((3, 8, 6)), nc.Input((3, 8, 6)), nc.Input((2, 8, 5))),
            ShapeError,
            r"layer 0 \(Concat\): .* value 2 has shape \(8, 5, 2\) and value 0 has \(8, 6, 3\) \(channels last\)",
        ),
        (lambda: nc.Concat(name="up")(nc.Input((3, 1, 1)), nc.Input((3,))), ShapeError, r"layer 0 \(Concat 'up'\)"),
        (lambda: nc.Concat(channels=(3,)), OptionError, r"channels of two or more values, got \(3,\)"),
        (lambda: nc.Concat(channels=(3, True)), OptionError, r"channels must be an integer .*, got True"),
    ],
)
def test_what_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()
