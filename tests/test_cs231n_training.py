"""The course's update rules, solver and gradient checks, on models as a student writes them."""

from types import SimpleNamespace

import numpy as np
import pytest
from devices import DEVICES

import nbconv as nc
from nbconv.compat.cs231n import (
    Solver,
    adam,
    affine_backward,
    affine_bn_relu_backward,
    affine_bn_relu_forward,
    affine_forward,
    affine_relu_backward,
    affine_relu_forward,
    conv_relu_pool_backward,
    conv_relu_pool_forward,
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    eval_numerical_gradient_blobs,
    eval_numerical_gradient_net,
    grad_check_sparse,
    load_checkpoint,
    rel_error,
    rmsprop,
    sgd,
    sgd_momentum,
    softmax_loss,
)
from nbconv.compat.cs231n.optim import RULES
from nbconv.errors import DataError, FileFormatError, OptionError, ShapeError

on_every_device = pytest.mark.parametrize("device", DEVICES)
W, DW = np.random.default_rng(0).standard_normal((2, 3, 4))


@pytest.fixture(autouse=True)
def _same_batches():
    np.random.seed(231)  # noqa: NPY002, the generator that the course seeds


class TwoLayerNet:
    """affine - relu - affine - softmax."""

    def __init__(self, input_dim, hidden, classes, weight_scale=1e-2, reg=0.0):
        rng = np.random.RandomState(0)
        self.reg = reg
        self.params = {
            "W1": weight_scale * rng.randn(input_dim, hidden),
            "b1": np.zeros(hidden),
            "W2": weight_scale * rng.randn(hidden, classes),
            "b2": np.zeros(classes),
        }

    def loss(self, X, y=None):
        p = self.params
        hidden, hidden_cache = affine_relu_forward(X, p["W1"], p["b1"])
        scores, scores_cache = affine_forward(hidden, p["W2"], p["b2"])
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        loss += 0.5 * self.reg * sum(np.sum(p[name] ** 2) for name in ("W1", "W2"))
        dhidden, dw2, db2 = affine_backward(dscores, scores_cache)
        _, dw1, db1 = affine_relu_backward(dhidden, hidden_cache)
        return loss, {"W1": dw1 + self.reg * p["W1"], "b1": db1, "W2": dw2 + self.reg * p["W2"], "b2": db2}


