"""What the README shows works, word by word."""

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_python_blocks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    train, graph, loop, functions, insight, pictures = BLOCKS
    exec(train, names)
    assert names["model"].evaluate(names["xv"], names["yv"])["accuracy"] > 0.85
    x, y, trained = names["x"][:8], names["y"][:8], names["model"]
    exec(graph, names)
    assert names["model"].predict(np.zeros((2, 3, 32, 32))).shape == (2, 10)
    names |= {"x": x, "y": y, "model": trained, "dy": np.ones((8, 10)), "torch_model_state": trained.state_dict()}
    exec(loop, names)
    assert names["grads"]["0.weight"].shape == (8, 1, 3, 3)
    rng = np.random.default_rng(0)
    names |= {"x": rng.random((2, 3, 9, 9)), "weight": rng.random((4, 3, 3, 3)), "bias": np.zeros(4)}
    names["dy"] = np.ones((2, 4, 5, 5))
    exec(functions, names)
    assert names["y"].shape == (2, 4, 5, 5) and names["dx"].shape == (2, 3, 9, 9)
    names |= {"x": rng.random((2, 3, 32, 32)), "y": np.array([3, 7]), "photo": rng.random((20, 30, 3))}
    names |= {"weight": rng.random((8, 3, 3, 3))}
    exec(insight, names)
    assert names["larger"].graph.shapes(1)[-1] == (1, 6, 6, 10)
    assert names["matrix"].shape == (8 * 7 * 7, 3 * 9 * 9) and names["edges"].shape == (20, 30, 3)
    exec(pictures, names)
    assert names["model"].predict(rng.integers(0, 256, (2, 3, 32, 32)).astype(np.uint8)).shape == (2, 10)


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / document).read_text(encoding="utf-8")):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_the_architecture_names_files_that_exist():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:nbconv|tests|engine|cpu|data|ops)/[\w/]+\.py)`", text):
        assert (ROOT / path).exists() or (ROOT / "nbconv" / path).exists(), path
