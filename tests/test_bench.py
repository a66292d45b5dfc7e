"""Every benchmark runs, on shapes of no size; no test looks at a time."""

import importlib
import itertools
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from nbconv.engine.registry import open_device
from nbconv.errors import DataError, OptionError
from nbconv.ops.conv import Conv2d

ROOT = Path(__file__).parents[1]
IMAGE = {"N": 2, "C": 3, "H": 6, "W": 5}
TINY = [
    {"op": "conv2d", **IMAGE, "K": 4, "R": 3, "S": 3, "padding": 1},
    {"op": "conv2d", "N": 1, "C": 4, "H": 7, "W": 7, "K": 4, "R": 3, "S": 1, "stride": 2, "groups": 4},
    {"op": "maxpool2d", **IMAGE, "R": 3, "S": 2, "stride": 2, "padding": 1},
    {"op": "avgpool2d", **IMAGE, "R": 2, "S": 2},
    {"op": "batchnorm", **IMAGE},
    {"op": "batchnorm", **IMAGE, "training": False},
    {"op": "relu", **IMAGE},
    {"op": "linear", "N": 3, "C": 5, "K": 4},
    {"op": "cross_entropy", "N": 3, "C": 5},
    {"op": "sgd", "N": 30, "tensors": 3},
    {"op": "adam", "N": 30},
    {"op": "add", **IMAGE},
    {"op": "globalavgpool", **IMAGE},
    {"op": "dropout", **IMAGE},
    {"op": "flatten", **IMAGE},
]
KEYS = ("op", "shape", "direction", "ms", "torch_ms", "ratio", "gflops", "peak_share", "residual")


@pytest.fixture(scope="module")
def bench():
    """The modules of the checkout's ``bench``, by name; ``nbconv`` is still found where it is installed."""
    sys.path.append(str(ROOT))
    names = (
        "arrays",
        "cases",
        "course",
        "fusion",
        "kernels",
        "models",
        "nets",
        "peak",
        "rivals",
        "roofline",
        "row",
        "scaling",
    )
    names += ("shapes", "startup", "table", "timing", "__main__")
    yield SimpleNamespace(**{name.strip("_"): importlib.import_module(f"bench.{name}") for name in names})
    sys.path.remove(str(ROOT))


@pytest.fixture(autouse=True)
def _measured_machine(bench, monkeypatch):
    """The machine's peaks are measured in one test only: that takes seconds."""
    real = bench.peak.measure
    monkeypatch.setattr(bench.peak, "measure", lambda *_: bench.peak.Peaks(100.0, {2**15: 80.0, 2**29: 20.0}))
    monkeypatch.setattr(bench.peak, "really_measure", real, raising=False)


@pytest.fixture
def run(bench):
    def run(*arguments, code=0):
        result = CliRunner().invoke(bench.main.main, [str(a) for a in arguments])
        assert result.exit_code == code, result.output
        return result.stderr if code else result.stdout

    return run


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    return tmp_path / "tiny.json"


def rows(path):
    """The rows of a JSON file that must have what all have."""
    content = json.loads(path.read_text())
    assert content["machine"]["threads measured"] >= 1
    for row in content["rows"]:
        assert set(KEYS) < set(row)
        assert row["ms"] > 0
    return content["rows"]


def case_of(bench, entry):
    kind = bench.cases.KINDS[entry["op"]]
    return bench.cases.Case.of(kind, {**kind.may_have, **{k: v for k, v in entry.items() if k != "op"}})


# kernels


@pytest.mark.parametrize("device, against", [("cpu", ""), ("cpu", "reference,naive"), ("reference", "naive")])
def test_kernels(run, bench, tmp_path, tiny, device, against):
    text = run(
        *("kernels", "--device", device, "--shapes", tiny, "--ops", "all", "--against", against),
        *("--seconds", 0, "--json", tmp_path / "out.json"),
    )
    found = rows(tmp_path / "out.json")
    wanted = [(entry["op"], d) for entry in TINY for d in bench.cases.KINDS[entry["op"]].directions]
    assert [(row["op"], row["direction"]) for row in found] == wanted
    for row, entry in zip(found, (e for e in TINY for _ in bench.cases.KINDS[e["op"]].directions), strict=True):
        assert entry.items() <= {"op": row["op"], **row["shape"]}.items()
        assert row["residual"] < 1e-6 and row["max_residual"] < 1e-6 and row["peak_share"] > 0
        assert row["torch_ms"] is None and ("reference_ms" in row) == ("reference" in against)
        assert (row["ratio"] is None) == (not row["rivals"])
    assert max(map(len, text.split("\n\n")[1].splitlines())) <= bench.table.WIDTH
    assert ("geometric means" in text) == bool(against)


