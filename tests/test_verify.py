"""verify passes right kernels whatever the data, and names the layer whose kernel is wrong."""

import numpy as np
import pytest
from breaking import break_kernel

import nbconv as nc
from nbconv.errors import OptionError


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def net(**options):
    """Every way in which layers are joined: fused, added, pooled."""
    x = nc.Input((2, 8, 6))
    h = nc.MaxPool2d(2)(nc.ReLU()(nc.Conv2d(8, 3, padding=1)(x)))
    h = nc.ReLU()(nc.BatchNorm()(nc.Conv2d(8, 3, padding=1)(h)))
    h = nc.Add()(h, nc.Conv2d(8, 1)(h))
    h = nc.Dropout(0.2)(nc.Flatten()(nc.AvgPool2d(2)(h)))
    return nc.Model(x, nc.Linear(5)(h), **{"device": "cpu", **options})


DATA = {
    "normal": normal(6, 2, 8, 6),
    "large": 1e6 * normal(6, 2, 8, 6),
    "offset": 100 + normal(6, 2, 8, 6),
    "ties": np.round(normal(6, 2, 8, 6)),
    "zeros": np.zeros((6, 2, 8, 6)),
}
Y = np.array([0, 1, 2, 3, 4, 0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", DATA)
def test_right_kernels_pass(kind, dtype):
    model = net(dtype=dtype)
    model.compile()
    before = model.state_dict()
    result = nc.verify(model, DATA[kind], Y, device="cpu")
    assert result, result
    assert result.device == "cpu" and result.dtype == dtype and set(result.whole) == {"loss", "gradients"}
    assert nc.verify(model, DATA[kind]), "random gradients come back to the output"
    assert nc.verify(net(dtype=dtype, rewrite=False), DATA[kind], Y, loss=nc.CrossEntropy())
    assert all((value == before[name]).all() for name, value in model.state_dict().items())


def test_the_device_is_the_models_unless_another_is_named():
    model = net(device="reference")
    assert nc.verify(model, DATA["normal"]).device == "reference"
    assert nc.verify(model, DATA["normal"], device="cpu").device == "cpu"
    assert nc.verify(nc.ReLU(), DATA["normal"]).device == "cpu"


def test_every_array_is_there():
    model = net()
    model.compile()
    result = nc.verify(model, DATA["normal"], Y)
    rows = {(row.layer, row.direction, row.array) for row in result.rows}
    assert ("layer 0 (Conv2d) + relu + max pool", "forward", "argmax") in rows
    assert ("layer 4 (BatchNorm) + relu", "forward", "running_var") in rows
    assert ("layer 0 (Conv2d) + relu + max pool", "backward", "dweight") in rows
    assert any(layer.startswith("gradients at layer 4") for layer, _, _ in rows)
    assert ("CrossEntropy", "backward", "dx") in rows
    assert result.as_dict()["rows"][0]["layer"] == result.rows[0].layer
    assert result.whole["loss"] < 1e-5 and result.whole["gradients"] < 1e-4
    lines = str(result).splitlines()
    assert len(lines) == len(result.rows) + 4 and "arrays agree: device cpu, float32" in lines[-2]


def spoil_one(name):
    def spoil(results):
        flat = results[name].reshape(-1)
        flat[len(flat) // 2] += 1e-3 * np.abs(flat).max()

    return spoil


@pytest.mark.parametrize(
    "op, array, backward",
    [
        (nc.BatchNorm, "out", False),
        (nc.BatchNorm, "mean", False),
        (nc.Linear, "out", False),
        (nc.Linear, "dweight", True),
        (nc.AvgPool2d, "dx", True),
        (nc.CrossEntropy, "out", False),
        (nc.Add, "out", False),
    ],
)
def test_a_wrong_kernel_is_named_and_nothing_else(monkeypatch, op, array, backward):
    break_kernel(monkeypatch, "cpu", op, spoil_one(array), backward=backward)
    result = nc.verify(net(), DATA["normal"], Y, loss=nc.CrossEntropy())
    wrong = [row for row in result.rows if not row.passed]
    assert not result and wrong and "WRONG" in str(result) and "arrays are wrong" in str(result)
    mine = ("gradients at", "(Add)") if op is nc.Add else (op.__name__,)  # the kernel also adds parts of gradients
    assert all(any(name in row.layer for name in mine) for row in wrong)
    assert array in {row.array for row in wrong}


def test_wrong_winners_are_found(monkeypatch):
    def spoil(results):
        if results.get("argmax") is not None:
            results["argmax"][...] = 3

    for layer in nc.MaxPool2d(2), nc.Conv2d(3, 3, padding=1, pool=nc.MaxPool2d(2)), nc.BatchNorm(pool=nc.MaxPool2d(2)):
        with monkeypatch.context() as patch:
            break_kernel(patch, "cpu", type(layer), spoil)
            result = nc.verify(layer, normal(2, 3, 6, 6).astype("float32"))
        (row,) = [row for row in result.rows if row.array == "argmax"]
        assert row.mismatches > 20 and not row.passed
        assert nc.verify(layer, normal(2, 3, 6, 6).astype("float32")).rows[0].array == "argmax"


def test_nan_in_another_place_is_found(monkeypatch):
    def spoil(results):
        results["out"].flat[3] = np.nan

    break_kernel(monkeypatch, "cpu", nc.Linear, spoil)
    (row,) = [row for row in nc.verify(nc.Linear(4), normal(3, 5)).rows if row.array == "out"]
    assert row.mismatches == 1 and not row.passed


def test_layers_have_the_dtype_of_x():
    assert nc.verify(nc.Linear(4), normal(3, 5)).dtype == "float64"
    assert nc.verify(nc.Linear(4), normal(3, 5).astype("float32")).dtype == "float32"
    assert nc.verify(nc.Add(), (normal(3, 5), normal(3, 5)), device="reference").passed


def test_errors():
    with pytest.raises(OptionError, match="write it with parentheses"):
        nc.verify(nc.Linear, normal(3, 5))
    with pytest.raises(OptionError, match="a model, a layer or a loss"):
        nc.verify(3, normal(3, 5))
