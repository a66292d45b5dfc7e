"""The API in the words of the README, on every device."""

import numpy as np
import pytest
from devices import DEVICES

import nbconv as nc
from nbconv.data.digits import digits
from nbconv.errors import (
    DataError,
    DeviceError,
    GraphError,
    NonFiniteError,
    OptionError,
    ShapeError,
)

on_every_device = pytest.mark.parametrize("device", DEVICES)


def sequential(device="reference", **options):
    return nc.Sequential(
        nc.Conv2d(8, 3, padding="same"), nc.BatchNorm(), nc.ReLU(), nc.MaxPool2d(2),
        nc.Flatten(), nc.Linear(10), input_shape=(1, 8, 8), device=device, **{"seed": 0, **options},
    )  # fmt: skip


def compiled(device="reference", **options):
    model = sequential(device, **options)
    model.compile(optimizer=nc.SGD(lr=0.1, momentum=0.9), loss="cross_entropy", metrics=["accuracy"])
    return model


def samples(count=20, shape=(1, 8, 8)):
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, *shape)).astype(np.float32), rng.integers(0, 10, count)


@on_every_device
def test_the_whole_road(device, tmp_path, capsys):
    (x, y), (xv, yv) = digits()
    model = compiled(device)
    history = model.fit(x, y, epochs=5, batch_size=32, validation_data=(xv, yv))
    assert history.epoch == [0, 1, 2, 3, 4]
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    assert history.history["val_accuracy"][-1] > 0.85
    assert "epoch 5/5  loss" in capsys.readouterr().out
    assert model.evaluate(xv, yv)["accuracy"] == pytest.approx(history.history["val_accuracy"][-1])
    logits = model.predict(xv)
    assert logits.shape == (360, 10) and logits.dtype == np.float32
    labels, probability = model.classify(xv)
    np.testing.assert_array_equal(labels, logits.argmax(axis=1))
    assert np.all((probability > 0.1) & (probability <= 1))
    model.summary()
    assert "1,386" in capsys.readouterr().out
    model.save(tmp_path / "digits.safetensors")
    again = nc.load(tmp_path / "digits.safetensors", device=device)
    np.testing.assert_array_equal(again.predict(xv), logits)


@on_every_device
def test_the_last_batch_may_be_smaller(device):
    x, y = samples(23)
    model = compiled(device)
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    assert model.step == 6
    assert model.predict(x, batch_size=10).shape == (23, 10)
    np.testing.assert_allclose(model.predict(x, batch_size=10), model.predict(x, batch_size=23), atol=1e-6)


@on_every_device
def test_a_seed_gives_the_same_bits(device):
    x, y = samples(23)
    runs = [compiled(device, seed=seed) for seed in (5, 5, 6)]
    for model in runs:
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    first, second, other = (model.predict(x) for model in runs)
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-3


def test_thread_counts_give_the_same_bits():
    from numba import config

    x, y = samples(23)
    results = []
    for threads in sorted({1, config.NUMBA_NUM_THREADS}):
        model = compiled("cpu", threads=threads)
        model.fit(x, y, batch_size=8, epochs=3, verbose=0)
        results.append(model.predict(x))
    for result in results:
        np.testing.assert_array_equal(result, results[0])


def test_the_same_start_on_every_device_and_dtype():
    states = [sequential(device, dtype=d).state_dict() for device in DEVICES for d in ("float32", "float64")]
    for state in states:
        for name, value in states[0].items():
            np.testing.assert_allclose(state[name], value, rtol=1e-6)


@on_every_device
def test_loss_and_grads_against_central_differences(device):
    x, y = samples(9)
    model = sequential(device, dtype="float64")
    model.compile("sgd")
    loss, grads = model.loss_and_grads(x, y)
    assert list(grads) == ["0.weight", "0.bias", "1.weight", "1.bias", "5.weight", "5.bias"]
    assert grads["0.weight"].shape == (8, 1, 3, 3) and grads["5.weight"].shape == (10, 128)
    state = model.state_dict()
    for name in "0.weight", "1.bias", "5.weight":
        index = np.unravel_index(np.abs(grads[name]).argmax(), grads[name].shape)
        sides = []
        for sign in (1, -1):
            moved = {key: value.copy() for key, value in state.items()}
            moved[name][index] += sign * 1e-6
            model.load_state_dict(moved)
            sides.append(model.loss_and_grads(x, y)[0])
        assert (sides[0] - sides[1]) / 2e-6 == pytest.approx(grads[name][index], rel=1e-6)
    assert loss == pytest.approx(np.mean(sides), abs=1e-8)


