"""Every example runs to its end and says what it should."""

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
ENDINGS = {
    "train_and_predict.py": r"predicted \d \(0\.\d+\), it is a \d\n$",
    "residual_net.py": r"'accuracy': 0\.9\d+",
    "own_loss.py": r"step 150: squared error 0\.\d+\n$",
    "check_your_kernel.py": r"against cpu: largest difference \d\.\de-1[3-9]\n",
}


def test_every_example_has_an_ending():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(ENDINGS)


@pytest.mark.parametrize("name", ENDINGS)
def test_example(name, capsys):
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert re.search(ENDINGS[name], capsys.readouterr().out)