@pytest.mark.parametrize("rival", ["torch", "jax"])
def test_kernels_against_a_library(run, tmp_path, tiny, rival):
    pytest.importorskip(rival, reason=f"{rival} is not installed: what it takes is not measured")
    run("kernels", "--shapes", tiny, "--against", rival, "--seconds", 0, "--json", tmp_path / "out.json")
    beside = [row for row in rows(tmp_path / "out.json") if row.get(f"{rival}_ms")]
    assert len(beside) > 20
    assert all(row["ratio"] == pytest.approx(row[f"{rival}_ms"] / row["ms"]) for row in beside)


def test_a_table_with_all_rivals_fits_the_terminal(bench):
    timing = bench.timing.Timing(1.0, 1.0, 1.0)
    rivals = dict.fromkeys(bench.rivals.RIVALS, timing)
    row = bench.row.Row("relu", {}, "forward", timing, 1e-7, rivals=rivals, extra={"label": "2x3"})
    lines = []
    bench.main.report.kernels([row], bench.rivals.RIVALS, lines.append)
    assert max(map(len, "\n".join(lines).splitlines())) <= bench.table.WIDTH


def test_float64(run, tmp_path, tiny):
    run("kernels", "--shapes", tiny, "--dtype", "float64", "--seconds", 0, "--json", tmp_path / "out.json")
    assert max(row["residual"] for row in rows(tmp_path / "out.json")) < 1e-14


def test_only_the_ops_asked_for(run, tmp_path, tiny):
    run("kernels", "--shapes", tiny, "--ops", "relu", "--seconds", 0, "--json", tmp_path / "out.json")
    assert {row["op"] for row in rows(tmp_path / "out.json")} == {"relu"}


@pytest.mark.parametrize("entry", TINY, ids=lambda entry: entry["op"])
def test_textbook_loops_are_right(bench, entry):
    naive = importlib.import_module("bench.naive")
    case, reference = case_of(bench, entry), open_device("reference")
    host = bench.arrays.values(case)
    loops = bench.arrays.Bound(case, host, reference, "float32")
    exact = bench.arrays.Bound(case, host, reference, "float64")
    calls = naive.calls(loops)
    assert bool(calls) == (case.kind.name not in ("add", "globalavgpool", "dropout", "flatten"))
    for direction, call in calls.get("naive", {}).items():
        call()
        exact.call(direction)()
        assert max(bench.arrays.residuals(loops.results(direction), exact.results(direction))) < 1e-6


@pytest.mark.parametrize("rival", ["torch", "jax"])
@pytest.mark.parametrize("entry", TINY, ids=lambda entry: entry["op"])
def test_a_library_computes_the_same(bench, entry, rival):
    """As numbers without order: layouts differ. Optimisers return no result, and random numbers are each one's own."""
    pytest.importorskip(rival, reason=f"{rival} is not installed: there is nothing to compare")
    case = case_of(bench, entry)
    host = bench.arrays.values(case)
    exact = bench.arrays.Bound(case, host, open_device("reference"), "float64")
    library = importlib.import_module(f"bench.{rival}_ops")
    for calls in library.calls(case, host).values() if entry["op"] not in ("sgd", "adam", "dropout") else ():
        for direction in calls:
            exact.call(direction)()
            returned = calls[direction]()
            results = returned if isinstance(returned, (tuple, list)) else (returned,)
            results = [np.asarray(result, np.float64) for result in results if result is not None]
            for got, want in zip(results, exact.results(direction), strict=False):
                assert np.sort(got, axis=None) == pytest.approx(np.sort(want, axis=None), abs=1e-5)


