"""Rows as text, in columns of fixed width, so that a line can be printed as soon as its row is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from .row import Row, geometric_mean


class Column(NamedTuple):
    """A title, a width (negative: text to the left), and what stands there for a row."""

    title: str
    width: int
    text: Callable[[Row], str]


class Table:
    """Columns side by side: ``print(table.head())``, then ``print(table.line(row))`` for every row."""

    def __init__(self, columns: Iterable[Column]):
        self._columns = tuple(columns)

    def head(self) -> str:
        return self._join(column.title for column in self._columns)

    def line(self, row) -> str:
        return self._join(column.text(row) for column in self._columns)

    def _join(self, texts: Iterable[str]) -> str:
        cells = (
            f"{text:<{-column.width}}" if column.width < 0 else f"{text:>{column.width}}"
            for column, text in zip(self._columns, texts, strict=True)
        )
        return "".join(cells).rstrip()


def number(value: float | None, digits: int = 3) -> str:
    """A number with about this many digits: ``number(12.3456) == "12.3"``; "-" where there is none."""
    if value is None:
        return "-"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:.{max(0, digits - whole)}f}"


def times(kinds: tuple[str, ...]) -> list[Column]:
    """The columns that tell of time; what is least and first stands beside it where there is room."""
    columns = [Column("ms", 9, lambda row: number(row.ms, 4))]
    if len(kinds) <= 1:
        columns += [
            Column("least", 9, lambda row: number(row.timing.least, 4)),
            Column("first", 8, lambda row: number(row.timing.first)),
        ]
    return columns


def rivals(kinds: tuple[str, ...]) -> list[Column]:
    """For each rival the time of its fastest form and how many times ours it is."""
    columns = []
    for kind in kinds:
        columns += [
            Column(f"{kind} ms", 3 + max(8, len(kind)), lambda row, kind=kind: _rival_ms(row, kind)),
            Column("ratio", 7, lambda row, kind=kind: number(row.ratio(kind))),
        ]
    return columns


def rate(row: Row) -> str:
    """The rate that matters: of arithmetic where that binds, else of traffic."""
    return f"{number(row.gbytes)} GB/s" if row.limit == "copy" else f"{number(row.gflops)} GF/s"


def share(row: Row) -> str:
    """How much of the limit is reached, and which limit it is."""
    return "-" if row.peak_share is None else f"{row.peak_share:.0%} {row.limit}"


def facts(machine: Mapping[str, object]) -> str:
    """The machine, a line per fact."""
    width = max(map(len, machine)) + 2
    return "\n".join(f"{name:<{width}}{_fact(value)}" for name, value in machine.items())


def means(rows: Iterable[Row], name: Callable[[Row], str]) -> list[str]:
    """A line per op and direction: the geometric mean of the ratios to each rival, and the worst row."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        for kind in row.kinds():
            groups.setdefault((row.op, row.direction, kind), []).append(row)
    lines = []
    for (op, direction, kind), members in groups.items():
        ratios = [row.ratio(kind) or 0.0 for row in members]
        worst = min(members, key=lambda row: row.ratio(kind) or 0.0)
        lines.append(
            f"{op:<14}{direction:<13}{kind:<10}{geometric_mean(ratios):6.2f}"
            f"{geometric_mean([row.least_ratio(kind) for row in members]):7.2f}{min(ratios):8.2f}  {name(worst)}"
        )
    if not lines:
        return []
    head = f"{'op':<14}{'direction':<13}{'against':<10}{'mean':>6}{'least':>7}{'worst':>8}  of"
    return [head, *lines]


def _rival_ms(row: Row, kind: str) -> str:
    return number(row.best(kind)[1].median, 4) if kind in row.kinds() else "-"


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_size(key)}: {v}" for key, v in value.items())
    return str(value)


def _size(nbytes) -> str:
    for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
        if nbytes >= size:
            return f"{nbytes // size} {unit}"
    return f"{nbytes} B"
