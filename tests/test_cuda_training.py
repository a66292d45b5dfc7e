"""Nets on the cuda device, from the API down, in the simulator or on a GPU; small ones, for the simulator's sake."""

import re

import numpy as np
import pytest
from click.testing import CliRunner

import nbconv as nc
from nbconv import cli
from nbconv.compat.cs231n import fast_layers
from nbconv.engine import registry
from nbconv.errors import DataError, DeviceError, NonFiniteError, OptionError

pytestmark = pytest.mark.cuda

SHAPE = (2, 6, 5)


def samples(count=8, shape=SHAPE):
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, *shape)).astype(np.float32), rng.integers(0, 3, count)


def net(device, **options):
    """No bias before the batch norm: its gradient is zero but for rounding, which Adam would make steps of."""
    model = nc.Sequential(
        nc.Conv2d(4, 3, padding=1, bias=False), nc.BatchNorm(), nc.ReLU(), nc.MaxPool2d(2), nc.Dropout(0.25),
        nc.Flatten(), nc.Linear(3), input_shape=SHAPE, device=device, seed=4, **options,
    )  # fmt: skip
    model.compile(nc.Adam(lr=0.01))
    return model


def states_agree(first, second, tolerance):
    for name, value in first.state_dict().items():
        np.testing.assert_allclose(second.state_dict()[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("rewrite", [True, False])
def test_ten_steps_have_the_losses_of_the_cpu(rewrite):
    x, y = samples()
    losses, models = [], []
    for device in "cpu", "cuda":
        models.append(net(device, rewrite=rewrite))
        losses.append([models[-1].train_on_batch(x, y)["loss"] for _ in range(10)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    assert len(set(losses[0])) == 10
    states_agree(*models, 1e-4)


def test_fit_evaluate_predict():
    x, y = samples(11)
    here, there = net("cpu"), net("cuda")
    histories = [m.fit(x, y, batch_size=4, epochs=2, verbose=0, validation_data=(x, y)).history for m in (here, there)]
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-5)
    np.testing.assert_allclose(there.predict(x, batch_size=4), here.predict(x), rtol=1e-4, atol=1e-5)
    assert there.evaluate(x, y)["loss"] == pytest.approx(here.evaluate(x, y)["loss"], rel=1e-5)
    assert there.classify(x)[0].tolist() == here.classify(x)[0].tolist()


def test_bytes_are_cropped_turned_and_normalised_on_the_device():
    x, y = np.random.default_rng(0).integers(0, 256, (11, *SHAPE)).astype(np.uint8), samples(11)[1]
    models = []
    for device in "cpu", "cuda":
        augment = nc.RandomCrop(padding=1), nc.RandomHorizontalFlip(), nc.Normalize((0.4, 0.5), 0.25)
        layers = *augment, nc.Conv2d(3, 3), nc.ReLU(), nc.Flatten(), nc.Linear(3)
        model = nc.Sequential(*layers, input_shape=SHAPE, input_dtype="uint8", device=device, seed=4)
        model.compile(nc.SGD(lr=0.1))
        model.fit(x, y, batch_size=4, epochs=2, verbose=0)
        models.append(model)
    states_agree(*models, 1e-5)
    there = nc.Tensor(x, "cuda")
    np.testing.assert_allclose(models[1].predict(there).numpy(), models[0].predict(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match="must be bytes"):
        models[1].predict(nc.Tensor(x.astype(np.float32), "cuda"))


def test_the_same_bits_from_run_to_run():
    x, y = samples(11)
    runs = [net("cuda") for _ in range(2)]
    for model in runs:
        model.fit(x, y, batch_size=4, verbose=0)
    for name, value in runs[0].state_dict().items():
        np.testing.assert_array_equal(runs[1].state_dict()[name], value)


def test_from_device_to_device_and_through_files(tmp_path):
    x, y = samples()
    model = net("cpu")
    model.fit(x, y, batch_size=4, verbose=0)
    model.save(tmp_path / "net")
    copy, loaded = model.to("cuda"), nc.load(tmp_path / "net", device="cuda")
    for other in copy, loaded:
        assert str(other.device) == "cuda" and other._compiled().count == 2 and other.step == 2
        states_agree(model, other, 0)
        other.fit(x, y, batch_size=4, verbose=0)
    model.fit(x, y, batch_size=4, verbose=0)
    states_agree(model, copy, 1e-4)
    copy.save(tmp_path / "net")
    back = nc.load(tmp_path / "net", device="cpu")
    states_agree(copy, back, 0)
    np.testing.assert_allclose(back.predict(x), copy.to("cpu").predict(x), rtol=0)


def test_a_step_that_is_not_finite_leaves_everything_as_before_and_names_layer_and_step():
    x, y = samples(12)
    model = net("cuda")
    model.fit(x[:4], y[:4], batch_size=4, verbose=0)
    before, count = model.state_dict(), model._compiled().count
    moments = model._optimizer_arrays()
    x[5, 0, 2, 1] = np.inf
    with pytest.raises(NonFiniteError, match=r"stopped at step 3: the loss is nan; .*the output of layer 0 \(Conv2d\)"):
        model.fit(x, y, batch_size=4, verbose=0, shuffle=False, check_finite=False, epochs=1)
    wanted = net("cuda")
    wanted.fit(x[:4], y[:4], batch_size=4, verbose=0)
    wanted.fit(x[:4], y[:4], batch_size=4, verbose=0, shuffle=False)  # the good step before the bad one
    for name, value in wanted.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value, err_msg=name)
    assert model._compiled().count == count + 1 and model.step == 3
    assert any((before[name] != value).any() for name, value in model.state_dict().items())
    for name, value in wanted._optimizer_arrays().items():
        np.testing.assert_array_equal(model._optimizer_arrays()[name], value, err_msg=name)
        assert (moments[name] != value).any()
    assert np.isfinite(model.train_on_batch(x[:4], y[:4])["loss"])


def test_gradients_and_verification():
    x, y = samples(3)
    verified = nc.verify(net("cpu"), x, y, device="cuda")
    assert verified, str(verified)
    layer = nc.Conv2d(2, 3, padding=1, activation="relu")
    assert nc.gradcheck(layer, x[:1].astype(np.float64), device="cuda", samples=6)


def test_penalty_momentum_and_schedule():
    x, y = samples()
    histories = []
    for device in "cpu", "cuda":
        model = net(device)
        model.compile(nc.SGD(lr=0.05, momentum=0.9, nesterov=True, clip_norm=0.5, weight_decay=1e-3), l2=0.01)
        rates = nc.callbacks.LearningRate(nc.schedules.cosine(0.05, 2))
        histories.append(model.fit(x, y, batch_size=4, epochs=2, callbacks=[rates], verbose=0).history["loss"])
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-5)


def test_summary_memory_and_warmup():
    model = net("cuda")
    assert model.memory_report(4).arena < model.memory_report(8).arena
    assert model.warmup(4, verbose=0) > 0
    assert model.step == 0 and "device='cuda'" in repr(model)


def test_threads_mean_nothing_there(tmp_path):
    for make in (
        lambda: net("cuda", threads=2),
        lambda: nc.load(tmp_path / "net", device="cuda", threads=2),
    ):
        net("cpu", threads=1).save(tmp_path / "net")
        with pytest.raises(OptionError, match="threads=2 means nothing on 'cuda', whose kernels run on the GPU"):
            make()
    assert net("cpu", threads=1).to("cuda").threads is None


def test_functions_of_the_course_stay_on_the_host():
    x, w = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))
    with pytest.raises(DeviceError, match="compute on NumPy arrays where they lie, which 'cuda' cannot reach"):
        fast_layers.conv_forward_fast(x, w, np.zeros(1), {"stride": 1, "pad": 1}, device="cuda")


