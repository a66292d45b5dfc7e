"""Every benchmark runs, on shapes of no size; no test looks at a time."""

import importlib
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nbconv.errors import DataError, OptionError
from nbconv.ops.conv import Conv2d

ROOT = Path(__file__).parents[1]
TINY = [
    {"op": "conv2d", "N": 2, "C": 3, "H": 6, "W": 5, "K": 4, "R": 3, "S": 3, "padding": 1},
    {"op": "conv2d", "N": 1, "C": 4, "H": 7, "W": 7, "K": 4, "R": 3, "S": 1, "stride": 2, "groups": 4},
]


@pytest.fixture(scope="module", autouse=True)
def _checkout_last():
    """``bench`` is found in the checkout; ``nbconv`` still where it is installed."""
    sys.path.append(str(ROOT))
    yield
    sys.path.remove(str(ROOT))


@pytest.fixture
def shapes():
    return importlib.import_module("bench.shapes")


@pytest.fixture
def kernels():
    return importlib.import_module("bench.kernels")


def bench(*arguments, code=0):
    main = importlib.import_module("bench.__main__").main
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.stderr if code else result.stdout


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    return tmp_path / "tiny.json"


@pytest.mark.parametrize("against", [None, "reference", "torch"])
@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_kernels(tmp_path, tiny, device, against):
    if against == "torch":
        pytest.importorskip("torch")
    options = ["--against", against] if against else []
    text = bench(
        "kernels", "--device", device, "--shapes", tiny, "--seconds", 0, "--json", tmp_path / "out.json", *options
    )
    assert len(text.splitlines()) == 1 + 2 * 3 + (3 if against else 0)
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["machine"]["device"] == device
    assert [row["direction"] for row in result["rows"]] == ["forward", "input_grad", "weight_grad"] * 2
    for row in result["rows"]:
        assert row["residual"] < 1e-6 and row["ms"] > 0 and row["gflops"] > 0
        assert (row["ratio"] is None) == (against is None)
        assert (f"{against}_ms" in row) == (against is not None)


def test_every_named_shape_is_a_convolution(shapes):
    for shape in shapes.CONV2D:
        assert shape.op().out_shape((shape.N, shape.H, shape.W, shape.C))[3] == shape.K


def test_a_shapes_file(shapes, tiny):
    first, second = shapes.read(tiny)
    assert first.op() == Conv2d(4, 3, padding=1, bias=False)
    assert second.op() == Conv2d(4, (3, 1), stride=2, groups=4, bias=False)
    assert str(second) == "1x4x7x7 k4 3x1/2 p0 depthwise"


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "cannot read shapes from"),
        ("[]", "must be a JSON list of shapes"),
        ('[{"op": "fft"}]', 'shape 0 of .* must be an object with "op": "conv2d", got'),
        ('[{"op": "conv2d", "N": 1}]', "needs integers N, C, H, W, K, R, S and may have .*; missing: C, H, W, K, R, S"),
        (json.dumps([{**TINY[0], "pad": 1}]), "wrong: pad"),
        (json.dumps([{**TINY[0], "N": 1.5}]), "wrong: N"),
    ],
)
def test_a_wrong_shapes_file_is_named(shapes, tmp_path, text, message):
    (tmp_path / "shapes.json").write_text(text)
    with pytest.raises(DataError, match=message):
        shapes.read(tmp_path / "shapes.json")


def test_errors(kernels, tmp_path, monkeypatch):
    assert "no benchmark for fft; there is conv2d" in bench("kernels", "--ops", "conv2d,fft", code=2)
    assert "unknown device 'gpu'" in bench("kernels", "--device", "gpu", code=1)
    assert "cannot read shapes from" in bench("kernels", "--shapes", tmp_path / "none", code=1)
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match="needs PyTorch, which is not installed; pip install torch, or leave it out"):
        next(kernels.measure([], "reference", "torch"))


def test_geometric_mean_and_fastest_rival(kernels):
    def row(*rivals):
        times = dict(zip(("torch NCHW", "torch channels_last"), rivals, strict=False))
        return kernels.Row("conv2d", {}, "forward", 2.0, 1.0, 9.0, 1.0, 0.0, times)

    assert row(4.0, 8.0).as_dict()["torch_ms"] == 4.0
    assert row(4.0, 8.0).ratio == 2.0 and row().ratio is None
    assert kernels.geometric_means([row(4.0), row(16.0), row()]) == {"forward": pytest.approx(4.0)}
