"""Nets on bytes: images stay uint8 up to the device, and the net is the one on numbers normalised outside."""

import json

import numpy as np
import pytest
from breaking import break_kernel
from commands import fails, nbconv
from devices import DEVICES
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import nbconv as nc
from nbconv.engine.rewrites import for_inference, for_training
from nbconv.errors import DataError, FileFormatError, GraphError, OptionError, ShapeError

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
LAYERS = (nc.Conv2d(4, 3), nc.ReLU(), nc.MaxPool2d(2), nc.Flatten(), nc.Linear(3))
X = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 7)).astype(np.uint8)
Y = np.random.default_rng(1).integers(0, 3, 40)

on_every_device = pytest.mark.parametrize("device", DEVICES)


def net(*first, device="reference", input_dtype="uint8", **options):
    layers = *first, *LAYERS
    model = nc.Sequential(*layers, input_shape=(3, 8, 7), input_dtype=input_dtype, device=device, seed=3, **options)
    model.compile(nc.SGD(lr=0.1, momentum=0.9))
    return model


def augmented(**options):
    return net(nc.RandomCrop(padding=2), nc.RandomHorizontalFlip(), nc.Normalize(MEAN, STD), **options)


def normalized(dtype):
    mean, std = (np.reshape(values, (3, 1, 1)) for values in (MEAN, STD))
    return ((X / 255 - mean) / std).astype(dtype)


@on_every_device
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-6), ("float64", 1e-13)])
def test_the_same_net_as_on_numbers_normalised_outside(device, dtype, tolerance):
    """Its first layer does nothing on numbers, so that both draw the same weights."""
    options = {"device": device, "dtype": dtype}
    on_bytes = net(nc.Normalize(MEAN, STD), **options)
    on_numbers = net(nc.Normalize(scale=1), input_dtype="float", **options)
    x = normalized(dtype)
    histories = [m.fit(v, Y, batch_size=16, epochs=3, verbose=0) for m, v in ((on_bytes, X), (on_numbers, x))]
    assert_allclose(*(history.history["loss"] for history in histories), rtol=10 * tolerance)
    for name, value in on_numbers.state_dict().items():
        assert_allclose(on_bytes.state_dict()[name], value, rtol=tolerance, atol=tolerance)
    assert_allclose(on_bytes.predict(X), on_numbers.predict(x), rtol=20 * tolerance, atol=20 * tolerance)
    assert on_bytes.evaluate(X, Y) == pytest.approx(on_numbers.evaluate(x, Y), rel=20 * tolerance)


@on_every_device
def test_before_or_behind_normalize(device):
    """Flips, and crops whose border is the number that 0 becomes, are the same on bytes and on numbers."""
    random = nc.RandomCrop(padding=2, name="crop"), nc.RandomHorizontalFlip(name="flip")
    before, behind = (
        net(*random, nc.Normalize(0, STD), device=device),
        net(nc.Normalize(0, STD), *random, device=device),
    )
    for model in before, behind:
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    for name, value in before.state_dict().items():
        assert_array_equal(behind.state_dict()[name], value)
    x = X.astype(np.float32)
    gradient = net(*random, nc.Normalize(0, STD), device=device, input_dtype="float")
    gradient.forward(x, training=True, input_gradients=True)
    assert gradient.backward(np.ones((40, 3)))["input"].any()


def test_every_device_sees_the_same_pictures():
    seen = []
    for device in DEVICES:
        model = nc.Sequential(
            *(nc.RandomCrop(6, padding=2), nc.RandomHorizontalFlip()),
            input_shape=(3, 8, 7),
            input_dtype="uint8",
            device=device,
            seed=5,
        )
        seen.append([model.forward(X, training=True) for _ in range(2)])
        assert_array_equal(model.predict(X), X[:, :, 1:7, 0:6], "the middle")
    (first, second), other = seen
    assert first.dtype == np.uint8 and (first != second).any()
    assert_array_equal(seen[0], other)


