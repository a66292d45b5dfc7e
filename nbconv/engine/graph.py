"""The net as pure data: nodes in an order in which they can be computed, and no arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

from ..errors import GraphError, NbconvError, OptionError, ShapeError
from ..ops.base import Layer, Op, Shape, Symbol, describe
from ..ops.options import choice, integer

DATA_FORMATS = ("NCHW", "NHWC")
INPUT_DTYPES = ("float", "uint8")


@dataclass(frozen=True)
class Source(Op):
    """Where values enter a graph: the shape of one sample, channels last, and what it holds.

    ``dtype`` is "float" for the model's, "uint8" for bytes, or "int64" for labels.
    """

    shape: Shape
    dtype: str = "float"

    inputs: ClassVar = ()


class Node(NamedTuple):
    """One step of a net: an op, which may be a source, and the positions of the nodes that it reads.

    ``layer_index`` counts the layers as they were written, and stays when a rewrite joins nodes; sources, losses and
    metrics have none. ``folded`` is the name and op of a batch norm whose arithmetic went into this node's weights.
    """

    name: str
    op: Op
    inputs: tuple[int, ...] = ()
    layer_index: int | None = None
    folded: tuple[str, Op] | None = None


@dataclass(frozen=True)
class Graph:
    """Nodes, each after all that it reads, and the positions of those that are the result."""

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    def __post_init__(self):
        for position, node in enumerate(self.nodes):
            if not all(0 <= i < position for i in node.inputs):
                raise GraphError(f"node {node.name!r} reads a later node: the graph has a circle")
        if not self.outputs or not all(0 <= i < len(self.nodes) for i in self.outputs):
            raise GraphError(f"the outputs {self.outputs} are not among the {len(self.nodes)} nodes")
        twice = [name for name, count in Counter(node.name for node in self.nodes).items() if count > 1]
        if twice:
            raise GraphError(f"several layers are called {twice[0]!r}; give each a name of its own")

    @cached_property
    def sources(self) -> tuple[int, ...]:
        """Positions of the nodes where values enter, in order."""
        return tuple(i for i, node in enumerate(self.nodes) if isinstance(node.op, Source))

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Positions of the nodes that compute, in order."""
        return tuple(i for i, node in enumerate(self.nodes) if not isinstance(node.op, Source))

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each node, the nodes that read it."""
        readers: list[list[int]] = [[] for _ in self.nodes]
        for position, node in enumerate(self.nodes):
            for i in node.inputs:
                readers[i].append(position)
        return tuple(map(tuple, readers))

    def shapes(self, batch: int) -> list[Shape]:
        """The full shape of every node's value for a batch of this size."""
        shapes: list[Shape] = []
        for node in self.nodes:
            if isinstance(node.op, Source):
                shapes.append((batch, *node.op.shape))
            else:
                shapes.append(node.op.out_shape(*(shapes[i] for i in node.inputs)))
        return shapes

    def dtypes(self) -> list[str]:
        """The dtype of every node's value; "float" stands for the model's."""
        dtypes: list[str] = []
        for node in self.nodes:
            if isinstance(node.op, Source):
                dtypes.append(node.op.dtype)
            else:
                dtypes.append(node.op.result_dtype(*(dtypes[i] for i in node.inputs)))
        return dtypes

    def check(self) -> None:
        """Raise ``ShapeError`` or ``GraphError`` where an op does not fit what it reads."""
        self.shapes(1)
        self.dtypes()

    def describe(self, position: int) -> str:
        """Name a layer in a message: ``layer 3 (MaxPool2d)``."""
        node = self.nodes[position]
        if isinstance(node.op, Source):
            return f"input {node.name!r}"
        return type(node.op).__name__ if node.layer_index is None else describe(node.layer_index, node.op)


