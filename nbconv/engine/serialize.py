"""A graph, an optimiser, a loss as plain dicts for a model file, and back."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import FileFormatError, NbconvError
from ..ops import (
    activation,
    augment,
    conv,
    conv_transpose,
    dropout,
    linear,
    loss,
    merge,
    metric,
    norm,
    optimizer,
    pool,
    regularizer,
    reshape,
    resize,
    sequence,
)
from ..ops.base import Op
from ..ops.options import choice, integer
from .graph import INPUT_DTYPES, Graph, Node, Source

MODULES = (
    *(activation, augment, conv, conv_transpose, dropout, linear, loss, merge, metric, norm, optimizer, pool),
    *(regularizer, reshape, resize, sequence),
)
OPS: dict[str, type[Op]] = {
    name: value
    for module in MODULES
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, Op) and value.__module__ == module.__name__
}


def op_to_dict(op: Op) -> dict:
    """``op_to_dict(Conv2d(8, 3))`` is ``{"op": "Conv2d", "out_channels": 8, "kernel_size": (3, 3)}``."""
    return {"op": type(op).__name__, **op.options()}


def op_from_dict(description: Mapping) -> Op:
    """Make the op again; raises ``FileFormatError`` for an op or an option this version does not know."""
    options = dict(description)
    name = options.pop("op", None)
    if name not in OPS:
        raise FileFormatError(f"unknown op {name!r}; this version of nbconv has {', '.join(sorted(OPS))}")
    try:
        return OPS[name](**{key: tuple(v) if isinstance(v, list) else v for key, v in options.items()})
    except (TypeError, NbconvError) as error:
        raise FileFormatError(f"{name} cannot be made from {options}: {error}") from None


def graph_to_dict(graph: Graph) -> dict:
    """The nodes and outputs of a graph that no rewrite has touched."""
    nodes: list[dict] = []
    for node in graph.nodes:
        if isinstance(node.op, Source):
            nodes.append({"name": node.name, "input": node.op.shape, "dtype": node.op.dtype})
        else:
            nodes.append({"name": node.name, "layer": op_to_dict(node.op), "reads": node.inputs})
    return {"nodes": nodes, "outputs": graph.outputs}


def graph_from_dict(description: Mapping) -> Graph:
    """Make the graph again; raises ``FileFormatError`` where the description makes none."""
    try:
        nodes: list[Node] = []
        for entry in description["nodes"]:
            nodes.append(_node(entry, index=sum(node.layer_index is not None for node in nodes)))
        graph = Graph(tuple(nodes), tuple(int(i) for i in description["outputs"]))
        graph.check()
        return graph
    except FileFormatError:
        raise
    except (NbconvError, KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise FileFormatError(f"the description of the net makes no graph: {error!r}") from None


def _node(entry: Mapping, index: int) -> Node:
    if not isinstance(entry["name"], str):
        raise FileFormatError(f"a node is called {entry['name']!r}, which is no name")
    if "input" in entry:
        dtype = choice(entry.get("dtype", "float"), "dtype", INPUT_DTYPES)  # older files have none
        return Node(entry["name"], Source(tuple(integer(size, "input") for size in entry["input"]), dtype))
    return Node(entry["name"], op_from_dict(entry["layer"]), tuple(int(i) for i in entry["reads"]), index)