def test_traffic_is_what_must_be_read_and_written(bench):
    def nbytes(entry, direction):
        case = case_of(bench, entry)
        bound = bench.arrays.Bound(case, bench.arrays.values(case), open_device("reference"), "float32")
        return bound.nbytes(direction)

    pool = {"op": "maxpool2d", "N": 1, "C": 3, "H": 4, "W": 4, "R": 2, "S": 2}
    assert nbytes(TINY[6], "forward") == 4 * 2 * 180 and nbytes(TINY[6], "backward") == 4 * 3 * 180
    assert nbytes(pool, "backward") == 4 * 12 + 12 + 4 * 48  # gradient, one byte per winner, gradient
    assert nbytes(TINY[0], "input_grad") == 4 * (2 * 4 * 30 + 3 * 3 * 3 * 4 + 180)
    assert nbytes(TINY[0], "weight_grad") == 4 * (2 * 4 * 30 + 180 + 3 * 3 * 3 * 4)


def test_what_is_not_written_is_no_small_residual(bench):
    got, exact = [np.zeros(2), np.array([1.0, np.nan])], [np.zeros(2), np.ones(2)]
    assert np.isnan(bench.arrays.residuals(got, exact)).all()


def test_every_named_shape_is_one(bench):
    for kind in bench.cases.KINDS.values():
        assert len({kind.label(shape) for shape in kind.shapes()}) == len(kind.named) >= 2
        for shape in kind.shapes():
            bench.cases.Case.of(kind, shape)


def test_an_algorithm_is_handed_on(bench, monkeypatch):
    conv = importlib.import_module("bench.cases.conv")
    shape = conv.CONV2D.shape(1, 2, 6, 6, 2, 3, 3)
    assert conv.conv2d(shape) == Conv2d(2, 3, bias=False)
    if "algorithm" in Conv2d.__dataclass_fields__:
        assert conv.conv2d(shape, "direct").algorithm == "direct"
    monkeypatch.setattr(conv, "fields", lambda op: ())
    with pytest.raises(OptionError, match="no option algorithm='direct'; leave out --algorithm"):
        bench.kernels.Bench("reference", algorithm="direct")
    with pytest.raises(OptionError, match="--algorithm must be one of auto, direct, winograd, im2col, got 'fft'"):
        bench.kernels.Bench("reference", algorithm="fft")


# shapes files


def test_a_shapes_file(bench, tiny):
    shapes = bench.shapes.read(tiny)
    ops = [bench.cases.Case.of(kind, shape).op for kind, shape in shapes[:2]]
    assert ops == [Conv2d(4, 3, padding=1, bias=False), Conv2d(4, (3, 1), stride=2, groups=4, bias=False)]
    kind, shape = shapes[1]
    assert kind.label(shape) == "1x4x7x7 k4 3x1/2 p0 depthwise"


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "cannot read shapes from"),
        ("[]", "must be a JSON list of shapes"),
        ('[{"op": "fft"}]', 'shape 0 of .* must be an object with "op": one of conv2d, .*; got'),
        ('[{"op": ["relu"]}]', 'shape 0 of .* must be an object with "op": one of conv2d, .*; got'),
        (
            '[{"op": "conv2d", "N": 1}]',
            "conv2d needs positive integers N, C, H, W, K, R, S and may have stride, padding, groups; "
            "missing: C, H, W, K, R, S",
        ),
        (json.dumps([{**TINY[0], "pad": 1}]), "wrong: pad=1"),
        (json.dumps([TINY[0], {**TINY[0], "N": 1.5}]), "shape 1 of .*wrong: N=1.5"),
        (json.dumps([{**TINY[0], "K": 0}]), "wrong: K=0"),
        (json.dumps([{"op": "batchnorm", **IMAGE, "training": 1}]), "may have training; wrong: training=1"),
        (json.dumps([{**TINY[0], "R": 9}]), "shape 0 of .*: .*window"),
    ],
)
def test_a_wrong_shapes_file_is_named(bench, tmp_path, text, message):
    (tmp_path / "shapes.json").write_text(text)
    with pytest.raises(DataError, match=message):
        bench.shapes.read(tmp_path / "shapes.json")


# nets


