"""The docs name every op, their links lead somewhere, and what they show works."""

import re
from pathlib import Path

import pytest

import nbconv as nc
from nbconv.ops.base import Op

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DOCUMENTS = sorted(path.name for path in DOCS.glob("*.md"))
PUBLIC = [name for name in nc.__all__ if isinstance(getattr(nc, name), type) and issubclass(getattr(nc, name), Op)]


def text(name):
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_op_is_documented(name):
    assert re.search(rf"`{name}(\(|`)", text("ops.md")), f"docs/ops.md lacks a row for {name}"


def anchors(document):
    """The fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", document, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    for target, fragment in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text(document)):
        if target.startswith("http"):
            continue
        page = DOCS / (target or document)
        assert page.exists(), target
        assert not fragment or fragment in anchors(page.read_text(encoding="utf-8")), f"{target}#{fragment}"


def test_every_row_of_an_op_has_all_its_cells():
    """Its shape, formula, gradient and source; only the rows of gradients have no shape of their own."""
    rows = re.findall(r"^\| (`[A-Z]\w+\(.*)\|$", text("ops.md"), re.MULTILINE)
    assert len(rows) > 25
    assert [row for row in rows if not all(cell.strip() for cell in row.split("|"))] == []


def test_every_experiment_is_in_the_course():
    drawing = [p.name for p in (ROOT / "examples").glob("[a-z]*.py") if "_figure" in p.read_text(encoding="utf-8")]
    assert len(drawing) >= 8
    assert all(name in text("course.md") for name in drawing)


def blocks(document):
    """The Python of a page that can run by itself: what imports what it uses."""
    found = re.findall(r"```python\n(.*?)```", text(document), re.DOTALL)
    return [block for block in found if re.match(r"(import|from) ", block)]


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if blocks(name)])
def test_python_blocks(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in blocks(document):
        exec(block, {"__name__": "docs"})


def test_what_the_checks_print(capsys):
    for block in blocks("ops.md"):
        exec(block, {})
    shown = capsys.readouterr().out
    assert "134 derivatives agree" in shown and "arrays agree: device cpu, float64" in shown