@on_every_device
def test_forward_and_backward_for_a_loss_of_ones_own(device):
    x, y = samples(9)
    model = compiled(device, dtype="float64")
    _, wanted = model.loss_and_grads(x, y)
    logits = model.forward(x, training=True)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    dy = (odds / odds.sum(axis=1, keepdims=True) - np.eye(10)[y]) / len(y)
    for name, gradient in model.backward(dy).items():
        np.testing.assert_allclose(gradient, wanted[name], atol=1e-13, err_msg=name)


@on_every_device
def test_input_gradients_come_in_the_layout_of_the_input(device):
    x, _ = samples(3, (2, 6, 5))
    for data_format, batch in ("NCHW", x), ("NHWC", x.transpose(0, 2, 3, 1)):
        model = nc.Sequential(
            nc.Conv2d(3, 3), nc.Flatten(), nc.Linear(2), input_shape=batch.shape[1:], data_format=data_format,
            device=device, seed=1,
        )  # fmt: skip
        model.forward(batch, training=True, input_gradients=True)
        gradient = model.backward(np.ones((3, 2)))["input"]
        assert gradient.shape == batch.shape
        if data_format == "NCHW":
            first = gradient
    np.testing.assert_allclose(gradient, first.transpose(0, 2, 3, 1), atol=1e-6)


@on_every_device
def test_channels_last_images_give_the_same_result(device):
    x, _ = samples(4, (2, 6, 5))
    layers = nc.Conv2d(3, 3), nc.MaxPool2d(2)
    first = nc.Sequential(*layers, input_shape=(2, 6, 5), device=device, seed=1)
    last = nc.Sequential(*layers, input_shape=(6, 5, 2), data_format="NHWC", device=device, seed=1)
    np.testing.assert_allclose(
        last.predict(x.transpose(0, 2, 3, 1)), first.predict(x).transpose(0, 2, 3, 1), rtol=1e-6, atol=1e-6
    )


@on_every_device
def test_several_inputs_and_outputs(device):
    a, b = nc.Input((1, 6, 6), name="image"), nc.Input((4,), name="numbers")
    features = nc.Linear(4)(nc.GlobalAvgPool2d()(nc.Conv2d(3, 3)(a)))
    total = nc.Add()(features, b)
    model = nc.Model([a, b], [nc.Linear(2)(total), total], device=device)
    image, numbers = samples(5, (1, 6, 6))[0], samples(5, (4,))[0]
    first, second = model.predict((image, numbers))
    assert first.shape == (5, 2) and second.shape == (5, 4)
    model.forward((image, numbers), training=True, input_gradients=True)
    gradients = model.backward((np.ones((5, 2)), np.zeros((5, 4))))
    assert gradients["image"].shape == image.shape and gradients["numbers"].shape == numbers.shape
    with pytest.raises(DataError, match="x must be a tuple of 2 arrays"):
        model.predict(image)
    with pytest.raises(ShapeError, match="different numbers of samples"):
        model.predict((image, numbers[:3]))


