"""Shapes of one's own, from a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from nbconv.errors import DataError, NbconvError

from .cases import KINDS, Case, Kind

EXAMPLE = '[{"op": "conv2d", "N": 8, "C": 3, "H": 32, "W": 32, "K": 16, "R": 3, "S": 3, "padding": 1}]'


def read(path: str | Path) -> list[tuple[Kind, dict[str, int]]]:
    """Return the ops and shapes of a JSON list such as ``[{"op": "relu", "N": 8, "C": 3, "H": 32, "W": 32}]``.

    Raises ``DataError``, which names the entry that is wrong and what its op needs.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read shapes from {path}: {error}") from None
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path} must be a JSON list of shapes, such as {EXAMPLE}")
    return [_entry(entry, f"shape {index} of {path}") for index, entry in enumerate(entries)]


def named(kinds: Iterable[Kind]) -> list[tuple[Kind, dict[str, int]]]:
    """The shapes that are measured by default."""
    return [(kind, shape) for kind in kinds for shape in kind.shapes()]


def _entry(entry, where: str) -> tuple[Kind, dict[str, int]]:
    if not isinstance(entry, dict) or entry.get("op") not in list(KINDS):
        raise DataError(f'{where} must be an object with "op": one of {", ".join(KINDS)}; got {entry!r}')
    kind = KINDS[entry["op"]]
    sizes = {name: value for name, value in entry.items() if name != "op"}
    missing = [name for name in kind.needs if name not in sizes]
    wrong = [f"{name}={value!r}" for name, value in sizes.items() if not _fits(kind, name, value)]
    if missing or wrong:
        may = f" and may have {', '.join(kind.may_have)}" if kind.may_have else ""
        said = (["missing: " + ", ".join(missing)] if missing else []) + (
            ["wrong: " + ", ".join(wrong)] if wrong else []
        )
        raise DataError(f"{where}: {kind.name} needs positive integers {', '.join(kind.needs)}{may}; {'; '.join(said)}")
    shape = {**kind.may_have, **sizes}
    try:
        Case.of(kind, shape)
    except NbconvError as error:
        raise DataError(f"{where}: {error}") from None
    return kind, shape


def _fits(kind: Kind, name: str, value) -> bool:
    default = kind.may_have.get(name)
    if isinstance(default, bool):
        return isinstance(value, bool)
    least = 0 if name in kind.may_have else 1
    return name in (*kind.needs, *kind.may_have) and type(value) is int and value >= least
