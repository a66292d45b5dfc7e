"""Model files: what is saved comes back, and every damaged or foreign file is named."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

import nbconv as nc
from nbconv.errors import FileFormatError, OptionError


def samples(count=24):
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 2, 7, 6)).astype(np.float32), rng.integers(0, 3, count)


def model(device="reference", dtype="float32"):
    x = nc.Input((2, 7, 6))
    stem = nc.ReLU()(nc.BatchNorm(momentum=0.2)(nc.Conv2d(4, (3, 2), padding=(1, 0, 0, 1), bias=False)(x)))
    y = nc.Add()(nc.Conv2d(4, 3, padding="same", groups=2, padding_mode="circular")(stem), stem)
    y = nc.Linear(3, name="head")(nc.Dropout(0.1)(nc.Flatten()(nc.MaxPool2d(2, ceil_mode=True)(y))))
    net = nc.Model(x, y, device=device, dtype=dtype, seed=4)
    net.compile(nc.AdamW(lr=0.01, clip_norm=1.0), "cross_entropy", ["accuracy"])
    return net


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saved_model_predicts_and_trains_on_bit_by_bit(tmp_path, dtype):
    x, y = samples()
    first = model(dtype=dtype)
    first.fit(x, y, batch_size=7, epochs=2, verbose=0)
    first.lr = 0.005
    first.save(tmp_path / "net.safetensors")
    second = nc.load(tmp_path / "net.safetensors", device="reference")
    assert second.graph == first.graph and second.dtype == dtype and second.lr == 0.005
    np.testing.assert_array_equal(first.predict(x), second.predict(x))
    for net in first, second:
        net.fit(x, y, batch_size=7, epochs=2, verbose=0)
    for name, value in first.state_dict().items():
        np.testing.assert_array_equal(value, second.state_dict()[name], err_msg=name)


def test_a_model_that_was_never_compiled(tmp_path):
    net = nc.Sequential(nc.Linear(2), input_shape=(3,), device="reference", data_format="NHWC")
    net.save(tmp_path / "net.safetensors")
    loaded = nc.load(tmp_path / "net.safetensors", device="reference")
    assert loaded.optimizer is None and loaded.data_format == "NHWC"


def test_the_other_device_predicts_the_same(tmp_path):
    x, _ = samples()
    net = model()
    net.save(tmp_path / "net.safetensors")
    np.testing.assert_allclose(
        nc.load(tmp_path / "net.safetensors", device="cpu").predict(x), net.predict(x), atol=1e-5
    )


def test_arrays_in_the_file_have_pytorch_shapes(tmp_path):
    from safetensors.numpy import load_file

    model().save(tmp_path / "net.safetensors")
    arrays = load_file(tmp_path / "net.safetensors")
    assert arrays["0.weight"].shape == (4, 2, 3, 2) and arrays["head.weight"].shape == (3, 4 * 3 * 3)
    assert arrays["optimizer.exp_avg.0.weight"].shape == (4, 2, 3, 2)


def test_an_old_file_survives_a_failed_save(tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    model().save(path)
    before = path.read_bytes()
    monkeypatch.setattr(
        "pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(FileFormatError, match=r"cannot write .*No space left"):
        model().save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def damage(path, how):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    description = json.loads(header["__metadata__"]["nbconv"])
    how(description)
    header["__metadata__"]["nbconv"] = json.dumps(description)
    new = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(new)) + new + data[8 + length :])


@pytest.mark.parametrize(
    "how, message",
    [
        (
            lambda d: d["graph"]["nodes"][1]["layer"].update(kernel_size=[1, 2], padding=0),
            r"0.weight has shape .* the net needs",
        ),
        (lambda d: d["graph"]["nodes"][1]["layer"].update(op="Conv9d"), r"unknown op 'Conv9d'; this version .* has"),
        (lambda d: d["graph"]["nodes"][1]["layer"].update(colour="red"), r"Conv2d cannot be made from"),
        (lambda d: d["graph"]["nodes"][1]["layer"].update(kernel_size=50), r"makes no graph.*a window of 50"),
        (lambda d: d["graph"]["nodes"][2].update(reads=[7]), r"makes no graph"),
        (lambda d: d["graph"].update(outputs=[99]), r"does not hold a net"),
        (lambda d: d["graph"]["nodes"].pop(), r"does not hold a net"),
        (lambda d: d.pop("graph"), r"'graph' is missing"),
        (lambda d: d.pop("dtype"), r"'dtype' is missing"),
        (lambda d: d.update(dtype="int8"), r"dtype must be one of"),
        (lambda d: d.update(step="x"), r"step must be an integer"),
        (lambda d: d.update(epochs_trained=-1), r"epochs_trained must be an integer of at least 0"),
        (lambda d: d["training"].update(optimizer="x"), r"does not hold a net"),
        (lambda d: d["training"].update(lr="x"), r"does not hold a net"),
        (lambda d: d["graph"]["nodes"][1].update(name=5), r"called 5, which is no name"),
        (lambda d: d["graph"]["nodes"][0].update(input=[-1, 6, 2]), r"input must be an integer of at least 1"),
        (lambda d: d["graph"]["nodes"][0].update(input=[1e999, 6, 2]), r"input must be an integer of at least 1"),
        (lambda d: d.update(format=99), r"has format 99, this version of nbconv reads 1; upgrade"),
    ],
)
def test_a_file_that_does_not_fit_itself(tmp_path, how, message):
    path = tmp_path / "net.safetensors"
    model().save(path)
    damage(path, how)
    with pytest.raises(FileFormatError, match=message) as caught:
        nc.load(path, device="reference")
    assert str(path) in str(caught.value)


def test_files_that_are_none(tmp_path):
    whole = tmp_path / "net.safetensors"
    model().save(whole)
    cut, text, foreign = (tmp_path / name for name in ("cut", "text", "foreign"))
    cut.write_bytes(whole.read_bytes()[:-100])
    text.write_text("these are not the weights you are looking for")
    save_file({"a": np.zeros(3)}, foreign)
    for path, message in (
        (cut, "not a complete safetensors file.*truncated"),
        (text, "not a complete safetensors file"),
        (foreign, "nbconv did not write it"),
        (tmp_path / "nowhere", "there is no file"),
        (tmp_path, "there is no file"),
    ):
        with pytest.raises(FileFormatError, match=message):
            nc.load(path)


def test_options_of_load_are_not_blamed_on_the_file(tmp_path):
    path = tmp_path / "net.safetensors"
    model().save(path)
    with pytest.raises(OptionError, match=r"^threads must be"):
        nc.load(path, threads=-4)
    plain = nc.load(path, device="reference", rewrite=False)
    x, _ = samples()
    np.testing.assert_allclose(plain.predict(x), model().predict(x), rtol=1e-5, atol=1e-6)


def test_an_empty_folder_cannot_be_written_to(tmp_path):
    with pytest.raises(FileFormatError, match="choose a folder that exists"):
        model().save(tmp_path / "no" / "such" / "folder.safetensors")