class ThreeLayerConvNet:
    """conv - relu - 2x2 max pool - affine - relu - affine - softmax."""

    def __init__(self, input_dim=(3, 8, 8), filters=4, size=3, hidden=20, classes=5, weight_scale=1e-1, reg=0.0):
        rng = np.random.RandomState(1)
        channels, height, width = input_dim
        self.reg = reg
        self.conv_param = {"stride": 1, "pad": (size - 1) // 2}
        self.pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}
        self.params = {
            "W1": weight_scale * rng.randn(filters, channels, size, size),
            "b1": np.zeros(filters),
            "W2": weight_scale * rng.randn(filters * (height // 2) * (width // 2), hidden),
            "b2": np.zeros(hidden),
            "W3": weight_scale * rng.randn(hidden, classes),
            "b3": np.zeros(classes),
        }

    def loss(self, X, y=None):
        p = self.params
        a1, cache1 = conv_relu_pool_forward(X, p["W1"], p["b1"], self.conv_param, self.pool_param)
        a2, cache2 = affine_relu_forward(a1, p["W2"], p["b2"])
        scores, cache3 = affine_forward(a2, p["W3"], p["b3"])
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        loss += 0.5 * self.reg * sum(np.sum(p[name] ** 2) for name in ("W1", "W2", "W3"))
        grads = {}
        da2, grads["W3"], grads["b3"] = affine_backward(dscores, cache3)
        da1, grads["W2"], grads["b2"] = affine_relu_backward(da2, cache2)
        _, grads["W1"], grads["b1"] = conv_relu_pool_backward(da1, cache1)
        for name in ("W1", "W2", "W3"):
            grads[name] = grads[name] + self.reg * p[name]
        return loss, grads


def blobs_of_classes(count, *shape, classes=5):
    """Samples that lie round a centre per class."""
    rng = np.random.default_rng(3)
    centres, labels = rng.standard_normal((classes, *shape)), np.arange(count) % classes
    return centres[labels] + 0.5 * rng.standard_normal((count, *shape)), labels


def split(x, y, train):
    return {"X_train": x[:train], "y_train": y[:train], "X_val": x[train:], "y_val": y[train:]}


# Update rules


@on_every_device
@pytest.mark.parametrize("dtype, level", [("float64", 1e-11), ("float32", 1e-4)])
def test_five_steps_of_each_rule_by_its_formula(device, dtype, level):
    rng = np.random.default_rng(1)
    w = {name: W.astype(dtype) for name in RULES}
    exact = {name: W.astype(dtype).astype(float) for name in RULES}
    configs = {name: {"learning_rate": 0.1} for name in RULES}
    v, cache, m, square = (np.zeros(W.shape) for _ in range(4))
    for t in range(1, 6):
        rate, dw = 0.1 * 0.5**t, rng.standard_normal(W.shape).astype(dtype)
        for name, rule in RULES.items():
            configs[name]["learning_rate"] = rate
            before = w[name].copy()
            next_w, configs[name] = rule(w[name], dw, configs[name], device=device)
            np.testing.assert_array_equal(w[name], before)
            assert next_w.dtype == dtype and next_w.shape == W.shape
            w[name] = next_w
        exact["sgd"] -= rate * dw
        v = 0.9 * v - rate * dw
        exact["sgd_momentum"] += v
        cache = 0.99 * cache + 0.01 * dw.astype(float) ** 2
        exact["rmsprop"] -= rate * dw / (np.sqrt(cache) + 1e-8)
        m, square = 0.9 * m + 0.1 * dw, 0.999 * square + 0.001 * dw.astype(float) ** 2
        exact["adam"] -= rate * (m / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
    for name in RULES:
        assert rel_error(w[name], exact[name]) < level, name
    assert rel_error(configs["sgd_momentum"]["velocity"], v) < level
    assert configs["adam"]["t"] == 5


def test_defaults_are_the_courses():
    assert sgd(W, DW)[1] == {"learning_rate": 1e-2}
    options = {name: {k: v for k, v in rule(W, DW)[1].items() if np.isscalar(v)} for name, rule in RULES.items()}
    assert options["sgd_momentum"] == {"learning_rate": 1e-2, "momentum": 0.9}
    assert options["rmsprop"] == {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8}
    assert options["adam"] == {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "t": 1}


def test_the_config_is_the_one_that_was_given():
    kept = {"sgd": set(), "sgd_momentum": {"velocity"}, "rmsprop": {"cache"}, "adam": {"m", "v", "t"}}
    for name, rule in RULES.items():
        config = {"learning_rate": 0.5}
        assert rule(W, DW, config)[1] is config
        assert kept[name] <= set(config)


@on_every_device
def test_without_momentum_the_velocity_is_the_last_step(device):
    config = {"learning_rate": 0.5, "momentum": 0.0, "velocity": W}
    next_w, config = sgd_momentum(W, DW, config, device=device)
    np.testing.assert_allclose(next_w, W - 0.5 * DW, rtol=1e-15)
    np.testing.assert_allclose(config["velocity"], -0.5 * DW, rtol=1e-15)


@on_every_device
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_shows(device, name, bad):
    dw = DW.copy()
    dw[1, 2] = bad
    assert np.isnan(RULES[name](W, dw, device=device)[0]).all()


@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 2, 2)])
def test_parameters_of_any_shape(shape):
    w = np.full(shape, 2.0)
    for rule in (sgd_momentum, rmsprop, adam):
        next_w, config = rule(w.T, np.ones(shape).T)
        assert next_w.shape == w.T.shape and (next_w < 2).all()
        assert rule(next_w, np.ones(shape).T, config)[0].shape == w.T.shape


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: sgd(W, DW.T), ShapeError, r"dw must have the shape of w, \(3, 4\), got \(4, 3\)"),
        (lambda: adam(W, DW, {"m": DW.T}), ShapeError, r"m must have shape \(3, 4\), the shape of w, got \(4, 3\)"),
        (lambda: sgd(W, DW, {"learning_rate": -1}), OptionError, "learning_rate must be zero or more"),
        (lambda: adam(W, DW, {"beta1": 1.0}), OptionError, "betas must be a number of at least 0 and less than 1"),
    ],
)
def test_errors_of_update_rules(call, error, message):
    with pytest.raises(error, match=message):
        call()


