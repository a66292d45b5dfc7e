"""How much of the image each value of a net sees."""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

from ..engine.graph import Graph, Node, Source
from ..ops.base import Shape
from ..ops.receptive import Window, see


class Field(NamedTuple):
    """The windows of a node on an input of the net, for each of its axes: none if that holds feature vectors."""

    source: int
    """The position of that input; of the first one, for a node that sees several."""
    windows: tuple[Window, ...]


def receptive_fields(graph: Graph) -> list[Field]:
    """Return what each node of a graph sees of the image, in the graph's order."""
    shapes = graph.shapes(1)
    fields: list[Field] = []
    for position, node in enumerate(graph.nodes):
        if isinstance(node.op, Source):
            fields.append(Field(position, (Window(),) * len(_axes(shapes[position]))))
        else:
            fields.append(_seen_through(node, fields, shapes, _axes(shapes[position])))
    return fields


def _seen_through(node: Node, fields: list[Field], shapes: list[Shape], made: Shape) -> Field:
    """What a node sees through those it reads."""
    source = min(fields[i].source for i in node.inputs)
    size = _axes(shapes[source])
    windows = node.op.windows(*(shapes[i] for i in node.inputs))
    branches = [
        see(fields[i].windows, windows, _axes(shapes[i]), size) for i in node.inputs if fields[i].source == source
    ]
    counts = made or (1,) * len(size)
    return Field(source, reduce(lambda a, b: _beside(a, b, counts), branches))


def _beside(some: tuple[Window, ...], others: tuple[Window, ...], counts: Shape) -> tuple[Window, ...]:
    return tuple(a.beside(b, n) for a, b, n in zip(some, others, counts, strict=True))


def _axes(shape: Shape) -> Shape:
    """The sizes of an image (N, H, W, C), without batch and channels."""
    return shape[1:-1]