def input_symbol(
    shape: Sequence[int], data_format: str = "NCHW", name: str | None = None, dtype: str = "float"
) -> Symbol:
    """Start a graph: a value that will be fed in.

    ``Input((3, 32, 32))`` stands for images (N, 3, 32, 32), ``Input((3, 100))`` for sequences (N, 3, 100),
    ``Input((20,))`` for feature vectors (N, 20). They are converted to the model's dtype; with ``dtype="uint8"`` they
    are bytes, and stay so up to a ``Normalize`` layer.
    """
    choice(data_format, "data_format", DATA_FORMATS)
    choice(dtype, "dtype", INPUT_DTYPES)
    try:
        sizes = tuple(integer(size, "input_shape") for size in shape)
    except TypeError:
        raise ShapeError(
            f"an input shape is a tuple of one sample's sizes, such as (1, 28, 28), got {shape!r}"
        ) from None
    if len(sizes) not in (1, 2, 3):
        first = data_format == "NCHW"
        examples = (
            "(channels, height, width), (channels, length)"
            if first
            else "(height, width, channels), (length, channels)"
        )
        raise ShapeError(f"an input shape is {examples} or (features,), without the batch, got {tuple(shape)}")
    if data_format == "NCHW":
        sizes = (*sizes[1:], sizes[0])
    return Symbol(None, (), sizes, name, dtype)


def trace(inputs: Sequence[Symbol], outputs: Sequence[Symbol]) -> Graph:
    """Collect the graph that leads from ``inputs`` to ``outputs``."""
    order: list[Symbol] = list(inputs)
    seen = {id(symbol) for symbol in inputs}
    for output in outputs:
        for symbol in output.upstream():
            if id(symbol) not in seen:
                seen.add(id(symbol))
                order.append(symbol)
    if len({id(output) for output in outputs}) < len(outputs):
        raise GraphError("a value is listed twice among the outputs; list each once")
    used = {id(i) for symbol in order for i in symbol.inputs} | {id(o) for o in outputs}
    unused = [i for i in inputs if id(i) not in used]
    strangers = [s for s in order[len(inputs) :] if s.op is None]
    if strangers or unused:
        kind, symbol = ("is not among the model's inputs", strangers[0]) if strangers else ("is not used", unused[0])
        raise GraphError(
            f"an Input of shape {symbol.shape} (channels last) {kind}; list exactly the inputs that are read"
        )
    return Graph(*_number(order, outputs))


def _number(order: list[Symbol], outputs: Sequence[Symbol]):
    position = {id(symbol): i for i, symbol in enumerate(order)}
    sources = sum(symbol.op is None for symbol in order)
    nodes: list[Node] = []
    for i, symbol in enumerate(order):
        reads = tuple(position[id(s)] for s in symbol.inputs)
        if symbol.op is None:
            default = "input" if sources == 1 else f"input{i}"
            nodes.append(Node(symbol.name or default, Source(symbol.shape, symbol.dtype)))
        else:
            nodes.append(Node(symbol.op.name or str(i - sources), symbol.op, reads, i - sources))
    return tuple(nodes), tuple(position[id(symbol)] for symbol in outputs)


def chain(source: Symbol, layers: Sequence) -> Symbol:
    """Feed a value through layers one after another; an error names the layer and its index."""
    value = source
    for index, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            hint = f"; write {layer.__name__}(...)" if isinstance(layer, type) else ""
            raise GraphError(f"layer {index} is {layer!r}, which is no layer{hint}")
        value = layer(value)
    return value


def append(graph: Graph, ops: Sequence[Op], target: int) -> Graph:
    """Add ops that compare the value at ``target`` with labels or targets: a loss, metrics. They are further outputs.

    All read the same second input as the first, one integer per row or one number per element.
    """
    output = graph.shapes(1)[target][1:]
    wanted = ops[0].inputs[1]
    for op in ops:
        if op.inputs[1] != wanted:
            raise OptionError(_no_common_input(ops[0], op))
    given = Source(output[:-1], "int64") if wanted in ops[0].integer_inputs else Source(output)
    nodes = [*graph.nodes, Node(f":{wanted}", given)]  # no layer can have such a name
    position = len(graph.nodes)
    nodes += [Node(f":{i}", op, (target, position)) for i, op in enumerate(ops)]
    added = Graph(tuple(nodes), (*graph.outputs, *range(position + 1, len(nodes))))
    try:
        added.check()
    except NbconvError as error:
        raise type(error)(f"the loss does not fit the output of {graph.describe(target)}: {error}") from None
    return added


def _no_common_input(loss: Op, metric: Op) -> str:
    kinds = {"labels": "one integer label per row", "target": "one number per element"}
    needs, given = (kinds[op.inputs[1]] for op in (metric, loss))
    return (
        f"the metric {type(metric).__name__} compares with {needs}, the loss {type(loss).__name__} with {given}; "
        f'"accuracy" goes with labels, "binary_accuracy" with targets of 0 and 1, metrics=None with every loss'
    )