# Models


def test_gradients_of_a_convolutional_net():
    x, y = blobs_of_classes(2, 3, 8, 8)
    model = ThreeLayerConvNet(filters=3, hidden=7, weight_scale=0.5, reg=0.3)
    loss, grads = model.loss(x, y)
    assert loss > 0
    for name, w in model.params.items():
        numeric = eval_numerical_gradient(lambda _: model.loss(x, y)[0], w, verbose=False, h=1e-6)
        np.testing.assert_allclose(grads[name], numeric, atol=1e-7)


def test_initial_loss_is_log_of_classes():
    x, y = blobs_of_classes(50, 3, 8, 8, classes=10)
    model = ThreeLayerConvNet(classes=10, weight_scale=1e-3)
    assert model.loss(x, y)[0] == pytest.approx(np.log(10), abs=1e-3)
    model.reg = 0.5
    assert model.loss(x, y)[0] > np.log(10) + 1e-4


def test_affine_bn_relu_gradients():
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in ((5, 2, 3), (6, 4), 4, 4, 4)]

    def forward(*arrays):
        return affine_bn_relu_forward(*arrays, {"mode": "train"})

    out, cache = forward(*arrays)
    dout = rng.standard_normal(out.shape)
    for array, gradient in zip(arrays, affine_bn_relu_backward(dout, cache), strict=True):
        numeric = eval_numerical_gradient_array(lambda _: forward(*arrays)[0], array, dout)
        np.testing.assert_allclose(gradient, numeric, atol=1e-7)


# Solver


@pytest.mark.parametrize("rule, rate", [("sgd", 0.5), ("sgd_momentum", 0.1), ("rmsprop", 1e-2), ("adam", 1e-2)])
def test_overfitting_fifty_samples(rule, rate):
    x, y = blobs_of_classes(70, 2, 3, 4)
    model = TwoLayerNet(24, 30, 5, weight_scale=5e-2)
    solver = Solver(
        model,
        split(x, y, 50),
        update_rule=rule,
        optim_config={"learning_rate": rate},
        num_epochs=20,
        batch_size=25,
        verbose=False,
    )
    assert solver.train() is None
    assert solver.train_acc_history[-1] == 1 and solver.best_val_acc == max(solver.val_acc_history) > 0.9
    assert len(solver.loss_history) == 40 and len(solver.train_acc_history) == len(solver.val_acc_history) == 21
    assert np.mean(solver.loss_history[-5:]) < 0.1 * solver.loss_history[0]
    assert solver.epoch == 20 and model.params is solver.best_params
    assert solver.check_accuracy(x[50:], y[50:]) == solver.best_val_acc


def test_a_convolutional_net_overfits():
    x, y = blobs_of_classes(40, 3, 8, 8)
    model = ThreeLayerConvNet()
    options = {"update_rule": "adam", "optim_config": {"learning_rate": 1e-2}, "verbose": False}
    solver = Solver(model, split(x, y, 30), num_epochs=20, batch_size=15, **options)
    solver.train()
    assert solver.train_acc_history[-1] == 1 and solver.loss_history[-1] < 0.1 < solver.loss_history[0]


def make_solver(**options):
    x, y = blobs_of_classes(30, 6)
    defaults = {"optim_config": {"learning_rate": 0.1}, "num_epochs": 2, "batch_size": 10, "verbose": False}
    return Solver(TwoLayerNet(6, 8, 5), split(x, y, 20), **{**defaults, **options})


def test_the_learning_rate_decays_for_each_parameter():
    config = {"learning_rate": 0.1}
    solver = make_solver(lr_decay=0.5, optim_config=config, num_epochs=3)
    solver.train()
    assert {name: c["learning_rate"] for name, c in solver.optim_configs.items()} == dict.fromkeys(
        ("W1", "b1", "W2", "b2"), 0.0125
    )
    assert config == {"learning_rate": 0.1}


