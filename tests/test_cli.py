"""The command line: what each command prints, and one line for every error a person can make."""

import re
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from commands import fails, nbconv
from PIL import Image

import nbconv as nc
from nbconv import cli
from nbconv.data.digits import digits
from nbconv.errors import NonFiniteError as NonFinite
from nbconv.io import checkpoint

LINE = re.compile(
    r"epoch 1/1  loss \d\.\d{4}  accuracy 0\.\d{4}  val_loss \d\.\d{4}  val_accuracy 0\.\d{4}  \d+ images/s"
)


def use(command, model, *arguments):
    """The arguments of a command that uses a model, on the device that compiles nothing."""
    return command, model, *arguments, "--device", "reference"


def small_net(**options):
    return nc.Sequential(nc.Conv2d(2, 3), nc.ReLU(), nc.Flatten(), nc.Linear(10), device="reference", **options)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    model = small_net(input_shape=(1, 8, 8))
    model.compile()
    model.save(path)
    return path


@pytest.fixture
def ten_digits(tmp_path):
    (x, y), _ = digits()
    np.savez(tmp_path / "ten.npz", x=x[:10], y=y[:10])
    return tmp_path / "ten.npz"


def test_train_evaluate_predict(tmp_path, monkeypatch, ten_digits):
    monkeypatch.chdir(tmp_path)
    *lines, saved, accuracy = nbconv("train", "digits", "--epochs", 1, "--threads", 2)
    assert lines[0].startswith("training on 1437 images, testing on 360, device ")
    assert LINE.fullmatch(lines[1])
    assert saved == "saved digits.safetensors"
    assert float(re.fullmatch(r"test accuracy (0\.\d{4})", accuracy)[1]) > 0.8
    assert nbconv("evaluate", "digits.safetensors", "digits")[1] == accuracy

    predicted = nbconv("predict", "digits.safetensors", ten_digits)
    assert len(predicted) == 10
    assert all(re.fullmatch(rf"{re.escape(str(ten_digits))}\[\d\]  class \d  [01]\.\d{{4}}", p) for p in predicted)


@pytest.mark.parametrize("stop, code, says", [(KeyboardInterrupt(), 130, "interrupted"), (NonFinite("nan"), 2, "nan")])
@pytest.mark.parametrize("steps", [0, 30])
def test_a_net_is_kept_when_training_stops(tmp_path, monkeypatch, stop, code, says, steps):
    make_step = nc.Model._launch

    def stopping(model, *arguments):
        if model.step == steps:
            raise stop
        return make_step(model, *arguments)

    monkeypatch.setattr(nc.Model, "_launch", stopping)
    out = tmp_path / "net.safetensors"
    result = CliRunner().invoke(cli.main, ["train", "digits", "--device", "reference", "--out", str(out)])
    assert result.exit_code == code and says in result.stderr.splitlines()[-1]
    assert out.exists() == bool(steps)
    if steps:
        assert result.stdout.splitlines()[-1] == f"saved {out}: the parameters of epoch 1, where training stopped"
        assert nc.load(out).step == steps


@pytest.mark.parametrize("seed", range(5))
def test_default_training_reaches_its_accuracy(tmp_path, seed):
    accuracy = nbconv("train", "digits", "--seed", seed, "--out", tmp_path / "net.safetensors")[-1]
    assert float(accuracy.removeprefix("test accuracy ")) >= 0.985


def test_train_says_when_it_replaces(tmp_path):
    out = tmp_path / "net.safetensors"
    arguments = "train", "digits", "--epochs", 1, "--batch-size", 256, "--out", out
    assert nbconv(*arguments)[-2] == f"saved {out}"
    assert nbconv(*arguments)[-2] == f"saved {out} (replaced)"


def test_a_seed_fixes_the_result(tmp_path):
    def weights(seed, name):
        nbconv("train", "digits", "--epochs", 1, "--batch-size", 256, "--seed", seed, "--out", tmp_path / name)
        return nc.load(tmp_path / name).state_dict()["0.weight"]

    first = weights(1, "a")
    np.testing.assert_array_equal(first, weights(1, "b"))
    assert (first != weights(2, "c")).any()


def test_predict_image_files(tmp_path, model_file):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    for name in "a.png", "b.jpg":
        Image.fromarray(pixels).save(tmp_path / name)
    first, second = nbconv(*use("predict", model_file, tmp_path / "a.png", tmp_path / "b.jpg"))
    assert first.startswith(f"{tmp_path / 'a.png'}[0]  class ") and "b.jpg[0]  class " in second
    (inverted,) = nbconv(*use("predict", model_file, tmp_path / "a.png", "--invert"))
    assert inverted != first


def test_channels_last_models(tmp_path, ten_digits):
    model = small_net(input_shape=(8, 8, 1), data_format="NHWC")
    model.save(tmp_path / "last.safetensors")
    assert len(nbconv(*use("predict", tmp_path / "last.safetensors", ten_digits))) == 10
    assert nbconv(*use("evaluate", tmp_path / "last.safetensors", "digits"))[1].startswith("test accuracy 0.")


