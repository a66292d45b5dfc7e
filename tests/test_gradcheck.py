"""gradcheck finds every wrong gradient, and tells kinks from mistakes."""

import numpy as np
import pytest
from breaking import break_kernel

import nbconv as nc
from nbconv.errors import DataError, NbconvError, OptionError, ShapeError

DEVICES = ("reference", "cpu")
every_device = pytest.mark.parametrize("device", DEVICES)


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def small_net(device="reference", **options):
    return nc.Sequential(
        nc.Conv2d(3, 3, padding=1),
        nc.BatchNorm(),
        nc.ReLU(),
        nc.MaxPool2d(2),
        nc.Flatten(),
        nc.Dropout(0.3),
        nc.Linear(4),
        input_shape=(2, 6, 5),
        device=device,
        **options,
    )


@every_device
@pytest.mark.parametrize(
    "layer, shapes",
    [
        (nc.Conv2d(4, 3, stride=2, padding=1, groups=2), [(2, 4, 7, 6)]),
        (nc.Conv2d(3, 2, padding="same", padding_mode="circular", activation="relu"), [(1, 1, 4, 5)]),
        (nc.Linear(5), [(3, 7)]),
        (nc.BatchNorm(), [(3, 2, 3, 4)]),
        (nc.AvgPool2d(3, stride=2, padding=1), [(1, 2, 7, 5)]),
        (nc.Dropout(0.4), [(4, 9)]),
        (nc.Add(), [(2, 3, 4, 4), (2, 3, 4, 4)]),
    ],
    ids=str,
)
def test_layers(layer, shapes, device):
    arrays = tuple(normal(*shape) for shape in shapes)
    check = nc.gradcheck(layer, arrays if len(arrays) > 1 else arrays[0], device=device, samples=20)
    assert check and check.device == device, check
    assert {row.name for row in check.rows if "input" not in row.name} <= {"0.weight", "0.bias"}
    assert all(row.worst is not None and row.worst.error < 1e-6 and not row.kinks for row in check.rows)


@every_device
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_models(device, dtype):
    model = small_net(device, dtype=dtype)
    model.compile()
    before = model.state_dict()
    x, y = normal(4, 2, 6, 5), np.arange(4)
    for check in nc.gradcheck(model, x), nc.gradcheck(model, x, y), nc.gradcheck(model, x.astype("float32"), y):
        assert check.passed and check.device == device, check
        assert [row.name for row in check.rows][:3] == ["input", "0.weight", "0.bias"]
    assert all((value == before[name]).all() for name, value in model.state_dict().items()) and model.step == 0


def test_uncompiled_models_take_a_loss():
    assert nc.gradcheck(small_net(), normal(4, 2, 6, 5), [0, 1, 2, 3], loss=nc.CrossEntropy(), samples=5)
    with pytest.raises(OptionError, match="compile the model, or pass loss"):
        nc.gradcheck(small_net(), normal(4, 2, 6, 5), [0, 1, 2, 3])


def test_losses():
    check = nc.gradcheck(nc.CrossEntropy(), normal(3, 5), [0, 4, 2])
    assert check and check.rows[0].checked == 15
    with pytest.raises(OptionError, match="pass y"):
        nc.gradcheck(nc.CrossEntropy(), normal(3, 5))


def test_several_outputs_and_channels_last():
    x = nc.Input((5, 6, 2), "NHWC")
    h = nc.Conv2d(3, 3)(x)
    model = nc.Model(x, [nc.GlobalAvgPool2d()(h), nc.ReLU()(h)], device="reference", data_format="NHWC")
    check = nc.gradcheck(model, normal(2, 5, 6, 2))
    assert check and check.rows[0].shape == (2, 5, 6, 2)
    assert nc.gradcheck(nc.Conv2d(3, 3), normal(2, 5, 6, 2), data_format="NHWC", device="reference")


# what is wrong is found


def test_one_wrong_element_is_named(monkeypatch):
    def spoil(results):
        results["dweight"][1, 0, 2, 3] *= 1 + 1e-4  # (KH, KW, C, K) inside

    break_kernel(monkeypatch, "reference", nc.Conv2d, spoil, backward=True)
    check = nc.gradcheck(nc.Conv2d(4, 3), normal(2, 3, 6, 6), device="reference", samples=None)
    assert not check
    assert [row.wrong for row in check.rows] == [0, 1, 0]
    worst = check.rows[1].worst
    assert worst.index == (3, 2, 1, 0) and worst.verdict == "wrong" and worst.error == pytest.approx(1e-4, rel=1e-2)
    assert "1 of 328 derivatives are wrong" in str(check) and "[3, 2, 1, 0]" in str(check)


def test_the_direction_finds_what_sampling_misses(monkeypatch):
    def spoil(results):
        results["dx"][...] *= np.where(np.arange(results["dx"].size).reshape(results["dx"].shape) % 50, 1, 2)

    break_kernel(monkeypatch, "reference", nc.Linear, spoil, backward=True)
    check = nc.gradcheck(nc.Linear(3), normal(5, 1000), device="reference", samples=2, seed=3)
    assert check.rows[0].worst.index is None and check.rows[0].wrong >= 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_wrong(monkeypatch, value):
    def spoil(results):
        results["dx"].flat[2] = value

    break_kernel(monkeypatch, "reference", nc.ReLU, spoil, backward=True)
    x = normal(2, 3)
    assert nc.gradcheck(nc.ReLU(), x, device="reference").rows[0].wrong == 1
    x[0, 2] = 0
    assert nc.gradcheck(nc.ReLU(), x, device="reference").rows[0].wrong == 1


