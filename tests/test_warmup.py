"""Kernels compiled ahead of time, and what is said while they are."""

import sys

import numpy as np
import pytest
from devices import DEVICES
from processes import succeeds

import nbconv as nc
from nbconv.errors import OptionError, ShapeError
from nbconv.train.progress import CompileLine

NET = """
import sys
import numpy as np
import nbconv as nc
net = nc.Sequential(nc.ReLU(), nc.GlobalAvgPool2d(), nc.Dropout(0.5), input_shape=(3, 6, 5), device="cpu")
net.compile(nc.SGD(lr=0.1, momentum=0.9), l2=0.1)
x, y = np.random.default_rng(0).standard_normal((40, 3, 6, 5)), np.arange(40) % 3
"""


def model(device, optimizer=None):
    net = nc.Sequential(
        nc.Conv2d(3, 3), nc.BatchNorm(), nc.ReLU(), nc.MaxPool2d(2), nc.Dropout(0.5), nc.Flatten(), nc.Linear(4),
        input_shape=(1, 8, 8), device=device,
    )  # fmt: skip
    if optimizer:
        net.compile(optimizer)
    return net


def data(count=40):
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 1, 8, 8)), rng.integers(0, 4, count)


def contents(net):
    return {name: array.tobytes() for name, array in {**net.state_dict(), **net._optimizer_arrays()}.items()}


def test_nothing_is_compiled_or_loaded_afterwards(tmp_path):
    code = (
        NET
        + """
seconds = net.warmup([16, 8], verbose=0)
assert isinstance(seconds, float) and seconds > 0
from nbconv.cpu.cache import KernelCache
def must_not(*arguments): raise AssertionError("a kernel was not made ready")
KernelCache.load_overload = must_not
net.fit(x, y, batch_size=16, verbose=0)
net.evaluate(x[:16], y[:16])
net.predict(x[:8])
"""
    )
    succeeds(code, NBCONV_CACHE_DIR=str(tmp_path))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("optimizer", [nc.SGD(lr=0.1, momentum=0.9, weight_decay=0.1), nc.Adam(), nc.AdamW()], ids=repr)
def test_training_is_the_same_with_and_without(device, optimizer):
    x, y = data()
    plain, warm = model(device, optimizer), model(device, optimizer)
    for net in (plain, warm):
        net.fit(x, y, batch_size=16, verbose=0)
    before, step = contents(warm), warm.step
    warm.warmup([16, 8], verbose=0)
    assert contents(warm) == before and (warm.step, warm.epochs_trained) == (step, 1)
    for net in (plain, warm):
        net.fit(x, y, batch_size=16, verbose=0)
    assert contents(warm) == contents(plain)
    np.testing.assert_array_equal(warm.predict(x), plain.predict(x))


@pytest.mark.parametrize("device", DEVICES)
def test_without_a_loss_predict_is_made_ready(device, capsys):
    net = model(device)
    assert net.warmup(2) >= 0
    assert "no loss yet; only predict is made ready" in capsys.readouterr().err
    net.warmup(2, verbose=0)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, "4", [4, 0], True])
def test_impossible_batch_sizes(batch_size):
    with pytest.raises(OptionError, match="batch_size must be an integer of at least 1"):
        model("reference").warmup(batch_size, verbose=0)


def test_a_batch_that_cannot_be_trained_on_is_named():
    net = nc.Sequential(nc.Linear(3), nc.BatchNorm(), input_shape=(4,), device="reference")
    net.compile()
    with pytest.raises(ShapeError, match="batch"):
        net.warmup(1, verbose=0)


@pytest.mark.parametrize("use", ["net.fit(x, y, verbose={})", "net.warmup(8, verbose={})"])
def test_a_first_run_says_what_it_compiles_and_the_next_nothing(tmp_path, use):
    code = NET + "sys.stdout = sys.stderr\n" + use
    run = {"NBCONV_CACHE_DIR": str(tmp_path)}
    lines = succeeds(errors(code.format(1)), **run).splitlines()
    compiled = [line for line in lines if line.startswith("compiling")]
    assert compiled[0] == "compiling kernels for cpu, once per version: relu (1) ..."
    assert f": sgd ({len(compiled)}) ..." in compiled[-1]
    assert "compiling" not in succeeds(errors(code.format(1)), **run)


def errors(code):
    """The same, with what goes to the error stream to be read."""
    return "import sys\nsys.stderr = sys.stdout\n" + code


def test_a_silent_first_run(tmp_path):
    assert succeeds(errors(NET + "net.fit(x, y, verbose=0)"), NBCONV_CACHE_DIR=str(tmp_path)) == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_one_line_on_a_terminal(terminal, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    line = CompileLine("cpu")
    for name in ("convolve", None, "pack", None):
        line(name)
    said = capsys.readouterr().err
    if terminal:
        assert said.count("\n") == 0 and said.endswith("\r\x1b[K") and "pack (2) ..." in said
    else:
        assert said.splitlines() == [
            "compiling kernels for cpu, once per version: convolve (1) ...",
            "compiling kernels for cpu, once per version: pack (2) ...",
        ]