def test_functions_of_arrays_on_the_host():
    x, _ = samples(2)
    weight = np.random.default_rng(1).standard_normal((3, 2, 3, 3)).astype(np.float32)
    wanted, got = (nc.functional.conv2d(x, weight, padding=1, device=device) for device in ("cpu", "cuda"))
    assert isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    smooth = nc.filters.gaussian(1.0)
    image = np.random.default_rng(1).random((6, 7)).astype(np.float32)
    first, second = (nc.filters.apply(image, smooth, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(second, first, rtol=1e-5)


def test_a_net_that_slides():
    x, _ = samples(2)
    model = nc.Sequential(nc.Conv2d(2, 3), nc.Flatten(), nc.Linear(3), input_shape=SHAPE, device="cuda", seed=1)
    sliding = nc.fc_to_conv(model)
    assert sliding.device == model.device
    np.testing.assert_allclose(sliding.predict(x)[:, :, 0, 0], model.predict(x), rtol=1e-4, atol=1e-5)


def test_a_gpu_that_is_not_there_is_named(monkeypatch):
    asked = []
    monkeypatch.setattr(registry, "why_no_cuda", lambda index: asked.append(index) or "there is no GPU 7")
    with pytest.raises(DeviceError, match="device 'cuda:7' is not available: there is no GPU 7; use device"):
        registry.open_device("cuda:7")
    assert asked == [7]


def test_the_command_line(tmp_path):
    pixels = (np.random.default_rng(0).random((3, 1, 8, 8)) * 255).astype(np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    model = nc.zoo.digits_net(device="cpu", seed=1)
    model.save(tmp_path / "net")
    printed = []
    for device in "cpu", "cuda":
        result = CliRunner().invoke(
            cli.main, ["predict", str(tmp_path / "net"), str(tmp_path / "x.npy"), "--device", device]
        )
        assert result.exit_code == 0, result.output
        printed.append(re.findall(r"class (\d)  ([01]\.\d{4})", result.output))
    assert len(printed[0]) == 3
    for (first, odds), (second, others) in zip(*printed, strict=True):
        assert first == second and float(odds) == pytest.approx(float(others), abs=2e-4)
    result = CliRunner().invoke(
        cli.main, ["predict", str(tmp_path / "net"), str(tmp_path / "x.npy"), "--device", "cuda", "--threads", "2"]
    )
    assert result.exit_code == 2 and "threads=2 means nothing on 'cuda'" in result.output
