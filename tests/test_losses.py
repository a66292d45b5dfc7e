"""Training with every loss, and with L2 regularisation: the devices agree, and what does not fit is named."""

import numpy as np
import pytest
from devices import DEVICES

import nbconv as nc
from nbconv.errors import DataError, NonFiniteError, OptionError, ShapeError
from nbconv.io import checkpoint
from nbconv.train.choices import loss_of, metric_name, metrics_of, optimizer_of

on_every_device = pytest.mark.parametrize("device", DEVICES)

LABELS = np.random.default_rng(1).integers(0, 4, 20)
SMOOTHED = nc.CrossEntropy(label_smoothing=0.1, weight=(1.0, 0.5, 2.0, 0.0))
ROWS = {
    "cross_entropy": LABELS,
    SMOOTHED: LABELS,
    "hinge": LABELS,
    nc.Hinge(0.5): LABELS,
    "mse": np.random.default_rng(2).standard_normal((20, 4)),
    "bce_with_logits": np.random.default_rng(3).random((20, 4)),
}
"""By loss: what the net's output (20, 4) is compared with."""

every_loss = pytest.mark.parametrize("loss", ROWS, ids=str)


def net(device="reference", dtype="float64", **options):
    return nc.Sequential(
        nc.Conv2d(3, 3, padding=1), nc.BatchNorm(), nc.ReLU(), nc.MaxPool2d(2), nc.Flatten(), nc.Linear(4),
        input_shape=(2, 6, 5), device=device, dtype=dtype, seed=3, **options,
    )  # fmt: skip


def images(count=20):
    return np.random.default_rng(0).standard_normal((count, 2, 6, 5)).astype(np.float32)


@every_loss
def test_devices_agree_on_a_training_run(loss):
    runs = []
    for device in DEVICES:
        model = net(device)
        model.compile(nc.SGD(lr=0.05, momentum=0.9), loss, l2=0.01)
        history = model.fit(images(), ROWS[loss], batch_size=8, epochs=4, verbose=0).history
        runs.append([*history["loss"], *model.evaluate(images(), ROWS[loss]).values(), *model.predict(images()).flat])
        assert history["loss"][-1] < history["loss"][0]
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-8, atol=1e-12)


@on_every_device
@every_loss
def test_gradients_against_central_differences(loss, device):
    model, x, y = net(device), images(), ROWS[loss]
    model.compile("sgd", loss, l2=0.3)
    value, grads = model.loss_and_grads(x, y)
    state = model.state_dict()
    for name in "0.weight", "0.bias", "1.weight", "5.weight", "5.bias":
        index = np.unravel_index(np.abs(grads[name]).argmax(), grads[name].shape)
        sides = []
        for sign in (1, -1):
            moved = {key: array.copy() for key, array in state.items()}
            moved[name][index] += sign * 1e-6
            model.load_state_dict(moved)
            sides.append(model.loss_and_grads(x, y)[0])
        assert (sides[0] - sides[1]) / 2e-6 == pytest.approx(grads[name][index], rel=1e-6, abs=1e-8), name
    assert value == pytest.approx(np.mean(sides), abs=1e-8)


@on_every_device
@pytest.mark.parametrize("loss, metrics", [("hinge", {"loss", "accuracy"}), ("mse", {"loss"}),
                                           ("bce_with_logits", {"loss", "binary_accuracy"})])  # fmt: skip
def test_the_metrics_of_each_loss(loss, metrics, device):
    model = net(device)
    model.compile("rmsprop", loss)
    assert set(model.evaluate(images(), ROWS[loss])) == metrics
    model.compile("sgd", loss, metrics=None)
    assert set(model.evaluate(images(), ROWS[loss])) == {"loss"}


@on_every_device
def test_binary_accuracy_of_a_net_with_one_output(device):
    model = nc.Sequential(nc.Linear(1), input_shape=(2,), device=device)
    model.load_state_dict({"0.weight": np.array([[1.0, -1.0]]), "0.bias": np.zeros(1)})
    model.compile("sgd", "bce_with_logits", "binary_accuracy")
    x, y = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0], [3.0, 0.0]]), np.array([[1], [0], [0], [0]])
    result = model.evaluate(x, y)
    assert result["binary_accuracy"] == 0.75
    want = np.mean([np.log1p(np.exp(-2)), np.log1p(np.exp(-2)), np.log(2), 3 + np.log1p(np.exp(-3))])
    assert result["loss"] == pytest.approx(want, rel=1e-6)