def test_training_is_augmented_and_inference_is_not():
    plain, random = net(nc.Normalize(MEAN, STD)), augmented()
    random.load_state_dict(dict(zip(random.state_dict(), plain.state_dict().values(), strict=True)))
    assert_array_equal(plain.predict(X), random.predict(X))
    assert plain.evaluate(X, Y) == random.evaluate(X, Y)
    assert plain.train_on_batch(X, Y)["loss"] != random.train_on_batch(X, Y)["loss"]


class TestBytesStayBytes:
    def test_on_the_way_in(self):
        model = net(nc.Normalize())
        ((staged,), _) = model._feed.samples_and_targets(X, Y)
        assert staged.dtype == np.uint8 and staged.shape == (40, 8, 7, 3)
        assert model._plans.get("train", 16).sources[0].dtype == np.uint8
        assert model.input_dtypes == ["uint8"]

    def test_nothing_is_copied_that_is_channels_last(self):
        x = np.ascontiguousarray(np.moveaxis(X, 1, -1))
        model = nc.Sequential(
            nc.Normalize(), nc.Flatten(), nc.Linear(3), input_shape=x.shape[1:], input_dtype="uint8", data_format="NHWC"
        )
        assert np.shares_memory(model._feed.samples(x)[0], x)

    def test_in_the_plan(self):
        """A picture before Normalize takes a byte per value."""
        bytes_before, numbers_before = augmented(), augmented(input_dtype="float")
        reports = [model.memory_report(64) for model in (bytes_before, numbers_before)]
        saved = reports[1].without_reuse - reports[0].without_reuse
        assert saved == 3 * 3 * X[0].size * 64  # of input, crop and flip, three of four bytes

    def test_in_the_summary(self):
        summary = augmented(dtype="float64").summary(print=False)
        assert [row.activation_bytes for row in summary.rows[:5]] == [168, 168, 168, 8 * 168, 8 * 4 * 6 * 5]

    def test_in_branches(self):
        """Two inputs, one of bytes; both are needed."""
        picture, features = nc.Input((3, 8, 7), dtype="uint8", name="picture"), nc.Input((5,), name="features")
        flat = nc.Flatten()(nc.Normalize()(nc.RandomHorizontalFlip()(picture)))
        model = nc.Model([picture, features], nc.Linear(3)(nc.Concat()(flat, features)), device="reference")
        model.compile()
        assert model.input_dtypes == ["uint8", "float"]
        model.fit((X, np.ones((40, 5))), Y, verbose=0)
        with pytest.raises(DataError, match=r"x \(picture\) must be bytes"):
            model.predict((X / 255, np.ones((40, 5))))


class TestErrors:
    @pytest.mark.parametrize(
        "x, mend",
        [
            (X / 255, r"\(255 \* x\)\.round\(\)\.astype\(np\.uint8\) if they are from 0 to 1"),
            (X.astype(np.int64), r"got dtype int64; convert numbers from 0 to 255 with x\.astype\(np\.uint8\), or"),
            (X > 100, "got dtype bool"),
        ],
    )
    def test_what_is_no_bytes(self, x, mend):
        model = net(nc.Normalize())
        for call in lambda: model.predict(x), lambda: model.fit(x, Y, verbose=0), lambda: model.evaluate(x, Y):
            with pytest.raises(DataError, match=f"x must be bytes .*{mend}"):
                call()
        with pytest.raises(DataError, match="validation_data: x must be bytes"):
            model.fit(X, Y, validation_data=(x, Y), verbose=0)

    def test_shapes_are_checked_as_ever(self):
        with pytest.raises(ShapeError, match='use data_format="NHWC"'):
            net(nc.Normalize()).predict(np.moveaxis(X, 1, -1))

    @pytest.mark.parametrize("layer", [nc.Conv2d(4, 3), nc.Flatten(), nc.BatchNorm(), nc.MaxPool2d(2), nc.Dropout()])
    def test_a_layer_that_needs_numbers(self, layer):
        name = type(layer).__name__
        with pytest.raises(
            GraphError, match=rf"layer 1 \({name}\): {name} needs floating-point numbers, .* put Normalize\(\) before"
        ):
            net(nc.RandomHorizontalFlip(), layer)

    def test_a_loss_needs_numbers(self):
        model = nc.Sequential(nc.RandomCrop(1), input_shape=(3, 8, 7), input_dtype="uint8", device="reference")
        with pytest.raises(GraphError, match=r"the loss does not fit the output of layer 0 \(RandomCrop\): .*uint8"):
            model.compile()

    def test_there_are_two_kinds_of_input(self):
        with pytest.raises(OptionError, match=r"dtype must be one of \('float', 'uint8'\), got 'int8'"):
            nc.Input((3, 8, 7), dtype="int8")


