"""What a benchmark prints: the machine, a table that grows row by row, means, and the files that were asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from . import course, fusion, roofline, scaling, startup
from .peak import Peaks
from .row import Row
from .table import Column, Table, facts, means, number, rates, residual, rivals, times, warnings

LIMIT = """
of limit: the least time for the arithmetic at the FMA peak (FMA), or for the traffic at the rate of a copy of as many
bytes (copy: small arrays lie in caches), whichever is longer, over the time measured"""


class Report:
    """Prints rows as they come, and keeps them: ``rows = Report(table, echo).show(rows)``.

    ``heading`` is printed before a row whenever it differs from the last.
    """

    def __init__(self, table: Table, echo: Callable[[str], None], heading: Callable[[Row], str] = lambda row: ""):
        self._table, self._echo, self._heading = table, echo, heading

    def show(self, rows: Iterable[Row]) -> list[Row]:
        shown: list[Row] = []
        self._echo(f"\n{self._table.head()}")
        heading = ""
        for row in rows:
            if self._heading(row) != heading:
                heading = self._heading(row)
                self._echo(heading)
            self._echo(self._table.line(row))
            shown.append(row)
        for line in warnings(shown):
            self._echo(line)
        return shown


def head(machine: Mapping[str, object], left_out: Sequence[str], echo: Callable[[str], None]) -> None:
    """The machine, and who is not here."""
    for line in (*facts(machine), *left_out):
        echo(line)


def kernels(rows: Iterable[Row], kinds: Sequence[str], echo: Callable[[str], None]) -> list[Row]:
    def label(row: Row) -> str:
        return str(row.extra["label"])

    table = Table(
        Column("shape", -36, label),
        Column("direction", -12, lambda row: row.direction),
        *times(kinds),
        *rates(),
        *rivals(kinds),
    )
    shown = Report(table, echo, lambda row: row.op).show(rows)
    _tell(echo, [LIMIT], means(shown, lambda row: f"{row.op} {row.direction}", label))
    return shown


def models(rows: Iterable[Row], kinds: Sequence[str], echo: Callable[[str], None]) -> list[Row]:
    table = Table(
        Column("net", -9, lambda row: row.op),
        Column("at batch", -15, _use),
        *times(kinds),
        Column("kernels", 9, lambda row: number(row.extra["kernels_ms"], 4)),
        *rates(),
        *rivals(kinds),
    )
    shown = Report(table, echo).show(rows)
    note = "\nkernels: the ms without what Python does round them; of limit: the time at the FMA peak over the ms"
    _tell(echo, [note], means(shown, lambda row: row.direction, lambda row: f"{row.op} {row.shape['N']}"))
    for row in shown:
        for kind in row.kinds():
            name, timing = row.best(kind)
            if name != kind:
                echo(f"{row.op + ' ' + _use(row):<32}fastest {kind}: {name}, {number(timing.median, 4)} ms")
    return shown


def fusions(rows: Iterable[Row], notes: Sequence[str], echo: Callable[[str], None]) -> list[Row]:
    table = Table(
        Column("layers", -22, lambda row: row.op),
        Column("input", -15, fusion.label),
        Column("direction", -11, lambda row: row.direction),
        Column("kernels", -9, lambda row: f"{row.extra['unfused_kernels']} to {row.extra['kernels']}"),
        *times(["unfused"], first=False),
        Column("unfused ms", 12, lambda row: number(row.best("unfused")[1].median, 4)),
        Column("gain", 7, lambda row: number(row.ratio())),
        Column("of least", 10, lambda row: number(row.least_ratio("unfused"))),
        Column("memory", 8, lambda row: f"{0.0 - round(fusion.saved(row), 2):.0%}"),
        Column("residual", 10, residual),
    )
    shown = Report(table, echo).show(rows)
    _tell(echo, ["\nmemory: how much smaller the arena is"], means(shown, lambda row: row.direction, _fused))
    _tell(echo, ["what the rewrites make of each:", *fusion.changes(shown), *notes])
    return shown


def courses(rows: Iterable[Row], kinds: Sequence[str], echo: Callable[[str], None]) -> list[Row]:
    loops = ["naive", *(["naive-torch"] if "torch" in kinds else [])]
    table = Table(
        Column("shape", -30, course.label),
        Column("direction", -10, lambda row: row.direction),
        Column("dtype", -8, lambda row: str(row.extra["dtype"])),
        *times([], first=False),
        Column("residual", 9, residual),
        *rivals(loops),
        Column("of least", 10, lambda row: number(row.least_ratio("naive"))),
    )
    return Report(table, echo, lambda row: row.op).show(rows)


def scalings(rows: Iterable[Row], echo: Callable[[str], None]) -> list[Row]:
    table = Table(
        Column("work", -40, scaling.label),
        Column("direction", -12, lambda row: row.direction),
        Column("at", 6, lambda row: str(row.extra["value"])),
        *times([], first=False),
        Column("ns per unit", 13, lambda row: number(row.extra["ns_per_unit"], 4)),
        Column("speed-up", 9, lambda row: number(row.extra.get("speedup"))),
        Column("deviation", 10, lambda row: f"{row.extra['deviation']:+.0%}"),
        Column("of limit", 10, lambda row: f"{row.peak_share:.0%} FMA" if row.peak_share else "-"),
    )
    return Report(table, echo, _series).show(rows)


def startups(rows: Iterable[Row], kinds: Sequence[str], echo: Callable[[str], None]) -> list[Row]:
    kinds = [kind for kind in kinds if kind == "torch"]
    table = Table(
        Column("", -26, lambda row: row.op),
        Column("net", -12, lambda row: f"{row.shape['net']} {row.shape['N']}" if row.shape else ""),
        Column("ms", 9, lambda row: number(row.ms)),
        Column("least", 9, lambda row: number(row.timing.least)),
        *rivals(kinds),
    )
    return Report(table, echo).show(rows)


def memory(row: Row, echo: Callable[[str], None]) -> None:
    title = f"\nresident memory, training {row.shape['net']} at batch {row.shape['N']}"
    _tell(echo, [title, *startup.summary(row)])


def write(path: Path, machine: Mapping[str, object], rows: Sequence[Row]) -> None:
    """The JSON file: ``{"machine": {...}, "rows": [...]}``."""
    content = {"machine": machine, "rows": [row.as_dict() for row in rows]}
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def plot(path: Path, machine: Mapping[str, object], rows: Sequence[Row], peaks: Peaks) -> None:
    roofline.draw(rows, peaks, machine, path)


def _use(row: Row) -> str:
    return f"{row.direction} {row.shape['N']}"


def _fused(row: Row) -> str:
    return f"{row.op} {fusion.label(row)}"


def _series(row: Row) -> str:
    """``threads, and how far the speed-up is from their number``."""
    if row.extra["vary"] == "threads":
        return "threads (deviation: of the speed-up from the number of threads)"
    return f"{row.extra['vary']} (unit: one {row.extra['unit']}; deviation: from the series' median)"


def _tell(echo: Callable[[str], None], *blocks: Sequence[str]) -> None:
    for block in blocks:
        for line in block:
            echo(line)
        echo("")