def test_models(run, tmp_path):
    options = ("--batch", 2, "--seconds", 0, "--json", tmp_path / "out.json")
    run("models", *options)
    found = rows(tmp_path / "out.json")
    uses = itertools.product(("digits", "lenet", "cifar", "resnet8"), ("train_step", "inference"))
    assert [(row["op"], row["direction"]) for row in found] == list(uses)
    assert all(row["residual"] < 1e-5 and row["gflops"] > 0 and row["shape"]["N"] == 2 for row in found)


@pytest.mark.parametrize("rival", ["torch", "jax"])
def test_models_of_a_library_are_the_same_nets(run, tmp_path, rival):
    pytest.importorskip(rival, reason=f"{rival} is not installed: there is nothing to compare")
    options = ("--against", rival, "--batch", 4, "--seconds", 0, "--no-compile", "--json", tmp_path / "out.json")
    run("models", *options)
    for row in rows(tmp_path / "out.json"):
        assert all(residual < 1e-4 for residual in row["rival_residuals"].values())
        assert row["ratio"] == pytest.approx(row[f"{rival}_ms"] / row["ms"])


def test_inference_is_measured_at_one_and_at_64(bench):
    found = list(bench.models.Bench("cpu", ("reference",), seconds=0).rows(["digits"]))
    assert all(row.rivals.keys() == {"reference"} and row.ratio() for row in found)
    assert [(row.direction, row.shape["N"]) for row in found] == [
        ("train_step", 32),
        ("inference", 1),
        ("inference", 64),
    ]


# fusion, scaling, startup


def test_fusion(run, bench, tmp_path, monkeypatch):
    chains = [bench.fusion.Chain(c.name, 2, (4, 6, 3)[: len(c.sample)], c.build) for c in bench.fusion.CHAINS]
    monkeypatch.setattr(bench.fusion, "CHAINS", chains)
    text = run("fusion", "--seconds", 0, "--json", tmp_path / "out.json")
    found = rows(tmp_path / "out.json")
    assert {"conv relu", "conv relu pool", "norm relu", "linear relu"} <= {row["op"] for row in found}
    for row in found:
        fewer = row["kernels"] < row["unfused_kernels"]
        assert (fewer or "measures=True" in row["fused"][0]) and row["residual"] < 1e-5
        assert row["ratio"] == pytest.approx(row["unfused_ms"] / row["ms"])
    assert "conv relu pool: Conv2d(8, kernel_size=3, padding=1, activation='relu', pool=MaxPool2d(2))" in text


def test_gradients_are_compared_for_the_same_results_of_forward(bench):
    """Which side of zero a number is on, rounding may decide: here, all are on the other."""
    nbconv = importlib.import_module("nbconv")
    chain = bench.fusion.Chain("relu", 4, (6, 5, 2), nbconv.ReLU())
    x = nbconv.engine.graph.input_symbol(chain.sample, "NHWC")
    graph, device = nbconv.engine.graph.trace([x], [chain.build(x)]), open_device("reference")
    ours, exact = (bench.fusion._Run(chain, graph, device, dtype, None, True) for dtype in ("float32", "float64"))
    ours.call("forward")()
    out = ours.plan.outputs[0]
    out[...] = out <= 0
    exact.adopt(ours)
    for run in (ours, exact):
        run.call("backward")()
    (got,), (want,) = ours.results("backward"), exact.results("backward")
    assert np.count_nonzero(want) > 0
    np.testing.assert_array_equal(got, want)


def test_what_is_not_fused_is_said(bench, monkeypatch):
    alone = bench.fusion.Chain("flatten", 2, (4, 4, 2), importlib.import_module("nbconv").Flatten())
    monkeypatch.setattr(bench.fusion, "CHAINS", [alone])
    said = []
    assert list(bench.fusion.Bench("reference", seconds=0, say=said.append).rows()) == []
    assert said[0] == "flatten: 1 kernels, nothing is fused in forward and backward"


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_naive(run, bench, tmp_path, monkeypatch, device):
    monkeypatch.setattr(bench.course, "CONV", {**bench.course.CONV, "N": 2, "H": 5, "W": 6, "K": 3})
    monkeypatch.setattr(bench.course, "POOL", {**bench.course.POOL, "N": 2, "H": 4, "W": 6})
    text = run("naive", "--device", device, "--no-torch", "--seconds", 0, "--json", tmp_path / "out.json")
    found = rows(tmp_path / "out.json")
    wanted = itertools.product(("conv", "max pool"), ("float64", "float32"), ("forward", "backward"))
    assert [(row["op"], row["dtype"], row["direction"]) for row in found] == list(wanted)
    for row in found:
        assert row["residual"] < (1e-8 if row["dtype"] == "float64" else 1e-6)
        assert row["against"] == "naive" and row["ratio"] == pytest.approx(row["naive_ms"] / row["ms"])
    assert "2x3x5x6 k3 3x3/2 p1" in text and "2x3x4x6 2x2/2" in text
    assert max(map(len, text.split("\n\n")[1].splitlines())) <= bench.table.WIDTH