@on_every_device
def test_a_loss_on_every_pixel(device):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 1, 5, 4)), rng.integers(0, 3, (6, 5, 4))
    model = nc.Sequential(nc.Conv2d(3, 3, padding=1), input_shape=(1, 5, 4), device=device)
    model.compile(nc.Adam(lr=0.01))
    losses = model.fit(x, y, batch_size=4, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    with pytest.raises(ShapeError, match="one label per pixel"):
        model.fit(x, y[:, 0, 0], verbose=0)
    with pytest.raises(DataError, match="y is ragged"):
        model.fit(x[:2], [[[0]], [[1], [2]]], verbose=0)


@on_every_device
def test_dropout_acts_in_training_only_and_moves_on_with_the_step(device):
    model = nc.Sequential(nc.Dropout(0.5), nc.Linear(3), input_shape=(40,), device=device)
    x = np.ones((2, 40), np.float32)
    first, second = model.forward(x, training=True), model.forward(x, training=True)
    assert np.abs(first - second).max() > 0
    model.step = 0
    np.testing.assert_array_equal(model.forward(x, training=True), first)
    np.testing.assert_array_equal(model.predict(x)[0], model.predict(x)[1])


def test_devices_agree_on_a_training_run_with_dropout():
    x, y = samples(40)
    results = []
    for device in DEVICES:
        model = nc.Sequential(
            nc.Conv2d(6, 3), nc.BatchNorm(), nc.ReLU(), nc.MaxPool2d(2), nc.Dropout(0.4), nc.Flatten(), nc.Linear(10),
            input_shape=(1, 8, 8), device=device, dtype="float64", seed=2,
        )  # fmt: skip
        model.compile(nc.Adam(lr=0.01))
        results.append(model.fit(x, y, batch_size=16, epochs=4, verbose=0).history["loss"])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-10)


def test_state_dict_has_pytorchs_names_shapes_and_order():
    state = sequential().state_dict()
    assert {name: value.shape for name, value in state.items()} == {
        "0.weight": (8, 1, 3, 3),
        "0.bias": (8,),
        "1.weight": (8,),
        "1.bias": (8,),
        "1.running_mean": (8,),
        "1.running_var": (8,),
        "5.weight": (10, 128),
        "5.bias": (10,),
    }
    assert list(state)[:5] == ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean"]


def test_load_state_dict_takes_pytorchs_and_is_all_or_nothing():
    model = sequential()
    state = {name: np.random.default_rng(1).random(value.shape) for name, value in model.state_dict().items()}
    model.load_state_dict({**state, "1.num_batches_tracked": np.array(7)})
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(value, state[name], rtol=1e-6)
    before = model.state_dict()
    for change, error, message in (
        ({"5.bias": np.zeros(9)}, ShapeError, r"5.bias has shape \(9,\), the net needs \(10,\)"),
        ({"9.weight": np.zeros(9)}, DataError, r"unknown \['9.weight'\]"),
        ({"0.bias": np.array(["a"] * 8)}, DataError, r"0.bias must be an array of numbers"),
    ):
        with pytest.raises(error, match=message):
            model.load_state_dict({**{name: value + 1 for name, value in state.items()}, **change})
    with pytest.raises(DataError, match=r"missing \['0.bias'\]"):
        model.load_state_dict({name: value for name, value in state.items() if name != "0.bias"})
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_copy_on_another_device_trains_on():
    x, y = samples()
    layers = nc.Conv2d(4, 3), nc.ReLU(), nc.Flatten(), nc.Linear(10)
    model = nc.Sequential(*layers, input_shape=(1, 8, 8), device="reference", dtype="float64")
    model.compile(nc.Adam(lr=0.01))
    model.fit(x, y, verbose=0)
    copy = model.to("cpu")
    assert copy._compiled().count == model._compiled().count == 1
    for net in model, copy:
        net.fit(x, y, epochs=2, verbose=0)
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(copy.state_dict()[name], value, rtol=1e-9, atol=1e-12)


def test_integer_images_and_other_floats_are_taken():
    x, _ = samples()
    model = compiled()
    pixels = (x * 10).astype(np.int16)
    np.testing.assert_array_equal(model.predict(pixels), model.predict(pixels.astype(np.float64)))


def test_the_mean_of_an_epoch_weighs_samples_not_batches():
    x, y = samples(9)
    model = compiled()
    model.lr = 0.0
    model.compile(nc.SGD(lr=0.0))
    reported = model.fit(x, y, batch_size=8, verbose=0, shuffle=False, validation_data=(x, y)).history
    parts = [model.train_on_batch(x[:8], y[:8])["loss"], model.train_on_batch(x[8:], y[8:])["loss"]]
    assert reported["loss"][0] == pytest.approx((8 * parts[0] + parts[1]) / 9, rel=1e-12)
    by_hand = [model.evaluate(x[i : i + 1], y[i : i + 1])["loss"] for i in range(9)]
    assert model.evaluate(x, y, batch_size=4)["loss"] == pytest.approx(np.mean(by_hand), rel=1e-6)


