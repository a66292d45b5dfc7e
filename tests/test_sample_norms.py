"""Layer, group and instance norm, Dropout2d and GlobalMaxPool2d in nets: built, trained, saved and loaded."""

import numpy as np
import pytest
from devices import DEVICES

import nbconv as nc
from nbconv.engine.rewrites import for_inference, for_training
from nbconv.errors import OptionError, ShapeError

on_every_device = pytest.mark.parametrize("device", DEVICES)
RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((12, 3, 6, 5)).astype(np.float32)
LABELS = RNG.integers(0, 3, 12)


def net(device, dtype="float32"):
    """Each of the layers once, and a convolution."""
    return nc.Sequential(
        nc.LayerNorm(name="pixels"), nc.Conv2d(8, 3, padding=1), nc.GroupNorm(4), nc.ReLU(), nc.Dropout2d(0.2),
        nc.InstanceNorm(affine=True, name="planes"), nc.GlobalMaxPool2d(), nc.LayerNorm(), nc.Linear(3),
        input_shape=(3, 6, 5), device=device, dtype=dtype, seed=1,
    )  # fmt: skip


@on_every_device
def test_a_net_learns_by_heart(device):
    model = net(device)
    model.compile(nc.SGD(lr=0.1, momentum=0.9), "cross_entropy")
    losses = model.fit(IMAGES, LABELS, batch_size=4, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_devices_train_alike():
    losses = []
    for device in DEVICES:
        model = net(device, "float64")
        model.compile(nc.SGD(lr=0.1, momentum=0.9), "cross_entropy")
        losses.append(model.fit(IMAGES, LABELS, batch_size=5, epochs=3, verbose=0).history["loss"])
    for other in losses[1:]:
        np.testing.assert_allclose(other, losses[0], rtol=1e-10)


@on_every_device
def test_weights_have_pytorchs_names_and_shapes(device):
    model = net(device)
    state = model.state_dict()
    shapes = {name: array.shape for name, array in state.items()}
    assert shapes["pixels.weight"] == shapes["pixels.bias"] == (3, 6, 5)
    assert shapes["2.weight"] == shapes["2.bias"] == shapes["planes.weight"] == (8,)
    assert shapes["7.weight"] == (8,)
    for name, array in state.items():
        if name.endswith(".weight") and name not in ("1.weight", "8.weight"):
            assert (array == 1).all()
    state["pixels.weight"] = RNG.standard_normal((3, 6, 5)).astype(np.float32)
    model.load_state_dict(state)
    np.testing.assert_array_equal(model.state_dict()["pixels.weight"], state["pixels.weight"])
    with pytest.raises(ShapeError, match=r"pixels.weight has shape \(6, 5, 3\), the net needs \(3, 6, 5\)"):
        model.load_state_dict({**state, "pixels.weight": np.ones((6, 5, 3), np.float32)})


@on_every_device
def test_saved_and_loaded(device, tmp_path):
    model = net(device)
    state = model.state_dict()
    state["pixels.bias"] = RNG.standard_normal((3, 6, 5)).astype(np.float32)
    model.load_state_dict(state)
    model.save(tmp_path / "net.safetensors")
    loaded = nc.load(tmp_path / "net.safetensors", device=device)
    np.testing.assert_array_equal(loaded.predict(IMAGES), model.predict(IMAGES))
    assert loaded.graph == model.graph


def test_summary():
    rows = {row.name: row for row in nc.inspect.summarize(net("reference").graph).rows}
    assert (rows["pixels"].shape, rows["pixels"].parameters) == ((3, 6, 5), 2 * 90)
    assert (rows["2"].shape, rows["2"].parameters) == ((8, 6, 5), 16)
    assert (rows["6"].layer, rows["6"].shape) == ("GlobalMaxPool2d()", (8,))


@on_every_device
def test_inference_drops_nothing_and_normalises_as_in_training(device):
    model = net(device, "float64")
    x = IMAGES.astype(np.float64)
    np.testing.assert_array_equal(model.predict(x), model.predict(x))
    single = np.concatenate([model.predict(x[i : i + 1]) for i in range(len(x))])
    np.testing.assert_allclose(single, model.predict(x), atol=1e-12)  # no sample depends on another


def test_dropout2d_is_taken_out_at_inference():
    graph = net("reference").graph
    assert any(isinstance(node.op, nc.Dropout2d) for node in for_training(graph).nodes)
    assert not any(isinstance(node.op, nc.Dropout2d) for node in for_inference(graph).nodes)


def test_spatial_dropout_is_another_name():
    assert nc.SpatialDropout2d is nc.Dropout2d


@pytest.mark.parametrize(
    "layers, error, message",
    [
        (
            (nc.Conv2d(10, 3), nc.GroupNorm(4)),
            ShapeError,
            r"layer 1 \(GroupNorm\): .*num_groups that divides 10 \(1, 2, 5",
        ),
        ((nc.GlobalAvgPool2d(), nc.InstanceNorm()), ShapeError, r"layer 1 \(InstanceNorm\): .*needs images"),
        ((nc.Conv2d(4, (6, 5)), nc.InstanceNorm()), ShapeError, r"layer 1 .*more than one pixel"),
        ((nc.Conv2d(4, (6, 5)), nc.GroupNorm(4)), ShapeError, r"layer 1 .*use a smaller num_groups"),
        ((nc.Flatten(), nc.Linear(1), nc.LayerNorm()), ShapeError, r"layer 2 .*more than one feature"),
        ((nc.Flatten(), nc.GlobalMaxPool2d()), ShapeError, r"layer 1 \(GlobalMaxPool2d\): .*needs images"),
    ],
)
def test_what_cannot_be_normalised_is_said_when_the_net_is_built(layers, error, message):
    with pytest.raises(error, match=message):
        nc.Sequential(*layers, input_shape=(3, 6, 5), device="reference")


def test_a_scale_without_a_shift_is_refused():
    with pytest.raises(OptionError, match="pass both or neither"):
        nc.functional.layer_norm(np.ones((2, 3)), bias=np.zeros(3), device="reference")
