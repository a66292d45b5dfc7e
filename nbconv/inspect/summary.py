"""A net as a table: what each layer makes, holds, costs and sees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import prod

import numpy as np

from ..data.layout import outside
from ..engine.graph import Graph, Source
from ..ops.base import Shape
from .receptive import Field, receptive_fields

WIDTH = 120
"""Columns of a terminal that the table keeps to, by shortening the options of layers."""

LEAST_KIND = 16
"""Columns that are left to these in any case."""

INPUT = "Input"
"""The kind of the rows where values enter."""

Numbers = tuple[int | float, ...]


@dataclass(frozen=True)
class Row:
    """What a layer is for one sample.

    Sizes of images are (height, width). They are empty for a net on feature vectors, and those of the first input for
    a layer that depends on several.
    """

    name: str
    layer: str
    shape: Shape
    """Of the output, in the model's data format."""
    parameters: int
    """How many values are trained."""
    macs: int
    """Multiply-accumulates of forward with learned weights."""
    activation_bytes: int
    """Of the output, in its dtype: the model's, or uint8."""
    receptive_field: Numbers
    """How many pixels of the net's input a value of the output can depend on. Border pixels of padding count, too."""
    jump: Numbers
    """How many pixels further on the next value looks; 0 where every value sees the same."""
    first_centre: Numbers
    """Where the middle of the first value's field lies, if the first pixel reaches from 0 to 1."""


@dataclass(frozen=True, repr=False)
class Summary:
    """All layers of a net; ``str`` makes the table, ``as_dict`` plain data."""

    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """The number of trained values."""
        return sum(row.parameters for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one sample's forward pass."""
        return sum(row.macs for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """The bytes of all values of one sample, each layer by itself, as the net is written.

        ``model.memory_report`` says what a plan takes, which fuses layers and uses memory again.
        """
        return sum(row.activation_bytes for row in self.rows)

    def as_dict(self) -> dict:
        """``{"layers": [...], "parameters": ..., "macs": ..., "activation_bytes": ...}``, as JSON can hold it."""
        layers = [{name: _listed(value) for name, value in asdict(row).items()} for row in self.rows]
        totals = {name: getattr(self, name) for name in ("parameters", "macs", "activation_bytes")}
        return {"layers": layers, **totals}

    def __str__(self):
        head = ("layer", "kind", "output", "parameters", "multiply-adds", "bytes", "field", "jump", "centre")
        total = ("total", "", "", *(f"{n:,}" for n in (self.parameters, self.macs, self.activation_bytes)), "", "", "")
        cells = [head, *(_cells(row) for row in self.rows), total]
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        others = sum(widths) - widths[1] + 2 * (len(head) - 1)
        widths[1] = min(widths[1], max(LEAST_KIND, WIDTH - others))
        lines = [_line(row, widths) for row in cells]
        rule = "-" * (sum(widths) + 2 * (len(head) - 1))
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def __repr__(self):
        layers = sum(row.layer != INPUT for row in self.rows)
        return f"<Summary of {layers} layers: {self.parameters:,} parameters, {self.macs:,} multiply-adds>"


def summarize(graph: Graph, data_format: str = "NCHW", dtype: str = "float32") -> Summary:
    """Return a table of the graph's layers, with shapes in the caller's data format; ``dtype`` is the model's."""
    shapes = graph.shapes(1)
    itemsizes = [np.dtype(dtype if own == "float" else own).itemsize for own in graph.dtypes()]
    rows = []
    for node, made, itemsize, field in zip(graph.nodes, shapes, itemsizes, receptive_fields(graph), strict=True):
        is_source = isinstance(node.op, Source)
        inputs = [shapes[i] for i in node.inputs]
        rows.append(
            Row(
                name=node.name,
                layer=INPUT if is_source else repr(node.op),
                shape=outside(made[1:], data_format),
                parameters=0 if is_source else sum(map(prod, node.op.param_shapes(*inputs).values())),
                macs=0 if is_source else node.op.macs(*inputs),
                activation_bytes=prod(made) * itemsize,
                **_sights(field),
            )
        )
    return Summary(tuple(rows))


def _sights(field: Field) -> dict[str, Numbers]:
    windows = field.windows
    return {
        "receptive_field": tuple(_number(w.span) for w in windows),
        "jump": tuple(_number(w.step) for w in windows),
        "first_centre": tuple(_number(w.centre) for w in windows),
    }


def _number(value: int | Fraction) -> int | float:
    return int(value) if value == int(value) else float(value)


def _listed(value):
    return list(value) if isinstance(value, tuple) else value


def _cells(row: Row) -> tuple[str, ...]:
    counts = (f"{n:,}" for n in (row.parameters, row.macs, row.activation_bytes))
    sights = (_once(numbers) for numbers in (row.receptive_field, row.jump, row.first_centre))
    return row.name, row.layer, "x".join(map(str, row.shape)), *counts, *sights


def _once(numbers: Iterable[int | float]) -> str:
    """Write equal numbers once: ``_once((3, 3)) == "3"``."""
    shown = [f"{n:g}" for n in numbers]
    return shown[0] if len(set(shown)) == 1 else "x".join(shown)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    aligned = (cell.ljust(w) if i < 3 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True)))
    name, kind, *rest = aligned
    kind = kind.rstrip() if len(kind.rstrip()) <= widths[1] else kind[: widths[1] - 3] + "..."
    return "  ".join([name, kind.ljust(widths[1]), *rest]).rstrip()
