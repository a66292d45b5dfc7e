"""Who may import whom: a file imports from lower floors and from its own folder, and nothing goes round in circles."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

FLOORS = (
    {"errors"},
    {"ops"},
    {"data", "host", "io", "requirements"},
    {"reference", "cpu", "cuda"},
    {"engine"},
    {"tensor"},
    {"functional", "train", "inspect"},
    {"compat", "filters", "model"},
    {"convert", "zoo"},
    {"__init__"},  # the front door
    {"cli"},
    {"__main__"},
)
"""The rooms, files or folders of the package, from the ground up. Those of one floor do not know each other."""

DEVICE_ROOMS = {"reference", "cpu", "cuda"}
COMPILERS = {
    "numba": {"cpu", "cuda"},
    "llvmlite": {"cpu"},
    "cupy": {"cuda"},
    "cuda": {"cuda", "requirements"},
    "greenlet": {"cuda"},
}
"""Packages that load slowly or need hardware, and the rooms that may import them."""

HEAVY = ("numba", "numba_cuda", "llvmlite", "cupy", "cuda", "greenlet", "torch", "scipy", "matplotlib")
ROOT = Path(find_spec("nbconv").origin).parent


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(module: str) -> set[str]:
    """The modules that a file imports anywhere in it, by full name."""
    path, found = MODULES[module], set()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [parent, node.module]))
            inside = {f"{base}.{alias.name}" for alias in node.names}
            found |= (inside & set(MODULES)) or {base}
            found |= {base} if inside - set(MODULES) else set()
    return found


def room(module: str) -> str:
    return (module.split(".") + ["__init__"])[1]


def floor(module: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if room(module) in rooms)


every_module = pytest.mark.parametrize("module", MODULES)


def test_every_room_has_one_floor():
    rooms = {room(module) for module in MODULES}
    assert rooms == set().union(*FLOORS)
    assert sum(map(len, FLOORS)) == len(rooms)


@every_module
def test_imports_go_down(module):
    for other in imports(module) & set(MODULES):
        assert room(other) == room(module) or floor(other) < floor(module), f"{module} imports {other}"


def test_no_circles():
    TopologicalSorter({m: imports(m) & set(MODULES) - {m} for m in MODULES}).prepare()  # raises CycleError


@every_module
def test_compilers_stay_in_their_rooms(module):
    for other in imports(module):
        allowed = COMPILERS.get(other.split(".")[0])
        assert allowed is None or room(module) in allowed, f"{module} imports {other}"


@every_module
def test_devices_are_opened_not_imported(module):
    strangers = {other for other in imports(module) & set(MODULES) if room(other) in DEVICE_ROOMS - {room(module)}}
    assert not strangers


def test_the_walls_are_seen():
    """The reader of imports understands each way to write one."""
    assert "nbconv.reference.conv" in imports("nbconv.reference")
    assert "nbconv.ops.pool" in imports("nbconv.reference")
    assert "nbconv.reference.windows" in imports("nbconv.reference.conv")
    assert "numpy" in imports("nbconv.reference.conv")


def test_importing_nbconv_loads_nothing_heavy():
    code = f"import sys, nbconv; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