class TestFiles:
    @on_every_device
    def test_a_saved_net_trains_on_bit_by_bit(self, device, tmp_path):
        first = augmented(device=device)
        first.fit(X, Y, batch_size=16, verbose=0)
        first.save(tmp_path / "net.safetensors")
        second = nc.load(tmp_path / "net.safetensors", device=device)
        assert second.graph == first.graph and second.input_dtypes == ["uint8"]
        assert_array_equal(first.predict(X), second.predict(X))
        copy = first.to(device)
        for model in first, second, copy:
            model.fit(X, Y, batch_size=16, verbose=0)
        for name, value in first.state_dict().items():
            assert_array_equal(second.state_dict()[name], value)
            assert_array_equal(copy.state_dict()[name], value)

    def rewritten(self, path, change):
        """A model file with another description of its net."""
        with safe_open(path, framework="np") as file:
            description = json.loads(file.metadata()["nbconv"])
        for node in description["graph"]["nodes"]:
            if "input" in node:
                change(node)
        save_file(load_file(path), path, {"nbconv": json.dumps(description)})
        return path

    def test_files_without_a_dtype_hold_nets_on_numbers(self, tmp_path):
        path = tmp_path / "net.safetensors"
        model = net(nc.Normalize(scale=1), input_dtype="float")
        model.save(path)
        older = nc.load(self.rewritten(path, lambda node: node.pop("dtype")), device="reference")
        assert older.graph == model.graph
        assert_array_equal(older.predict(normalized("float32")), model.predict(normalized("float32")))

    @pytest.mark.parametrize("dtype, message", [("int8", "dtype must be one of"), ("uint8", "needs floating-point")])
    def test_damaged_files(self, dtype, message, tmp_path):
        path = tmp_path / "net.safetensors"
        net(input_dtype="float").save(path)
        self.rewritten(path, lambda node: node.update(dtype=dtype))
        with pytest.raises(FileFormatError, match=message):
            nc.load(path)

    def test_pictures_on_the_command_line(self, tmp_path):
        """A picture, and an array of its pixels, are the bytes that the model sees in Python."""
        model = net(nc.Normalize(MEAN, STD))
        model.save(tmp_path / "net.safetensors")
        Image.fromarray(np.ascontiguousarray(np.moveaxis(X[0], 0, -1))).save(tmp_path / "one.png")
        np.save(tmp_path / "all.npy", X[:1])
        labels, odds = model.classify(X[:1])
        for name in "one.png", "all.npy":
            file = tmp_path / name
            (line,) = nbconv("predict", tmp_path / "net.safetensors", file, "--device", "reference")
            assert line == f"{file}[0]  class {labels[0]}  {odds[0]:.4f}"
        np.save(tmp_path / "wide.npy", X[:1].astype(float))
        line = fails("predict", tmp_path / "net.safetensors", tmp_path / "wide.npy", "--device", "reference")
        assert line.startswith(f"{tmp_path / 'wide.npy'}: the model takes bytes, which are made of numbers from 0 to 1")