def test_a_wrong_gradient_at_a_kink_is_no_kink(monkeypatch):
    def spoil(results):
        results["dx"] += 5

    break_kernel(monkeypatch, "reference", nc.ReLU, spoil, backward=True)
    assert nc.gradcheck(nc.ReLU(), np.zeros((2, 3)), device="reference").rows[0].wrong == 6


# kinks


@every_device
def test_relu_at_zero(device):
    x = np.array([[0.0, 1.0, -1.0, 0.0]])
    row = nc.gradcheck(nc.ReLU(), x, device=device).rows[0]
    assert (row.checked, row.kinks, row.wrong) == (4, 2, 0)


@every_device
def test_ties_of_a_pool(device):
    x = np.array([[[[1.0, 1, 5, 2], [0, 1, 3, 4]]]])
    check = nc.gradcheck(nc.MaxPool2d(2), x, device=device)
    assert check and check.rows[0].kinks == 3 and check.rows[0].worst is not None
    all_tied = nc.gradcheck(nc.MaxPool2d(2), np.ones((1, 1, 2, 2)), device=device)
    assert not all_tied and all_tied.rows[0].worst is None and "all 4 derivatives are at kinks" in str(all_tied)


@pytest.mark.parametrize("distance", [5e-7, 3e-8])
def test_a_kink_nearby_is_one(distance):
    row = nc.gradcheck(nc.ReLU(), np.array([[distance, -distance, 1.0]]), device="reference").rows[0]
    assert (row.kinks, row.wrong) == (2, 0) and row.worst.error < 1e-6


def test_kinks_inside_a_net():
    """A zero image puts every ReLU behind a convolution without bias at its kink."""
    net = nc.Sequential(
        nc.Conv2d(3, 3, bias=False), nc.ReLU(), nc.Flatten(), nc.Linear(2), input_shape=(1, 5, 5), device="reference"
    )
    check = nc.gradcheck(net, np.zeros((1, 1, 5, 5)))
    assert check and check.rows[0].kinks > 20 and check.rows[-1].kinks == 0


# the result, and errors


def test_results_are_data():
    check = nc.gradcheck(nc.Linear(2), normal(3, 4), device="reference", samples=3, seed=1)
    plain = check.as_dict()
    assert plain["passed"] and plain["rows"][1]["name"] == "0.weight" and plain["rows"][1]["checked"] == 4
    assert plain["rows"][0]["worst"]["analytic"] == pytest.approx(plain["rows"][0]["worst"]["numeric"])
    assert plain == nc.gradcheck(nc.Linear(2), normal(3, 4), device="reference", samples=3, seed=1).as_dict()
    assert repr(check).startswith("array     shape  tried  kinks  wrong  worst at")


@pytest.mark.parametrize(
    "call, error, says",
    [
        (lambda: nc.gradcheck(nc.Conv2d, normal(1, 1, 3, 3)), OptionError, r"write it with parentheses: Conv2d\(...\)"),
        (lambda: nc.gradcheck("conv", normal(1, 1, 3, 3)), OptionError, "a model, a layer or a loss"),
        (lambda: nc.gradcheck(nc.Accuracy(), normal(3, 3), [0, 1, 2]), OptionError, "no gradient"),
        (lambda: nc.gradcheck(nc.SGD(), normal(3)), OptionError, "no gradient"),
        (lambda: nc.gradcheck(nc.ReLU(), np.array([[np.nan]])), DataError, "not finite"),
        (lambda: nc.gradcheck(nc.ReLU(), normal(2, 3), step=0), OptionError, "step"),
        (lambda: nc.gradcheck(nc.ReLU(), normal(2, 3), samples=0), OptionError, "samples"),
        (lambda: nc.gradcheck(nc.ReLU(), normal(2, 3).astype(complex)), DataError, "real numbers"),
        (lambda: nc.gradcheck(nc.ReLU(), normal(2, 3), device="tpu"), NbconvError, "unknown device"),
        (lambda: nc.gradcheck(nc.Conv2d(1, 5), normal(1, 1, 3, 3)), ShapeError, "does not fit"),
        (lambda: nc.gradcheck(small_net(), normal(1, 3, 6, 5)), ShapeError, "must have shape"),
        (lambda: nc.gradcheck(small_net(), normal(1, 2, 6, 5), data_format="NHWC"), OptionError, "takes NCHW"),
        (lambda: nc.gradcheck(nc.CrossEntropy(), normal(3, 5), [0, 5, 2]), DataError, "from 0 to 4"),
        (lambda: nc.gradcheck(nc.CrossEntropy(), normal(3, 5), [0, 2]), ShapeError, r"\(3,\)"),
    ],
)
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_values_beyond_float64_are_named():
    with pytest.raises(DataError, match=r"the output of layer 0 \(Linear\) is not"):
        nc.gradcheck(nc.Sequential(nc.Linear(2, init=1e9), input_shape=(3,)), np.full((1, 3), 1e308), device="cpu")


def test_nothing_but_kinks_is_no_pass():
    check = nc.gradcheck(nc.ReLU(), np.zeros((2, 3)), device="reference")
    assert check.rows[0].kinks == check.rows[0].checked == 6 and not check.rows[0].wrong
    assert not check and not check.passed and check.as_dict()["passed"] is False
    assert "nothing could be judged" in str(check) and "choose another x" in str(check)