def test_layers_of_one_shape_start_with_different_weights():
    state = nc.Sequential(nc.Linear(4), nc.Linear(4), input_shape=(4,), device="reference").state_dict()
    assert np.abs(state["0.weight"] - state["1.weight"]).min() > 1e-6


def test_auto_is_the_cpu_where_there_is_no_gpu():
    assert sequential("auto").device == sequential("cpu").device != sequential("reference").device


def test_backward_goes_with_the_last_forward():
    x, y = samples(4)
    model = compiled()
    for between in lambda: model.fit(x, y, verbose=0), lambda: model.load_state_dict(model.state_dict()):
        model.forward(x, training=True)
        between()
        with pytest.raises(GraphError, match="the parameters have changed since the last one"):
            model.backward(np.ones((4, 10)))
    model.forward(x, training=True)
    model.backward(np.ones((4, 10)))
    with pytest.raises(GraphError, match="call forward"):
        model.backward(np.ones((4, 10)))


def test_memory_report():
    model = compiled()
    small, large = model.memory_report(8), model.memory_report(16)
    assert small.arena < large.arena < large.without_reuse and small.parameters == large.parameters
    assert model.memory_report(8, "predict").arena < small.arena
    with pytest.raises(OptionError, match="use must be one of"):
        model.memory_report(8, "test")
    with pytest.raises(OptionError, match="call compile"):
        sequential().memory_report(8)


def test_copies_and_pickles():
    import copy
    import pickle

    x, y = samples()
    model = compiled()
    model.fit(x, y, verbose=0)
    twin = copy.deepcopy(model)
    np.testing.assert_array_equal(twin.predict(x), model.predict(x))
    twin.fit(x, y, verbose=0)
    assert np.abs(twin.predict(x) - model.predict(x)).max() > 0
    with pytest.raises(TypeError, match=r"use model.save"):
        pickle.dumps(model)


def test_keras_ways_of_saying_nothing():
    x, y = samples()
    model = sequential()
    model.compile("sgd", metrics="accuracy")
    model.fit(x.tolist(), y.tolist(), callbacks=None, verbose=0)
    model.compile("sgd", metrics=None)
    assert set(model.evaluate(x, y)) == {"loss"}


def test_plans_are_bounded_and_predict_does_not_grow():
    model = compiled()
    for count in range(1, 30):
        model.predict(samples(count)[0])
    assert len(model._plans) <= 8


