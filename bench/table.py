"""Rows as text, in columns of fixed width, so that a line can be printed as soon as its row is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from .row import NOISE, Row, geometric_mean

WIDTH = 120
NOISY = "~"
"""Stands behind a time that something else has disturbed."""
ROOM_FOR_TIMES = 2
"""Of more rivals only the ratio is shown: a line would be too long for a terminal."""


class Column(NamedTuple):
    """A title, a width (negative: text to the left), and what stands there for a row."""

    title: str
    width: int
    text: Callable[[Row], str]


class Table:
    """Columns side by side: ``print(table.head())``, then ``print(table.line(row))`` for every row."""

    def __init__(self, *columns: Column):
        self._columns = columns

    def head(self) -> str:
        return self._join(column.title for column in self._columns)

    def line(self, row: Row) -> str:
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


def times(kinds: Sequence[str], *, first: bool = True) -> list[Column]:
    """The columns that tell of time; what is least and what came first stand beside it where there is room."""
    columns = [Column("ms", 8, lambda row: number(row.ms, 4) + NOISY * row.noisy)]
    if len(kinds) <= 1:
        columns.append(Column("least", 8, lambda row: number(row.timing.least, 4)))
    if len(kinds) <= 1 and first:
        columns.append(Column("first", 7, lambda row: number(row.timing.first)))
    return columns


def rates() -> list[Column]:
    """The rate, the share of the limit that binds, and how exact the result is."""
    return [
        Column("rate", 11, _rate),
        Column("of limit", 10, _share),
        Column("residual", 9, residual),
    ]


def rivals(kinds: Sequence[str]) -> list[Column]:
    """For each rival the time of its fastest form, and how many times ours it is."""
    columns = []
    for kind in kinds:
        if len(kinds) <= ROOM_FOR_TIMES:
            title = f"{kind} ms" if len(kind) < 6 else kind
            columns.append(Column(title, max(9, len(title) + 1), lambda row, kind=kind: _rival_ms(row, kind)))
        title = "ratio" if len(kinds) <= ROOM_FOR_TIMES else f"{kind} x"
        columns.append(
            Column(
                title,
                max(6 if len(kinds) > ROOM_FOR_TIMES else 7, len(title) + 1),
                lambda row, kind=kind: number(row.ratio(kind)),
            )
        )
    return columns


def means(rows: Iterable[Row], group: Callable[[Row], str], name: Callable[[Row], str]) -> list[str]:
    """For each group of rows and each rival: the geometric mean of the ratios, and the row that is worst."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        for kind in row.kinds():
            groups.setdefault((group(row), kind), []).append(row)
    lines = [f"{'ratios, geometric means':<32}{'against':<11}{'rows':>4}{'mean':>8}{'of least':>10}{'worst':>8}  on"]
    for (title, kind), members in groups.items():
        worst = min(members, key=lambda row: row.ratio(kind))
        lines.append(
            f"{title:<32}{kind:<11}{len(members):>4}"
            f"{number(geometric_mean([row.ratio(kind) for row in members])):>8}"
            f"{number(geometric_mean([row.least_ratio(kind) for row in members])):>10}"
            f"{number(worst.ratio(kind)):>8}  {name(worst)}"
        )
    return lines if groups else []


def warnings(rows: Iterable[Row]) -> list[str]:
    """What to know about times with a mark."""
    noisy = sum(row.noisy for row in rows)
    what = f"a median, ours or a rival's, is over {NOISE} times the least"
    return [f"{NOISY} in {noisy} rows: {what}, so others were computing"] if noisy else []


def facts(machine: Mapping[str, object]) -> list[str]:
    """The machine, a line per fact."""
    width = max(map(len, machine)) + 2
    return [f"{name:<{width}}{_fact(value)}" for name, value in machine.items()]


def residual(row: Row) -> str:
    """One digit and the power of ten: ``"2e-07"``."""
    return "-" if row.residual is None else f"{row.residual:.0e}" if row.residual else "0"


def _rate(row: Row) -> str:
    """Of arithmetic where that binds, else of traffic."""
    if not row.flops and not row.nbytes:
        return "-"
    return f"{number(row.gbytes)} GB/s" if row.limit == "copy" else f"{number(row.gflops)} GF/s"


def _share(row: Row) -> str:
    return "-" if row.peak_share is None else f"{row.peak_share:.0%} {row.limit}"


def _rival_ms(row: Row, kind: str) -> str:
    return number(row.best(kind)[1].median, 4) if kind in row.kinds() else "-"


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{rate:.0f} at {size}" for size, rate in value.items())
    return str(value)
