"""A net as a table: shapes, parameters and multiply-accumulates of each layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod

from ..data.layout import outside
from ..engine.graph import Graph, Source
from ..ops.base import Shape


@dataclass(frozen=True)
class Row:
    """A layer: its name and kind, the shape of one sample of its output, parameters, multiply-accumulates."""

    name: str
    layer: str
    shape: Shape
    parameters: int
    macs: int


@dataclass(frozen=True)
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

    def as_dict(self) -> dict:
        """``{"layers": [...], "parameters": ..., "macs": ...}``."""
        return {"layers": [asdict(row) for row in self.rows], "parameters": self.parameters, "macs": self.macs}

    def __str__(self):
        head = ("layer", "kind", "output", "parameters", "multiply-adds")
        cells = [head, *(_cells(row) for row in self.rows)]
        cells.append(("total", "", "", f"{self.parameters:,}", f"{self.macs:,}"))
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        lines = [
            "  ".join(_align(cell, width, i) for i, (cell, width) in enumerate(zip(row, widths, strict=True)))
            for row in cells
        ]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def summarize(graph: Graph, data_format: str = "NCHW") -> Summary:
    """Return a table of the graph's layers, with shapes in the caller's data format."""
    shapes = graph.shapes(1)
    rows = []
    for position, node in enumerate(graph.nodes):
        shape = outside(shapes[position][1:], data_format)
        if isinstance(node.op, Source):
            rows.append(Row(node.name, "Input", shape, 0, 0))
            continue
        inputs = [shapes[i] for i in node.inputs]
        weights = node.op.param_shapes(*inputs)
        parameters = sum(prod(s) for s in weights.values())
        rows.append(Row(node.name, repr(node.op), shape, parameters, node.op.macs(*inputs)))
    return Summary(tuple(rows))


def _cells(row: Row) -> tuple[str, ...]:
    shape = " x ".join(map(str, row.shape))
    return row.name, row.layer, shape, f"{row.parameters:,}", f"{row.macs:,}"


def _align(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column > 2 else cell.ljust(width)