def test_two_python_threads_may_predict_at_once():
    from concurrent.futures import ThreadPoolExecutor

    model = compiled("cpu")
    inputs = [np.full((4, 1, 8, 8), i, np.float32) for i in range(16)]
    wanted = [model.predict(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for got, want in zip(pool.map(model.predict, inputs), wanted, strict=True):
            np.testing.assert_array_equal(got, want)


def with_value(value):
    x = samples()[0].copy()
    x[3, 0, 2, 1] = value
    return x


X, Y = samples()


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda m: m.fit(X[:, 0], Y), ShapeError, r"x must have shape \(N, 1, 8, 8\).*got \(20, 8, 8\).*x\[:, None\]"),
        (lambda m: m.fit(X.transpose(0, 2, 3, 1), Y), ShapeError, r'data_format="NHWC"'),
        (lambda m: m.fit(X.astype(object), Y), DataError, r"x must hold real numbers, got dtype object"),
        (lambda m: m.fit(X.astype(str), Y), DataError, r"x must hold real numbers, got dtype <U"),
        (lambda m: m.fit(X * 1j, Y), DataError, r"dtype complex"),
        (lambda m: m.fit(with_value(np.nan), Y), DataError, r"not finite, the first is nan at index \(3, 0, 2, 1\)"),
        (lambda m: m.fit(with_value(np.inf), Y), DataError, r"not finite, the first is inf"),
        (lambda m: m.predict(with_value(np.nan)), DataError, r"pass check_finite=False"),
        (lambda m: m.fit(X[:0], Y[:0]), DataError, r"x is empty"),
        (lambda m: m.fit(X, Y[:-1]), ShapeError, r"20 samples, but 19 labels"),
        (lambda m: m.fit(X, Y + 1), DataError, r"labels must be from 0 to 9"),
        (lambda m: m.fit(X, Y - 1), DataError, r"labels must be from 0 to 9"),
        (lambda m: m.fit(X, Y.astype(float)), DataError, r"integer labels.*use y.astype\(int\)"),
        (lambda m: m.fit(X, np.eye(10)[Y]), ShapeError, r"argmax"),
        (lambda m: m.fit(X, Y.astype(object)), DataError, r"integer labels"),
        (lambda m: m.fit(X, Y, validation_data=(X, Y[:-1])), ShapeError, r"validation_data: .*20 samples"),
        (lambda m: m.fit(X, Y, validation_data=X), DataError, r"validation_data must be a pair"),
        (lambda m: m.fit(X, Y, batch_size=0), OptionError, r"batch_size must be an integer of at least 1"),
        (lambda m: m.fit(X, Y, epochs=-1), OptionError, r"epochs must be"),
        (lambda m: m.fit(X, Y, verbose=7), OptionError, r"verbose must be 0"),
        (lambda m: m.fit(X, Y, callbacks=["stop"]), OptionError, r"callbacks must be instances"),
        (lambda m: m.evaluate(X, Y + 5), DataError, r"labels must be"),
        (lambda m: m.backward(np.zeros((20, 10))), GraphError, r"call forward\(x, training=True\) first"),
        (lambda m: (m.forward(X, training=True), m.backward(np.zeros(3))), ShapeError, r"dy must be .*\(20, 10\)"),
        (lambda m: m.compile("sgdm"), OptionError, r"optimizer must be one of 'sgd', 'adam', 'adamw'"),
        (lambda m: m.compile(nc.SGD), OptionError, r"with parentheses"),
        (lambda m: m.compile("sgd", "huber"), OptionError, r"loss must be one of 'cross_entropy', 'hinge'"),
        (lambda m: m.compile("sgd", metrics=["f1"]), OptionError, r"metrics must be one of 'accuracy'"),
        (lambda m: setattr(m, "lr", -1), OptionError, r"lr must be zero or more"),
        (lambda m: sequential().fit(X, Y), OptionError, r"call compile"),
        (lambda m: sequential("gpu"), DeviceError, r'unknown device \'gpu\'; there are "cpu", "cuda"'),
        (lambda m: sequential("cpu:1"), DeviceError, r"unknown device"),
        (lambda m: sequential("cuda:99"), DeviceError, r'device \'cuda:99\' is not available: .*use device="cpu"'),
        (lambda m: sequential(seed=2**63), OptionError, r"seed must be an integer of at most"),
        (lambda m: sequential(rewrite="no"), OptionError, r"rewrite must be True or False, got 'no'"),
        (lambda m: m.predict(np.full((1, 1, 8, 8), 1e300)), DataError, r"beyond the range of float32; scale it"),
        (lambda m: m.load_state_dict({**m.state_dict(), "0.bias": np.full(8, 1e300)}), DataError, r"0.bias has values"),
        (lambda m: m.fit(X, Y, callbacks=nc.callbacks.History()), OptionError, r"must be a list: write \[History"),
        (lambda m: m.fit(X, [[1], [2, 3]]), DataError, r"ragged"),
        (lambda m: sequential(dtype="float16"), OptionError, r"dtype must be one of"),
        (lambda m: sequential("cpu", threads=10_000).predict(X), OptionError, r"threads"),
        (lambda m: nc.Sequential(input_shape=(1, 8, 8)), GraphError, r"at least one layer"),
        (lambda m: nc.Model(3, 4), GraphError, r"inputs must be what Input"),
        (lambda m: nc.SGD(nesterov=True), OptionError, r"momentum must be positive with nesterov"),
        (lambda m: nc.Adam(betas=(1, 0)), OptionError, r"betas must be"),
        (lambda m: nc.SGD(lr=-1), OptionError, r"lr must be zero or more"),
        (lambda m: nc.Dropout(1.5), OptionError, r"probability of dropping"),
        (lambda m: nc.Sequential(nc.Linear(3, init="magic"), input_shape=(2,)), OptionError, r"init must be one of"),
    ],
)
def test_bad_input_is_named_before_anything_is_computed(call, error, message):
    model = compiled()
    before = model.state_dict()
    with pytest.raises(error, match=message):
        call(model)
    for name, value in model.state_dict().items():
        if "running" not in name:  # forward(training=True) in one of the calls moves these
            np.testing.assert_array_equal(value, before[name])