def test_the_loops_over_tensors_are_the_same(bench):
    pytest.importorskip("torch", reason="torch is not installed: there are no tensors to loop over")
    from nbconv.compat import cs231n

    rng, param = np.random.default_rng(0), {"stride": 2, "pad": 1}
    operands = [rng.standard_normal(shape) for shape in ((2, 3, 5, 6), (4, 3, 3, 3), (4,))]
    out, cache = cs231n.conv_forward_naive(*operands, param)
    calls = bench.course.tensor_loops(operands, param, out)
    np.testing.assert_allclose(calls["forward"](), out, rtol=1e-13)
    for got, want in zip(calls["backward"](), cs231n.conv_backward_naive(out, cache), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_scaling(run, bench, tmp_path, monkeypatch):
    for name, value in {
        "CONVS": [(2, 3, 6, 5, 4, 3, 3, 1, 1)],
        "TINY_NETS": ["digits"],
        "BATCHES": [1, 2],
        "BATCH_NETS": ["digits"],
        "IMAGE_SIZES": [2, 4],
        "CHANNELS": [1, 2],
    }.items():
        monkeypatch.setattr(bench.scaling, name, value)
    monkeypatch.setattr(bench.main.machine, "threads_of", lambda threads: 1)
    run("scaling", "--seconds", 0, "--json", tmp_path / "out.json")
    found = rows(tmp_path / "out.json")
    assert list(dict.fromkeys(row["vary"] for row in found)) == ["threads", "batch", "image", "channels"]
    assert len(found) == (3 + 1) * 1 + (3 + 1) * 2 + 3 * 2 + 3 * 2
    assert all(row["residual"] < 1e-5 for row in found)
    assert all(row["speedup"] == 1 and row["deviation"] == 0 for row in found if row["vary"] == "threads")
    small, large = (row for row in found if row["op"] == "digits" and row["vary"] == "batch")
    assert large["ns_per_unit"] == pytest.approx(1e6 * large["ms"] / 2)
    assert small["deviation"] == pytest.approx(-large["deviation"])


def test_startup(run, bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench.startup, "FIRST_STEP", "digits")
    monkeypatch.setattr(bench.startup, "MEMORY", "digits")
    text = run("startup", "--against", "jax", "--runs", 1, "--cold-runs", 0, "--json", tmp_path / "out.json")
    imported, first, memory = rows(tmp_path / "out.json")
    assert imported["ms"] < first["ms"] and first["residual"] < 1e-5
    assert 0 < memory["arena_bytes"] <= memory["arena_without_reuse_bytes"] < memory["peak_bytes"]
    assert "jax is left out: startup is measured against torch only" in text or "jax is not installed" in text


def test_a_process_that_fails_is_reported(bench):
    failing = bench.startup.Bench("gpu", runs=1, say=print)
    with pytest.raises(
        bench.startup.ChildFailed, match="the process for nbconv lenet 64 1 gpu failed: .*unknown device"
    ):
        next(failing.rows())


# rivals, time, limits


def test_who_is_not_installed_is_said_and_left_out(bench, monkeypatch):
    monkeypatch.setattr(bench.rivals, "find_spec", lambda name: None if name == "jax" else object())
    chosen, said = bench.rivals.choose("torch, jax,naive")
    assert chosen == ("torch", "naive")
    assert said == ["jax is not installed, and left out; pip install 'jax[cpu]'"]
    assert bench.rivals.choose(None) == ((), [])


def test_errors(run, tmp_path):
    assert "there is no op fft; there is conv2d, " in run("kernels", "--ops", "conv2d,fft", code=2)
    assert "there is no net alexnet; there is digits, lenet" in run("models", "--models", "alexnet", code=2)
    assert "unknown device 'gpu'" in run("kernels", "--device", "gpu", code=1)
    assert "cannot read shapes from" in run("kernels", "--shapes", tmp_path / "none", code=1)
    assert "--against must be some of torch, jax, reference, naive, got mkl" in run(
        "models", "--against", "mkl", code=1
    )
    assert "there is no folder" in run("scaling", "--json", tmp_path / "none" / "out.json", code=2)


def test_fastest_rival_and_geometric_mean(bench):
    def row(**rivals):
        times = {name.replace("_", " "): bench.timing.Timing(9.0, ms / 2, ms) for name, ms in rivals.items()}
        return bench.row.Row("relu", {}, "forward", bench.timing.Timing(9.0, 1.0, 2.0), 0.0, rivals=times)

    both = row(jax=1.0, torch_NCHW=8.0, torch_other=4.0)
    assert both.kinds() == ["torch", "jax"]
    assert both.ratio() == both.ratio("torch") == 2.0 and both.ratio("jax") == 0.5 and both.ratio("naive") is None
    assert both.as_dict()["torch_ms"] == 4.0 and both.as_dict()["jax_ms"] == 1.0 and both.least_ratio("torch") == 2.0
    assert row().ratio() is None and row().as_dict()["torch_ms"] is None
    _, line = bench.table.means([row(torch=4.0), row(torch=16.0)], lambda row: row.op, lambda row: "here")
    assert line.split() == ["relu", "torch", "2", "4.00", "4.00", "2.00", "here"]


def test_calls_are_timed_in_blocks_that_alternate(bench, monkeypatch):
    now, order = [0.0], []

    def call(name, seconds):
        def run():
            now[0] += seconds
            order.append(name)

        return run

    monkeypatch.setattr(bench.timing, "perf_counter", lambda: now[0])
    timings = bench.timing.compare({"a": call("a", 1e-3), "b": call("b", 2e-3)}, seconds=0.1)
    assert timings["a"] == pytest.approx((1.0, 1.0, 1.0)) and timings["b"] == pytest.approx((2.0, 2.0, 2.0))
    blocks = [(name, len(list(calls))) for name, calls in itertools.groupby(order)]
    assert [name for name, _ in blocks[:6]] == ["a", "b", "a", "b", "a", "b"]
    settle, timed = 5, 25
    assert blocks[4] == ("a", settle + timed) and blocks[5] == (
        "b",
        2 * (3 + 12),
    )  # b ends one round and begins the next


def test_a_slow_rival_is_timed_at_least_once_and_not_for_long(bench, monkeypatch):
    now = [0.0]

    def slow():
        now[0] += 60.0

    monkeypatch.setattr(bench.timing, "perf_counter", lambda: now[0])
    assert bench.timing.compare({"slow": slow}, seconds=0.5)["slow"].median == 60e3
    assert now[0] == 180.0  # first, once more to see how long it takes, and one sample


def test_peaks(bench, monkeypatch):
    monkeypatch.setattr(bench.peak, "COPIES", (2**15, 2**17))
    peaks = bench.peak.really_measure(seconds=0)
    assert peaks.gflops > 0.1 and min(peaks.copies.values()) > 0.001


def test_the_limit_is_what_takes_longer(bench):
    peaks = bench.peak.Peaks(100.0, {1000: 50.0, 10**6: 10.0})
    assert peaks.limit(flops=10**9, nbytes=1000) == (10.0, "FMA")
    assert peaks.limit(flops=0, nbytes=1500) == (pytest.approx(3e-5), "copy")
    assert peaks.limit(flops=0, nbytes=10**7) == (pytest.approx(1.0), "copy")


def test_fma_chains_are_multiply_adds(bench):
    numbers = np.full((2, 3 * 64), 0.5, np.float32)
    bench.peak.run_chains(numbers, 3)
    width = importlib.import_module("nbconv.cpu.vector").lanes("float32")
    assert numbers[:, 2 * width : 3 * width].ravel() == pytest.approx((0.5 + 3 * 0.5 * 0.5) * bench.peak.CHAINS)


def test_roofline(run, tmp_path, tiny):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: nothing is drawn")
    picture = tmp_path / "roofline.png"
    run("kernels", "--shapes", tiny, "--device", "reference", "--against", "naive", "--seconds", 0, "--plot", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_picture_without_matplotlib_is_refused_at_once(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = run("kernels", "--plot", tmp_path / "roofline.png", code=1)
    assert "--plot needs matplotlib, which is not installed; pip install matplotlib" in said


def test_pytorch_has_the_threads_that_are_asked_for_in_every_block(bench):
    """A parallel loop of Numba's, between blocks, gives PyTorch others where they share OpenMP."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    seen = []
    before = torch.get_num_threads()

    def theirs():
        seen.append(torch.get_num_threads())

    try:
        calls = {"nbconv": lambda: torch.set_num_threads(2), "torch NCHW": theirs}
        bench.timing.compare(calls, 0.0, partial(bench.rivals.begin, threads=1))
    finally:
        torch.set_num_threads(before)
    assert set(seen[-3:]) == {1}


def test_a_disturbed_rival_is_marked(bench):
    calm, disturbed = bench.timing.Timing(0, 1, 1.1), bench.timing.Timing(0, 1, 9)
    rows = [
        bench.row.Row("relu", {}, "forward", ours, rivals={"torch": theirs})
        for ours in (calm, disturbed)
        for theirs in (calm, disturbed)
    ]
    assert [row.noisy for row in rows] == [False, True, True, True]


class TestOnAGpu:
    """What differs there: calls only launch, and somebody waits for all of them."""

    def test_a_sample_ends_with_waiting(self, bench, monkeypatch):
        now, launched = [0.0], [0]
        monkeypatch.setattr(bench.timing, "perf_counter", lambda: now[0])

        def launch():
            now[0] += 1e-6
            launched[0] += 1

        def finish():
            now[0] += 1e-4 * launched[0]
            launched[0] = 0

        timing = bench.timing.compare({"a": launch}, seconds=0.05, finish=finish)["a"]
        assert timing == pytest.approx((0.101, 0.101, 0.101))
        assert launched == [0]

    def test_rivals(self, bench, monkeypatch):
        monkeypatch.setattr(bench.rivals, "find_spec", lambda name: name)
        monkeypatch.setattr(bench.rivals, "_torch_finds_gpu", lambda: False)
        assert bench.rivals.choose("torch,jax", "cuda:1") == (
            (),
            [
                "jax is left out: it does not run on the GPU here",
                "torch is left out: PyTorch finds no GPU; install a build of it for CUDA (pytorch.org)",
            ],
        )
        monkeypatch.setattr(bench.rivals, "_torch_finds_gpu", lambda: True)
        assert bench.rivals.choose("torch", "cuda") == (("torch",), [])

    def test_a_gpu_that_is_not_there(self, bench, run, tmp_path):
        for command in "kernels", "models":
            assert "'cuda:99' is not available: " in run(command, "--device", "cuda:99", "--against", "torch", code=1)

    def test_the_report_needs_one_too(self, tmp_path):
        script = ROOT / "bench" / "gpu_report.sh"
        environment = {**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": "", "NUMBA_ENABLE_CUDASIM": "0"}
        done = subprocess.run([script, tmp_path], capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 2 and "device 'cuda' is not available: " in done.stderr
        done = subprocess.run([script], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and done.stderr == "usage: bench/gpu_report.sh FOLDER\n"

    @pytest.mark.cuda
    def test_kernels_and_nets(self, bench):
        entries = [entry for entry in TINY if entry["op"] in ("relu", "linear", "sgd")]
        wanted = [(bench.cases.KINDS[entry["op"]], {k: v for k, v in entry.items() if k != "op"}) for entry in entries]
        found = list(bench.kernels.Bench("cuda", seconds=0).rows(wanted))
        assert len(found) == 2 + 3 + 1
        rows = list(bench.models.Bench("cuda", batch=2, seconds=0).rows(["digits"]))
        assert [row.direction for row in rows] == ["train_step", "inference"]
        assert all(row.residual < 1e-5 for row in [*found, *rows])
