"""Too little memory on a device: what was asked for, what there is, what would fit; and the model works on."""

import re

import numpy as np
import pytest
from second_memory import small_device

import nbconv as nc
from nbconv.errors import DataError, DeviceError, OutOfDeviceMemory


def model_on(device):
    model = nc.Sequential(
        nc.Conv2d(4, 3, padding=1), nc.BatchNorm(), nc.ReLU(), nc.Flatten(), nc.Linear(3), input_shape=(2, 16, 16),
        device=device,
    )  # fmt: skip
    model.compile("adam")
    return model


def samples(count):
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 2, 16, 16)).astype(np.float32), rng.integers(0, 3, count)


def test_the_message_names_a_batch_that_fits_and_that_batch_does():
    x, y = samples(200)
    arena = {size: model_on("reference").memory_report(size).arena for size in (8, 20, 21)}
    model = model_on(small_device(150_000 + arena[20]))
    before = model.state_dict()
    with pytest.raises(OutOfDeviceMemory) as error:
        model.fit(x, y, batch_size=200, verbose=0)
    said = re.fullmatch(
        r"a batch of 200 needs ([\d.]+) MiB on 'second' \(train\), where ([\d.]+) MiB are free; "
        r"a batch of (\d+) would fit",
        str(error.value),
    )
    assert float(said[1]) == pytest.approx(error.value.asked / 2**20, abs=0.06)
    assert error.value.asked > error.value.free > arena[20]
    assert isinstance(error.value, DeviceError) and model.step == 0
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    fits = int(said[3])
    assert 20 <= fits < 200
    model.fit(x[:fits], y[:fits], batch_size=fits, verbose=0)
    with pytest.raises(OutOfDeviceMemory, match=f"a batch of {fits} would fit"):
        model.fit(x[: fits + 1], y[: fits + 1], batch_size=fits + 1, verbose=0)
    assert model.step == 1


def test_plans_that_are_not_in_use_make_room():
    x, y = samples(24)
    arena = model_on("reference").memory_report(8).arena
    model = model_on(small_device(150_000 + 2 * arena))
    for size in (8, 7, 6, 5, 4, 8):
        assert np.isfinite(model.train_on_batch(x[:size], y[:size])["loss"])
    assert model.predict(x, batch_size=8).shape == (24, 3)


def test_not_even_one_sample():
    x, _ = samples(4)
    model = model_on("reference")
    needed = model.memory_report(1, "backward").arena
    model = model_on(small_device(150_000))
    filler = [model.device.memory.empty((model.device.memory.free() - needed // 2,), "uint8")]
    with pytest.raises(OutOfDeviceMemory, match="not even one sample fits: make the net or its input smaller"):
        model.forward(x, training=True)
    filler.clear()
    assert model.forward(x[:1], training=False).shape == (1, 3)


def test_a_model_that_does_not_fit_is_no_damaged_file(tmp_path):
    x, y = samples(4)
    trained = model_on("reference")
    trained.fit(x, y, verbose=0)
    trained.save(tmp_path / "net.safetensors")
    device = small_device(1000)
    with pytest.raises(OutOfDeviceMemory) as caught:
        nc.load(tmp_path / "net.safetensors", device=device)
    assert caught.value.asked > caught.value.free > 0
    np.testing.assert_array_equal(
        nc.load(tmp_path / "net.safetensors", device=small_device(10**6)).predict(x), trained.predict(x)
    )


def test_validation_data_for_which_there_is_no_memory():
    x, y = samples(4)
    model = model_on(small_device(10**6))
    full = OutOfDeviceMemory("full", asked=7, free=3)

    def hold(values, name, channels_first):
        raise full

    model._feed._hold = hold
    with pytest.raises(OutOfDeviceMemory) as caught:
        model._feed.pair((x, y), "validation_data")
    assert caught.value is full
    model = model_on("reference")
    with pytest.raises(DataError, match="^validation_data: x is empty"):
        model.fit(x, y, validation_data=(x[:0], y[:0]), verbose=0)