def test_a_last_batch_of_one_is_refused_before_the_first_step():
    model = nc.Sequential(nc.Linear(4), nc.BatchNorm(), nc.Linear(10), input_shape=(3,), device="reference")
    model.compile("sgd")
    with pytest.raises(ShapeError, match=r"layer 1 \(BatchNorm\).*use a batch_size"):
        model.fit(*samples(9, (3,)), batch_size=8, verbose=0)
    assert model.step == 0


@on_every_device
def test_a_layer_keeps_its_index_where_others_are_fused(device):
    model = nc.Sequential(
        nc.Conv2d(2, 3), nc.ReLU(), nc.MaxPool2d(2), nc.Flatten(), nc.Linear(10, init=1e38, name="loud"),
        input_shape=(1, 8, 8), device=device,
    )  # fmt: skip
    model.compile("sgd")
    with pytest.raises(NonFiniteError, match=r"output of layer 4 \(Linear 'loud'\)"):
        model.fit(np.full((4, 1, 8, 8), 1e3), [0, 1, 2, 3], verbose=0)


@on_every_device
def test_a_net_without_parameters_can_be_fitted_and_learns_nothing(device):
    model = nc.Sequential(nc.Flatten(), nc.ReLU(), input_shape=(10,), device=device)
    model.compile("sgd")
    x, y = np.eye(10), np.arange(10)
    assert model.fit(x, y, epochs=2, verbose=0).history["accuracy"] == [1.0, 1.0]
    assert model.state_dict() == {} and model.loss_and_grads(x, y)[1] == {}


@on_every_device
def test_an_infinite_loss_with_finite_gradients_updates_nothing(device):
    model = nc.Sequential(nc.Linear(2), input_shape=(1,), device=device)
    model.load_state_dict({"0.weight": np.array([[-3e38], [0.0]]), "0.bias": np.zeros(2)})
    model.compile(nc.SGD(lr=1.0))
    with pytest.raises(NonFiniteError, match=r"the loss is inf.*output of layer 0 \(Linear\)"):
        model.fit([[10.0], [10.0]], [0, 0], verbose=0)
    np.testing.assert_array_equal(model.state_dict()["0.bias"], [0, 0])
    np.testing.assert_array_equal(model.state_dict()["0.weight"], np.array([[-3e38], [0]], np.float32))


@on_every_device
def test_running_statistics_are_those_before_a_refused_step(device):
    model = nc.Sequential(nc.BatchNorm(), nc.Linear(2), input_shape=(2,), device=device)
    model.compile("sgd")
    before = model.state_dict()
    with pytest.raises(NonFiniteError, match=r"output of layer 0 \(BatchNorm\)"):
        model.fit([[1.0, 2.0], [3.0, np.nan]], [0, 1], verbose=0, check_finite=False)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    assert model._compiled().count == 0