@on_every_device
@pytest.mark.parametrize("loss", ["mse", "bce_with_logits"])
def test_targets_of_images_come_in_the_layout_of_images(loss, device):
    target = np.random.default_rng(4).random((6, 3, 5, 4))
    x = np.random.default_rng(5).standard_normal((6, 2, 5, 4))
    results = []
    for data_format, axes in ("NCHW", (0, 1, 2, 3)), ("NHWC", (0, 2, 3, 1)):
        inputs, wanted = x.transpose(axes), target.transpose(axes)
        model = nc.Sequential(
            nc.Conv2d(3, 3, padding=1), input_shape=inputs.shape[1:], data_format=data_format, device=device, seed=1
        )
        model.compile(nc.SGD(lr=0.1), loss)
        output = model.predict(inputs).astype(np.float64)
        if loss == "mse":
            assert model.evaluate(inputs, wanted)["loss"] == pytest.approx(np.mean((output - wanted) ** 2), rel=1e-6)
        results.append(model.fit(inputs, wanted, batch_size=4, epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-6)


class TestL2:
    """0.5 * reg * sum(w^2) over weights of convolutions and linear layers, and nothing else."""

    def weights(self, model):
        state = model.state_dict()
        return {name: state[name] for name in ("0.weight", "5.weight")}

    @on_every_device
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_what_it_adds_to_loss_and_gradients(self, device, dtype):
        x, y = images(), LABELS
        plain, pulled = net(device, dtype), net(device, dtype)
        plain.compile("sgd")
        pulled.compile("sgd", l2=0.25)
        assert (plain.l2, pulled.l2) == (0, 0.25)
        (loss, grads), (total, pulled_grads) = (model.loss_and_grads(x, y) for model in (plain, pulled))
        penalty = 0.125 * sum(np.sum(w.astype(np.float64) ** 2) for w in self.weights(plain).values())
        assert total == pytest.approx(loss + penalty, rel=1e-14)
        for name, gradient in grads.items():
            want = gradient + 0.25 * self.weights(plain).get(name, 0)
            np.testing.assert_allclose(pulled_grads[name], want, rtol=1e-6 if dtype == "float32" else 1e-14, atol=1e-15)
        assert pulled.evaluate(x, y)["loss"] == pytest.approx(plain.evaluate(x, y)["loss"] + penalty, rel=1e-14)
        assert pulled.evaluate(x, y, batch_size=7)["loss"] == pytest.approx(pulled.evaluate(x, y)["loss"], rel=1e-6)

    @on_every_device
    def test_the_reported_loss_is_that_of_the_weights_of_the_moment(self, device):
        x, y = images(), LABELS
        model = net(device)
        model.compile(nc.SGD(lr=0.1), l2=0.5)
        for _ in range(3):
            penalty = 0.25 * sum(np.sum(w**2) for w in self.weights(model).values())
            model.compile(model.optimizer, l2=0.5)
            with_l2 = model.evaluate(x, y)["loss"]
            again = model.evaluate(x, y)["loss"]
            model.compile(model.optimizer)
            assert with_l2 == again == pytest.approx(model.evaluate(x, y)["loss"] + penalty, rel=1e-13)
            model.compile(model.optimizer, l2=0.5)
            model.fit(x, y, batch_size=8, verbose=0, validation_data=(x, y))

    @on_every_device
    def test_a_step_follows_loss_and_penalty(self, device):
        x, y = images(), LABELS
        model = net(device)
        model.compile(nc.SGD(lr=0.1), l2=0.5)
        _, grads = model.loss_and_grads(x, y)
        before = model.state_dict()
        model.train_on_batch(x, y)
        for name, gradient in grads.items():
            np.testing.assert_allclose(model.state_dict()[name], before[name] - 0.1 * gradient, rtol=1e-12, atol=1e-14)

    @on_every_device
    def test_clipping_sees_the_penalty(self, device):
        x, y = images(), LABELS
        model = net(device)
        model.compile(nc.SGD(lr=1.0, clip_norm=0.01), l2=100.0)
        before = model.state_dict()
        model.train_on_batch(x, y)
        moved = [model.state_dict()[name] - before[name] for name in before if "running" not in name]
        assert np.sqrt(sum(np.sum(m**2) for m in moved)) == pytest.approx(0.01, rel=1e-6)

    @on_every_device
    def test_a_net_without_weights_has_no_penalty(self, device):
        model = nc.Sequential(nc.BatchNorm(), input_shape=(4,), device=device)
        x = np.random.default_rng(0).standard_normal((20, 4))
        model.compile("sgd")
        plain = model.loss_and_grads(x, LABELS)
        model.compile("sgd", l2=3.0)
        pulled = model.loss_and_grads(x, LABELS)
        assert pulled[0] == plain[0]
        for name in plain[1]:
            np.testing.assert_array_equal(pulled[1][name], plain[1][name])

    @on_every_device
    @pytest.mark.parametrize(
        "dtype, weight, reg",
        [
            ("float32", 100.0, 1e308),
            ("float32", 100.0, 1e38),  # a finite penalty, but its gradient overflows float32
            ("float64", 1e200, 1e-300),  # a finite gradient, but its penalty overflows
        ],
    )
    def test_a_penalty_that_is_not_finite_is_named_and_nothing_is_updated(self, dtype, weight, reg, device):
        model = nc.Sequential(nc.Linear(4), input_shape=(3,), device=device, dtype=dtype)
        model.load_state_dict({"0.weight": np.full((4, 3), weight), "0.bias": np.zeros(4)})
        model.compile(nc.SGD(lr=0.1), l2=reg)
        with pytest.raises(NonFiniteError, match="first value that is not finite is in the L2 penalty of the weights"):
            model.fit(np.zeros((4, 3)), [0, 1, 2, 2], verbose=0)
        np.testing.assert_array_equal(model.state_dict()["0.weight"], np.full((4, 3), weight))
        np.testing.assert_array_equal(model.state_dict()["0.bias"], np.zeros(4))

    @on_every_device
    def test_it_is_saved_and_copied(self, device, tmp_path):
        x, y = images(), LABELS
        model = net(device)
        model.compile(nc.RMSProp(centered=True, momentum=0.5), nc.Hinge(0.5), l2=0.125)
        model.fit(x, y, batch_size=8, verbose=0)
        model.save(tmp_path / "net")
        again, copy = nc.load(tmp_path / "net", device=device), model.to(device)
        for other in again, copy:
            assert other.l2 == 0.125 and other.optimizer == model.optimizer and other._loss == nc.Hinge(0.5)
        histories = [m.fit(x, y, batch_size=8, epochs=2, verbose=0).history for m in (model, again, copy)]
        assert histories[0] == histories[1] == histories[2]

    def test_a_file_without_it(self, tmp_path, monkeypatch):
        model = net()
        model.compile("sgd")
        write = checkpoint.write

        def older(path, arrays, description):
            del description["training"]["l2"]
            write(path, arrays, description)

        monkeypatch.setattr(checkpoint, "write", older)
        model.save(tmp_path / "net")
        assert nc.load(tmp_path / "net", device="reference").l2 == 0

    def test_warmup_knows_it(self):
        model = net("cpu")
        model.compile("sgd", l2=0.1)
        before = model.state_dict()
        model.warmup(8, verbose=0)
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(value, before[name])


@on_every_device
def test_a_class_of_weight_zero_can_be_a_batch_without_a_loss(device):
    model = net(device)
    model.compile("sgd", nc.CrossEntropy(weight=(0.0, 1.0, 1.0, 1.0)))
    before = model.state_dict()
    with pytest.raises(
        NonFiniteError,
        match=r"the loss is nan.*in the output of CrossEntropy.*all labels of a batch have weight 0.*larger batch_size",
    ):
        model.fit(images(4), [0, 0, 0, 0], verbose=0)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


@on_every_device
def test_a_batch_of_weight_zero_has_an_infinite_loss_if_labels_are_smoothed(device):
    x, y = np.zeros((2, 3)), np.zeros(2, int)
    weight = (0.0, 1.0, 1.0)
    with np.errstate(divide="ignore"):
        assert nc.functional.cross_entropy(x, y, weight, label_smoothing=0.1, device=device) == np.inf


def with_value(target, value):
    target = target.copy()
    target[3, 1] = value
    return target


X = images()
TARGET = np.random.default_rng(3).random((20, 4))


@pytest.mark.parametrize(
    "loss, y, error, message",
    [
        ("mse", LABELS, ShapeError, r"y must have the shape of the output, \(20, 4\), got \(20,\); .*np.eye\(4\)\[y\]"),
        ("mse", TARGET[:, :3], ShapeError, r"shape of the output, \(20, 4\), got \(20, 3\)$"),
        ("mse", TARGET.T, ShapeError, r"got \(4, 20\); use y.reshape\(20, 4\), if that is the order of its axes"),
        ("mse", 3.0, ShapeError, r"got \(\)$"),
        ("mse", TARGET[:19], ShapeError, "there are 20 samples, but 19 targets in y; pass one target per sample"),
        ("mse", TARGET[:0], DataError, "y is empty"),
        ("mse", TARGET.astype(str), DataError, "y must hold real numbers, got dtype <U"),
        ("mse", TARGET * 1j, DataError, "y must hold real numbers, got dtype complex128; use y.real"),
        ("mse", [[1.0], [2.0, 3.0]], DataError, "y is ragged"),
        ("mse", with_value(TARGET, np.nan), DataError, r"y has 1 value that is not finite, .* nan at index \(3, 1\)"),
        ("mse", with_value(TARGET, -np.inf), DataError, r"the first is -inf at index \(3, 1\)"),
        ("mse", with_value(TARGET, 1e300), DataError, "y has values beyond the range of float32; scale it"),
        ("bce_with_logits", with_value(TARGET, 1.5), DataError, r"y is 1.5 at index \(3, 1\), .* must be from 0 to 1$"),
        ("bce_with_logits", with_value(TARGET, -0.1), DataError, r"y is -0.1 at index \(3, 1\)"),
        ("bce_with_logits", np.sign(TARGET - 0.5), DataError, r"labels of -1 and 1 become targets with \(y \+ 1\) / 2"),
        ("hinge", TARGET, ShapeError, "y must be one label per sample"),
        ("hinge", LABELS + 1, DataError, "labels must be from 0 to 3"),
        (SMOOTHED, LABELS.astype(float), DataError, r"integer labels.*use y.astype\(int\)"),
    ],
)
def test_what_cannot_be_compared_is_named_before_anything_is_computed(loss, y, error, message):
    model = net(dtype="float32")
    model.compile("sgd", loss)
    before = model.state_dict()
    for call in model.fit, model.evaluate, model.loss_and_grads, model.train_on_batch:
        with pytest.raises(error, match=message):
            call(X, y)
    with pytest.raises(error, match=f"validation_data: .*{message}"):
        model.fit(X, ROWS[loss], validation_data=(X, y), verbose=0)
    assert model.step == 0
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_targets_of_one_output_need_their_axis():
    model = nc.Sequential(nc.Linear(1), input_shape=(2,), device="reference")
    model.compile("sgd", "mse")
    with pytest.raises(ShapeError, match=r"shape of the output, \(20, 1\), got \(20,\); use y\[:, None\]"):
        model.fit(np.zeros((20, 2)), LABELS, verbose=0)
    assert model.evaluate(np.zeros((20, 2)), LABELS[:, None])["loss"] == np.mean(LABELS**2.0)


@on_every_device
def test_nan_in_targets_may_be_let_through_and_stops_training(device):
    model = net(device)
    model.compile("sgd", "mse")
    with pytest.raises(NonFiniteError, match=r"the loss is nan.*in the output of MSE"):
        model.fit(X, with_value(TARGET, np.nan), check_finite=False, verbose=0)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"loss": "mse", "metrics": "accuracy"}, OptionError,
         r"the metric Accuracy compares with one integer label per row, the loss MSE with one number per element"),
        ({"loss": "hinge", "metrics": ["accuracy", "binary_accuracy"]}, OptionError,
         "the metric BinaryAccuracy compares with one number per element, the loss Hinge with one integer label"),
        ({"loss": nc.CrossEntropy(weight=(1, 2, 3))}, ShapeError,
         "CrossEntropy has weights for 3 classes, but there are 4 logits per row; pass one weight per class"),
        ({"loss": nc.Hinge}, OptionError, r"loss must be one of .*write it with parentheses"),
        ({"loss": nc.Accuracy()}, OptionError, "loss must be one of .*'mse', 'bce_with_logits'"),
        ({"optimizer": "rms"}, OptionError, "optimizer must be one of 'sgd', 'adam', 'adamw', 'rmsprop'"),
        ({"metrics": ["f1"]}, OptionError, "metrics must be one of 'accuracy', 'binary_accuracy' or an instance"),
        ({"l2": -1.0}, OptionError, "l2 must be zero or more, and finite, got -1.0"),
        ({"l2": "much"}, OptionError, "l2 must be zero or more, and finite, got 'much'"),
        ({"l2": float("nan")}, OptionError, "l2 must be zero or more, and finite, got nan"),
    ],
)  # fmt: skip
def test_what_compile_refuses_changes_nothing(options, error, message):
    model = net()
    model.compile("adam", l2=0.5)
    optimizer = model.optimizer
    with pytest.raises(error, match=message):
        model.compile(**options)
    assert model.optimizer is optimizer and model.l2 == 0.5
    assert set(model.evaluate(images(), LABELS)) == {"loss", "accuracy"}


@pytest.mark.parametrize(
    "optimizer, loss, metric, kinds",
    [
        ("RMSProp", "CrossEntropy", "Accuracy", (nc.RMSProp, nc.CrossEntropy)),
        ("AdamW", "MSE", None, (nc.AdamW, nc.MSE)),
        ("SGD", "BCEWithLogits", "BinaryAccuracy", (nc.SGD, nc.BCEWithLogits)),
    ],
)
def test_names_of_classes_are_names_too(optimizer, loss, metric, kinds):
    assert type(optimizer_of(optimizer)) is kinds[0]
    assert type(loss_of(loss)) is kinds[1]
    assert [metric_name(op) for op in metrics_of(metric, loss_of(loss))] == [
        {"Accuracy": "accuracy", "BinaryAccuracy": "binary_accuracy"}[metric] for _ in range(metric is not None)
    ]