def test_the_same_seed_trains_alike():
    histories = []
    for _ in range(2):
        np.random.seed(7)  # noqa: NPY002
        solver = make_solver(num_train_samples=5, num_val_samples=4)
        solver.train()
        histories.append((solver.loss_history, solver.train_acc_history, solver.val_acc_history))
    assert histories[0] == histories[1]
    assert set(histories[0][1]) <= {0, 0.2, 0.4, 0.6, 0.8, 1}


def test_a_run_that_diverges_goes_on():
    solver = make_solver(optim_config={"learning_rate": 1e150}, num_epochs=3)
    with np.errstate(all="ignore"):
        solver.train()
    assert len(solver.loss_history) == 6 and not np.isfinite(solver.loss_history[-1])


def test_what_is_printed(capsys):
    make_solver(verbose=True, print_every=3).train()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("(Iteration 1 / 4) loss: 1.6") and lines[1].startswith("(Epoch 0 / 2) train acc: ")
    assert [line.split(")")[0] for line in lines[2:]] == ["(Epoch 1 / 2", "(Iteration 4 / 4", "(Epoch 2 / 2"]


def test_checkpoints(tmp_path):
    solver = make_solver(checkpoint_name=tmp_path / "net", update_rule="sgd_momentum")
    solver.train()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"net_epoch_{e}.safetensors" for e in (0, 1, 2)]
    saved = load_checkpoint(tmp_path / "net_epoch_2.safetensors")
    assert saved["update_rule"] == "sgd_momentum" and saved["epoch"] == 2 and saved["batch_size"] == 10
    assert saved["loss_history"] == solver.loss_history and saved["val_acc_history"] == solver.val_acc_history
    assert saved["optim_config"] == {"learning_rate": 0.1}
    model = TwoLayerNet(6, 8, 5)
    model.params = saved["params"]
    x, y = blobs_of_classes(30, 6)
    assert Solver(model, split(x, y, 20)).check_accuracy(x[20:], y[20:]) == solver.val_acc_history[-1]


def test_other_files_are_no_checkpoints(tmp_path):
    nc.zoo.digits_net().save(tmp_path / "model.safetensors")
    with pytest.raises(FileFormatError, match=r"is no checkpoint of a Solver; a model is read by nbconv\.load"):
        load_checkpoint(tmp_path / "model.safetensors")
    with pytest.raises(FileFormatError, match="there is no file"):
        load_checkpoint(tmp_path / "nothing.safetensors")
    make_solver(checkpoint_name=tmp_path / "net").train()
    with pytest.raises(FileFormatError, match="does not hold a net"):
        nc.load(tmp_path / "net_epoch_1.safetensors")


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"epochs": 3}, ValueError, "Unrecognized arguments 'epochs'"),
        (
            {"update_rule": "adamw"},
            ValueError,
            "Invalid update_rule 'adamw'; there is 'sgd', 'sgd_momentum', 'rmsprop'",
        ),
        ({"batch_size": 0}, OptionError, "batch_size must be an integer of at least 1"),
    ],
)
def test_options_of_the_solver(options, error, message):
    with pytest.raises(error, match=message):
        make_solver(**options)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"num_val_samples": 0}, OptionError, "num_val_samples must be an integer of at least 1, got 0"),
        ({"num_val_samples": 2.5}, OptionError, "num_val_samples must be an integer of at least 1, got 2.5"),
        ({"num_train_samples": "all"}, OptionError, "num_train_samples must be an integer of at least 1, got 'all'"),
        ({"optim_config": {"lr": 1}}, OptionError, "sgd has no option 'lr'; a config has learning_rate"),
        ({"optim_config": 0.1}, DataError, "config must be a dict, got 0.1"),
        ({"checkpoint_name": "no/such/net"}, FileFormatError, "there is no folder no.such; create it first"),
    ],
)
def test_options_are_refused_before_training(options, error, message):
    with pytest.raises(error, match=message):
        make_solver(**options)


@pytest.mark.parametrize("part", ["train", "val"])
def test_labels_that_do_not_fit(part):
    data = split(*blobs_of_classes(30, 6), 20)
    data[f"y_{part}"] = data[f"y_{part}"][:-1]
    with pytest.raises(ShapeError, match=f"X_{part} and y_{part} must be of one length, at least 1, got"):
        Solver(TwoLayerNet(6, 8, 5), data)


def test_no_config_is_an_empty_one():
    solver = make_solver(optim_config=None)
    assert solver.optim_config == {}
    solver.train()


