"""Every example runs to its end and says what it should; those of the course draw a picture."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parent.parent / "examples"
ENDINGS = {
    "train_and_predict.py": r"predicted \d \(0\.\d+\), it is a \d\n$",
    "residual_net.py": r"'accuracy': 0\.9\d+",
    "own_loss.py": r"step 150: squared error 0\.\d+\n$",
    "check_your_kernel.py": r"against cpu: largest difference \d\.\de-1[3-9]\n",
}
NUMBER = r"(-?[\d.,]+(?:e[-+]?\d+)?)"
PICTURES = {
    "batch_norm_and_init.py": (
        "with batch norm # of # initial weight scales reach 80 % accuracy, without it #$",
        lambda with_norm, scales, without: scales >= with_norm >= without and with_norm > 0,
    ),
    "batch_norm_distribution.py": (
        "the standard deviation grows from # to # over three layers; batch norm gives every",
        lambda first, last: last > 3 * first > 0,
    ),
    "dropout.py": (
        "dropout with p = # moves .*: the gap goes from # to # points$",
        lambda p, before, after: 0 < p < 1 and after < before,
    ),
    "filters_on_a_photograph.py": (
        "finds the edges, which are #% of this picture's pixels$",
        lambda share: 0 < share < 20,
    ),
    "learning_rate_decay.py": (
        "the validation loss is # at a constant learning rate, and # when it decays",
        lambda constant, decayed: 0 < decayed <= constant,
    ),
    "naive_and_fast.py": (
        "# times faster forward and # times backward than four loops over NumPy, and differ by at most # of",
        lambda forward, backward, residual: forward > 1 and backward > 1 and residual < 1e-12,
    ),
    "receptive_field.py": (
        "# layers of #x# see # pixels, # with a pool .*, all points are as the formula says$",
        lambda layers, height, width, plain, pooled: plain == 1 + layers * (width - 1) < pooled and height == width,
    ),
    "shift_equivariance.py": (
        r"maps move with the image .*, and their means change by at most # with circular padding, against # with",
        lambda circular, zeros: circular < 1e-6 and zeros > 1e-3,
    ),
}
"""By script, the sentence under its picture, in its quick form, and what must hold of the numbers in it, each a #."""


@pytest.fixture(autouse=True)
def like_a_script(tmp_path, monkeypatch):
    """In a folder of its own, with the examples' folder to import from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)


def run(name, *arguments):
    before, sys.argv = sys.argv, [name, *map(str, arguments)]
    try:
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    finally:
        sys.argv = before


def test_every_example_has_an_ending():
    scripts = {path.name for path in EXAMPLES.glob("*.py") if not path.name.startswith("_")}
    assert scripts == {*ENDINGS, *PICTURES}


@pytest.mark.parametrize("name", ENDINGS)
def test_example(name, capsys):
    run(name)
    assert re.search(ENDINGS[name], capsys.readouterr().out)


@pytest.mark.parametrize("name", PICTURES)
def test_example_that_draws(name, capsys, tmp_path):
    run(name, "--quick")
    picture = f"{name.removesuffix('.py')}.png"
    (sentence,) = capsys.readouterr().out.splitlines()
    pattern, holds = PICTURES[name]
    said = re.search(pattern.replace("#", NUMBER), sentence)
    assert sentence.startswith(f"{picture}: ") and said, sentence
    assert holds(*(float(number.replace(",", "")) for number in said.groups())), sentence
    assert [path.name for path in tmp_path.iterdir()] == [picture]
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("L"), float)
    assert pixels.shape[0] > 400 and pixels.shape[1] > 800 and pixels.std() > 10


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_filters_on_a_photograph_of_ones_own(mode, capsys, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 4), np.uint8)
    grey16 = pixels[..., 0].astype(np.uint16) * 10
    (Image.fromarray(grey16) if mode == "I;16" else Image.fromarray(pixels).convert(mode)).save("photo.png")
    run("filters_on_a_photograph.py", "photo.png", "--output", "mine.png")
    assert capsys.readouterr().out.startswith("mine.png: ") and (tmp_path / "mine.png").exists()


def test_a_photograph_that_is_missing(capsys, tmp_path):
    with pytest.raises(SystemExit, match=r"filters_on_a_photograph.py: cannot read none.png: there is no such file"):
        run("filters_on_a_photograph.py", "none.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", PICTURES)
def test_a_folder_that_is_missing_is_an_error_of_the_command_line(name, capsys):
    with pytest.raises(SystemExit):
        run(name, "--output", "none/picture.png")
    assert "--output: cannot write none" in (said := capsys.readouterr().err) and "there is no folder none" in said