def test_evaluate_a_file(model_file, ten_digits):
    loss, accuracy = nbconv(*use("evaluate", model_file, ten_digits))
    assert re.fullmatch(r"test loss \d+\.\d{4}", loss) and re.fullmatch(r"test accuracy 0\.\d{4}", accuracy)


def test_summary(model_file):
    text = "\n".join(nbconv("summary", model_file))
    assert "Conv2d" in text and "Linear(10)" in text and "750" in text


def test_doctor():
    facts = dict(re.split(r"  +", line, maxsplit=1) for line in nbconv("doctor"))
    assert {"nbconv", "python", "numpy", "numba", "llvmlite", "gpu"} < set(facts)
    assert facts["nbconv"] == nc.__version__ and facts["gpu"].startswith("none: ")


def test_version():
    assert nbconv("--version") == [f"nbconv {nc.__version__}"]


def test_help_names_every_command():
    text = "\n".join(nbconv("--help"))
    assert all(command in text for command in ("train", "predict", "evaluate", "summary", "doctor"))


def test_errors_of_training(tmp_path):
    assert fails("train", "cifar") == "there is no data set 'cifar'; there is digits"
    assert "is not available" in fails("train", "digits", "--device", "cuda:99", "--out", tmp_path / "a")
    assert fails("train", "digits", "--device", "gpu", "--out", tmp_path / "a").startswith("unknown device 'gpu'")
    assert "batch_size must be" in fails("train", "digits", "--batch-size", 0, "--out", tmp_path / "a")
    assert "epochs must be an integer of at least 1" in fails("train", "digits", "--epochs", 0, "--out", tmp_path / "a")
    assert "lr must be zero or more" in fails("train", "digits", "--lr", -1, "--out", tmp_path / "a")
    assert "seed must be" in fails("train", "digits", "--seed", -1, "--out", tmp_path / "a")
    assert "seed must be" in fails("train", "digits", "--seed", 10**30, "--out", tmp_path / "a")
    assert "threads must be" in fails("train", "digits", "--threads", -4, "--out", tmp_path / "a")


def no_training(*arguments, **options):
    pytest.fail("training began before the output was checked")


def test_unwritable_output_is_found_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(nc.Model, "fit", no_training)
    assert "it is a folder; name a file in it" in fails("train", "digits", "--out", tmp_path)
    missing = tmp_path / "missing" / "a.safetensors"
    assert f"there is no folder {missing.parent}; create it first" in fails("train", "digits", "--out", missing)
    monkeypatch.setattr(checkpoint.os, "access", lambda path, mode: False)
    assert "is not writable; choose another one" in fails("train", "digits", "--out", tmp_path / "a")


def test_a_bad_model_file_is_one_line_for_every_command(tmp_path):
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_text("no model")
    for arguments in (("predict", foreign, "x.npy"), ("evaluate", foreign, "digits"), ("summary", foreign)):
        assert "is not a complete safetensors file" in fails(*arguments)
    assert fails("summary", tmp_path / "none") == f"there is no file {tmp_path / 'none'}"


def test_bad_images_are_one_line(tmp_path, model_file):
    assert "there is no such file" in fails(*use("predict", model_file, tmp_path / "none.png"))
    np.save(tmp_path / "nan.npy", np.full((8, 8), np.nan))
    message = fails(*use("predict", model_file, tmp_path / "nan.npy"))
    assert message.startswith(f"{tmp_path / 'nan.npy'}: x has 64 values that are not finite")
    np.save(tmp_path / "large.npy", np.zeros((2, 28, 28)))
    message = fails(*use("predict", model_file, tmp_path / "large.npy"))
    assert "the model needs (N, 1, 8, 8), (N, 8, 8, 1), (N, 8, 8) or (8, 8)" in message
    np.savez(tmp_path / "labels.npz", x=np.zeros((1, 8, 8)), y=[10])
    message = fails(*use("evaluate", model_file, tmp_path / "labels.npz"))
    assert message.startswith(f"{tmp_path / 'labels.npz'}: y[0] is 10, but labels must be from 0 to 9")
    assert "there is no data set 'mnist'" in fails(*use("evaluate", model_file, "mnist"))


def test_a_model_of_features_is_not_for_images(tmp_path):
    model = nc.Sequential(nc.Linear(3), input_shape=(4,), device="reference")
    model.save(tmp_path / "flat.safetensors")
    assert "the model takes (4,), not one image" in fails(*use("predict", tmp_path / "flat.safetensors", "x.npy"))


@pytest.mark.parametrize("arguments, code", [(["--version"], 0), (["summary", "missing"], 2)])
def test_as_a_process(tmp_path, arguments, code):
    command = [sys.executable, "-m", "nbconv", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == code and "Traceback" not in done.stderr
    assert done.stdout == (f"nbconv {nc.__version__}\n" if code == 0 else "")
    assert done.stderr == ("" if code == 0 else "nbconv: error: there is no file missing\n")