@on_every_device
def test_a_loss_that_is_not_finite_stops_with_the_layer_and_keeps_the_parameters(device):
    x, y = samples(24)
    x[17] = 1e30  # the second batch overflows float32 in the second layer
    model = nc.Sequential(
        nc.Conv2d(4, 3, init=1.0), nc.Conv2d(4, 3, init=1e20, name="loud"), nc.BatchNorm(), nc.Flatten(), nc.Linear(10),
        input_shape=(1, 8, 8), device=device,
    )  # fmt: skip
    model.compile(nc.Adam(lr=1e-3))
    model.fit(x[:8], y[:8], batch_size=8, verbose=0, shuffle=False)
    good = model.state_dict()
    with pytest.raises(NonFiniteError, match=r"stopped at step 2.*output of layer 1 \(Conv2d 'loud'\)"):
        model.fit(x[16:], y[16:], batch_size=8, verbose=0, shuffle=False)
    for name, value in model.state_dict().items():
        assert np.isfinite(value).all(), name
        np.testing.assert_array_equal(value, good[name], err_msg=name)
    model.fit(x[:8], y[:8], batch_size=8, verbose=0)  # and can be used further


@pytest.mark.parametrize(
    "last", [[], [nc.Flatten()], [nc.Dropout(0.5)], [nc.Dropout2d(0.5), nc.Flatten(), nc.Dropout(0.5)]], ids=str
)
def test_a_softmax_before_the_cross_entropy_is_refused(last):
    model = nc.Sequential(nc.Linear(4), nc.Softmax(name="odds"), *last, input_shape=(3,), device="reference")
    with pytest.raises(OptionError) as error:
        model.compile(nc.SGD(), "cross_entropy")
    assert str(error.value) == (
        "the model ends in layer 1 (Softmax 'odds'), which cross_entropy would apply once more; "
        "remove the Softmax: cross_entropy takes logits. For labels and probabilities there is classify"
    )
    with pytest.raises(OptionError, match="the model has no loss yet"):
        model.fit(np.ones((4, 3)), np.zeros(4, int))


@pytest.mark.parametrize(
    "layers",
    [
        (nc.Linear(4), nc.Softmax(), nc.Linear(4)),
        (nc.Linear(4), nc.LogSoftmax()),  # of which the softmax is what it was
        (nc.Linear(4), nc.Sigmoid()),
    ],
    ids=str,
)
def test_other_activations_may_stand_before_the_cross_entropy(layers):
    model = nc.Sequential(*layers, input_shape=(3,), device="reference")
    model.compile(nc.SGD(), "cross_entropy")
    assert np.isfinite(model.train_on_batch(np.ones((4, 3)), np.arange(4))["loss"])


@on_every_device
def test_probabilities_are_the_same_with_and_without_a_softmax_at_the_end(device):
    x, _ = samples(9, (5,))
    models = [
        nc.Sequential(nc.Linear(4), *last, input_shape=(5,), device=device)
        for last in ([], [nc.Softmax()], [nc.LogSoftmax()], [nc.Softmax(), nc.Flatten(), nc.Dropout()])
    ]
    (labels, probabilities), *others = (model.classify(x) for model in models)
    np.testing.assert_allclose(models[1].predict(x).max(axis=1), probabilities, rtol=1e-6)
    for other, same in others:
        np.testing.assert_array_equal(other, labels)
        np.testing.assert_allclose(same, probabilities, rtol=1e-6)


@pytest.mark.parametrize(
    "layers, error, message",
    [
        ([nc.Linear(1)], ShapeError, r"output is one logit per sample; z = model.predict\(x\)\[:, 0\].*use z > 0, and"),
        (
            [nc.Linear(1), nc.Sigmoid()],
            GraphError,
            r"ends in layer 1 \(Sigmoid\): .*use model.predict\(x\), and .* > 0.5",
        ),
        ([nc.Linear(3), nc.Sigmoid(), nc.Dropout()], GraphError, r"ends in layer 1 \(Sigmoid\).*of its own"),
    ],
    ids=str,
)
def test_outputs_that_are_no_choice_among_classes_are_not_classified(layers, error, message):
    model = nc.Sequential(*layers, input_shape=(5,), device="reference")
    with pytest.raises(error, match=message):
        model.classify(np.zeros((2, 5)))


def test_images_of_logits_are_not_classified():
    model = nc.Sequential(nc.Conv2d(3, 1), input_shape=(1, 4, 5), device="reference")
    with pytest.raises(ShapeError, match=r"one row of logits per sample, but the output of one has shape \(3, 4, 5\)"):
        model.classify(np.zeros((2, 1, 4, 5)))