class TestRewrites:
    def ops(self, graph):
        return [graph.nodes[i].op for i in graph.steps]

    def test_what_does_nothing_is_dropped_at_inference(self):
        graph = augmented().graph
        assert self.ops(for_inference(graph))[0] == nc.Normalize(MEAN, STD)
        assert self.ops(for_training(graph))[:2] == [nc.RandomCrop(padding=2), nc.RandomHorizontalFlip()]
        unchanged = self.ops(for_inference(graph, rewrite=False))[:2]
        assert unchanged == [nc.RandomCrop(padding=2, training=False), nc.RandomHorizontalFlip(training=False)]

    def test_a_crop_of_a_part_stays(self):
        model = nc.Sequential(
            nc.RandomCrop((8, 7), padding=1), nc.RandomCrop((8, 5)), nc.Normalize(), input_shape=(3, 8, 7)
        )
        assert self.ops(for_inference(model.graph)) == [nc.RandomCrop((8, 5), training=False), nc.Normalize()]


class TestTools:
    def test_gradcheck(self):
        x = X[:3].astype(float)
        for layer in nc.Normalize(MEAN, STD), nc.RandomHorizontalFlip(), nc.RandomCrop(5, padding=2):
            assert nc.gradcheck(layer, x)
        assert nc.gradcheck(augmented(), X[:4], Y[:4])
        with pytest.raises(DataError, match=r"no gradient to compare: x is uint8"):
            nc.gradcheck(nc.Normalize(), X[:3])

    def test_verify(self, monkeypatch):
        for layer in nc.Normalize(MEAN, STD), nc.RandomHorizontalFlip(), nc.RandomCrop(5, padding=2):
            assert nc.verify(layer, X[:3]), "of bytes"
            assert nc.verify(layer, X[:3].astype(np.float32)), "of numbers"
        assert nc.verify(augmented(), X[:4], Y[:4], device="cpu")

        def spoil(results):
            results["out"][0, 0, 0, 0] ^= 1

        break_kernel(monkeypatch, "cpu", nc.RandomCrop, spoil)
        result = nc.verify(augmented(), X[:4], Y[:4], device="cpu")
        assert [row.layer for row in result.rows if not row.passed] == ["layer 0 (RandomCrop)"]

    def test_outputs_without_a_gradient(self):
        """What a net makes of bytes may be looked at, beside what it learns from them."""
        x = nc.Input((3, 8, 7), dtype="uint8")
        seen = nc.RandomCrop(padding=2)(x)
        model = nc.Model(x, [seen, nc.Linear(2)(nc.Flatten()(nc.Normalize()(seen)))], device="reference")
        pictures, logits = model.forward(X, training=True)
        assert pictures.dtype == np.uint8 and logits.dtype == np.float32
        gradients = model.backward((np.zeros(pictures.shape), np.ones(logits.shape)))
        assert gradients["3.weight"].any()
        assert nc.verify(model, X[:3], device="cpu") and nc.gradcheck(model, X[:3])

    def test_fc_to_conv(self):
        model = augmented()
        sliding = nc.fc_to_conv(model, (3, 12, 9))
        assert sliding.input_dtypes == ["uint8"]
        x = np.random.default_rng(0).integers(0, 256, (1, 3, 12, 9)).astype(np.uint8)
        assert_allclose(sliding.predict(x)[0, :, 0, 0], model.predict(x[:, :, :8, :7])[0], rtol=1e-4, atol=1e-5)
        assert nc.fc_to_conv(net(nc.RandomCrop((8, 7), padding=2), nc.Normalize())).graph.nodes[1].op == nc.RandomCrop(
            padding=2
        )
        with pytest.raises(GraphError, match=r"layer 0 \(RandomCrop\) cuts a part out of its input"):
            nc.fc_to_conv(net(nc.RandomCrop(6), nc.Normalize()))

    def test_warmup_changes_nothing(self):
        model, other = augmented(), augmented()
        model.warmup(16, verbose=0)
        for each in model, other:
            each.fit(X, Y, batch_size=16, verbose=0)
        for name, value in model.state_dict().items():
            assert_array_equal(other.state_dict()[name], value)
