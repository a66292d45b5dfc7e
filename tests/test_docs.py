"""The docs name every op, their links lead somewhere, and what they show works."""

import re
from pathlib import Path

import pytest

import nbconv as nc
from nbconv.ops.base import Op

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PUBLIC = [name for name in nc.__all__ if isinstance(getattr(nc, name), type) and issubclass(getattr(nc, name), Op)]


def text(name):
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_op_is_documented(name):
    assert re.search(rf"`{name}(\(|`)", text("ops.md")), f"docs/ops.md lacks a row for {name}"


@pytest.mark.parametrize("document", [path.name for path in DOCS.glob("*.md")])
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)\)", text(document)):
        assert target.startswith("http") or (DOCS / target).exists(), target


def test_every_experiment_is_in_the_course():
    drawing = [p.name for p in (ROOT / "examples").glob("[a-z]*.py") if "_figure" in p.read_text(encoding="utf-8")]
    assert len(drawing) >= 8
    assert all(name in text("course.md") for name in drawing)


def test_python_blocks(capsys):
    for block in re.findall(r"```python\n(.*?)```", text("ops.md"), re.DOTALL):
        exec(block, {})
    shown = capsys.readouterr().out
    assert "134 derivatives agree" in shown and "arrays agree: device cpu, float64" in shown
