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
PICTURES = {
    "batch_norm_and_init.py": r"with batch norm \d+ of 4 initial weight scales reach 80 % accuracy, without it \d+",
    "batch_norm_distribution.py": r"grows from 1\.\d to [5-9]\.\d over three layers; batch norm gives every",
    "dropout.py": r"the gap goes from -?\d+\.\d to -?\d+\.\d points",
    "filters_on_a_photograph.py": r"finds the edges, which are \d% of this picture's pixels",
    "learning_rate_decay.py": r"the validation loss is \d\.\d\d at a constant learning rate, and \d\.\d\d when",
    "naive_and_fast.py": r"[\d,]+ times faster than four loops, and differ by at most \de-1[3-9]",
    "receptive_field.py": r"3 layers of 3x3 see 7 pixels, 10 with a pool .* all points are as the formula",
    "shift_equivariance.py": r"change by at most \de-(0[7-9]|1\d) with circular padding, against \de-0[1-3] with zeros",
}
"""By script, the sentence that it prints under its picture, in its quick form."""


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
    assert sentence.startswith(f"{picture}: ") and re.search(PICTURES[name], sentence), sentence
    assert [path.name for path in tmp_path.iterdir()] == [picture]
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("L"), float)
    assert pixels.shape[0] > 400 and pixels.shape[1] > 800 and pixels.std() > 10


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_filters_on_a_photograph_of_ones_own(mode, capsys, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 4), np.uint8)
    Image.fromarray(pixels).convert(mode).save("photo.png")
    run("filters_on_a_photograph.py", "photo.png", "--output", "mine.png")
    assert capsys.readouterr().out.startswith("mine.png: ") and (tmp_path / "mine.png").exists()