@pytest.mark.parametrize("missing", ["params", "loss"])
def test_what_is_no_model(missing):
    model = TwoLayerNet(6, 8, 5)
    setattr(model, missing, None)
    with pytest.raises(DataError, match=r"must have params, a dict of arrays, and a method loss\(X, y\); TwoLayerNet"):
        Solver(model, split(*blobs_of_classes(30, 6), 20))


@pytest.mark.parametrize(
    "rule, known",
    [
        ("sgd", "learning_rate"),
        ("sgd_momentum", "learning_rate, momentum, velocity"),
        ("rmsprop", "learning_rate, decay_rate, epsilon, cache"),
        ("adam", "learning_rate, beta1, beta2, epsilon, t, m, v"),
    ],
)
def test_options_that_a_rule_does_not_know(rule, known):
    with pytest.raises(OptionError, match=f"{rule} has no option 'lr'; a config has {known}$"):
        RULES[rule](np.ones(3), np.ones(3), {"lr": 0.1})


def test_data_and_gradients_that_are_missing():
    with pytest.raises(DataError, match="data has no 'X_train'; it needs X_train, y_train, X_val, y_val"):
        Solver(TwoLayerNet(6, 8, 5), {})
    solver = make_solver()
    solver.model.loss = lambda X, y=None: (0.0, {"W1": 0})
    with pytest.raises(DataError, match="loss returned no gradient for 'b1'; it returned 'W1'"):
        solver.train()


# Gradient checks


def test_relative_error():
    assert rel_error([1, 2, 0], [1, 2.2, 0]) == pytest.approx(0.2 / 4.2)
    assert rel_error([0.0], [1e-10]) == pytest.approx(1e-2)
    with pytest.raises(ShapeError, match="the same shape"):
        rel_error([1, 2], [1])


def test_numerical_gradients(capsys):
    x = np.arange(6.0).reshape(2, 3)
    before = x.copy()
    gradient = eval_numerical_gradient(lambda x: np.sum(x**2), x)
    np.testing.assert_allclose(gradient, 2 * x, atol=1e-8)
    np.testing.assert_array_equal(x, before)
    assert len(capsys.readouterr().out.splitlines()) == 6
    eval_numerical_gradient(lambda x: np.sum(x**2), x, verbose=False)
    assert not capsys.readouterr().out
    gradient = eval_numerical_gradient_array(lambda x: x @ np.ones((3, 2)), x, np.array([[1.0, 2], [3, 4]]))
    np.testing.assert_allclose(gradient, [[3, 3, 3], [7, 7, 7]], rtol=1e-9)


def test_what_is_checked_is_restored():
    x = np.ones(3)

    def fails(x):
        raise RuntimeError("no value")

    with pytest.raises(RuntimeError, match="no value"):
        eval_numerical_gradient(fails, x)
    assert x.tolist() == [1, 1, 1]
    for wrong in (np.arange(3), [1.0, 2.0]):
        with pytest.raises(DataError, match="x must be an array of floats"):
            eval_numerical_gradient(np.sum, wrong)


def test_blobs():
    x, w, out = (SimpleNamespace(vals=np.array(v), diffs=np.zeros(2)) for v in ([1.0, 2], [3.0, 4], [0.0, 0]))
    out.diffs = np.array([1.0, 10.0])

    def multiply(x, w, out):
        out.vals = x.vals * w.vals

    for gradients in (
        eval_numerical_gradient_blobs(multiply, (x, w), out),
        eval_numerical_gradient_net(SimpleNamespace(forward=lambda: multiply(x, w, out)), (x, w), out),
    ):
        np.testing.assert_allclose(gradients, [[3, 40], [1, 20]], rtol=1e-9)


def test_sparse_checks(capsys):
    x = np.arange(1.0, 7).reshape(2, 3)
    grad_check_sparse(lambda x: np.sum(x**2), x, 2 * x, num_checks=4)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and all(float(line.rpartition(" ")[2]) < 1e-7 for line in lines)
    grad_check_sparse(lambda x: np.sum(x**2), x, 3 * x, num_checks=1)
    assert float(capsys.readouterr().out.rpartition(" ")[2]) == pytest.approx(0.2, abs=1e-6)
