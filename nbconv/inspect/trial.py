"""One batch in a net of its own: a copy of a model, or a single op, with all that its gradients need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod, sqrt
from typing import Any, Protocol

import numpy as np

from ..data.checks import as_array, check_labels, check_samples
from ..data.feed import Feed
from ..data.layout import inside, outside
from ..engine.graph import Graph, Node, Source, append, input_symbol, trace
from ..engine.parameters import Parameters
from ..engine.plan import Plan
from ..engine.registry import Device, open_device
from ..engine.rewrites import for_training
from ..errors import GraphError, OptionError, ShapeError
from ..ops.base import Layer, Op, Shape


class Net(Protocol):
    """What a trial needs of a model."""

    graph: Graph
    device: Device
    dtype: str
    data_format: str
    seed: int
    rewrite: bool
    threads: int | None

    @property
    def loss(self) -> Op | None: ...

    def state_dict(self) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True)
class Subject:
    """What is tried: a graph, the values of its parameters, and how it runs."""

    graph: Graph
    arrays: Mapping[str, np.ndarray] | None = None
    """Of all parameters and statistics; random ones if there are none."""
    loss: Op | None = None
    data_format: str = "NCHW"
    device: Device = field(default_factory=lambda: open_device("cpu"))
    dtype: str = "float64"
    rewrite: bool = True
    threads: int | None = None
    seed: int = 0


def subject_of(thing: Net | Op, x: Any, data_format: str | None = None) -> Subject:
    """Return what is tried, from a model, a layer or a loss, for inputs like ``x``.

    Raises ``OptionError`` for anything else.
    """
    if isinstance(thing, Op):
        return _op_alone(thing, x, data_format or "NCHW")
    if isinstance(thing, type) and issubclass(thing, Op):
        raise OptionError(f"{thing.__name__} is a class; write it with parentheses: {thing.__name__}(...)")
    if not isinstance(getattr(thing, "graph", None), Graph):
        raise OptionError(f"needs a model, a layer or a loss, such as nbconv.Conv2d(8, 3), got {thing!r:.80}")
    if data_format not in (None, thing.data_format):
        raise OptionError(f"the model takes {thing.data_format}, which data_format={data_format!r} cannot change")
    return Subject(
        thing.graph,
        thing.state_dict(),
        thing.loss,
        thing.data_format,
        thing.device,
        thing.dtype,
        thing.rewrite,
        thing.threads,
        thing.seed,
    )


def _op_alone(op: Op, x: Any, data_format: str) -> Subject:
    if not op.differentiable:
        raise OptionError(f"{type(op).__name__} has no gradient; try a layer, a loss or a model")
    several = isinstance(x, (tuple, list)) and len(x) > 0 and all(isinstance(part, np.ndarray) for part in x)
    arrays = [as_array(part, "x") for part in (x if several else (x,))]
    dtypes = ["uint8" if op.takes_bytes and array.dtype == np.uint8 else "float" for array in arrays]
    symbols = [
        input_symbol(array.shape[1:], data_format, dtype=dtype) for array, dtype in zip(arrays, dtypes, strict=True)
    ]
    if isinstance(op, Layer):
        return Subject(trace(symbols, [op(*symbols)]), data_format=data_format)
    source = Node("input", Source(symbols[0].shape))
    return Subject(Graph((source,), (0,)), loss=op, data_format=data_format)


@dataclass(frozen=True)
class Operand:
    """An array that gradients flow into, and its gradient, on the device; with its name and shape for a person."""

    name: str
    shape: Shape
    array: Any
    gradient: Any
    axes: tuple[int, ...]
    """From the axes on the device to those of ``shape``."""

    def index(self, flat: int) -> tuple[int, ...]:
        """The person's index of an element, given its place in memory."""
        inside = np.unravel_index(flat, self.array.shape)
        return tuple(int(inside[axis]) for axis in self.axes)


class Trial:
    """A batch in a plan of a training step, with parameters of its own.

    ``Trial(subject_of(model, x), x, y)``: with ``y`` the result is the loss, without it the outputs. ``dy`` are the
    gradients that come back to the results, random numbers of the seed or 1 for a loss. Dropout has the mask of step 1.
    """

    def __init__(
        self,
        subject: Subject,
        x: Any,
        y: Any = None,
        *,
        loss: Op | None = None,
        device: str | Device | None = None,
        dtype: str = "float64",
        seed: int = 0,
    ):
        graph, loss = subject.graph, loss or subject.loss
        self.data_format, self.dtype = subject.data_format, dtype
        self.device = subject.device if device is None else open_device(device)
        self.memory = self.device.memory
        rng = np.random.default_rng(seed)
        self.parameters = Parameters(graph, self.device, dtype)
        self.parameters.load(_random_arrays(graph, self.parameters, rng) if subject.arrays is None else subject.arrays)
        samples = self._samples(graph, x)
        graph = _with_loss(graph, loss, y)
        graph = for_training(graph, rewrite=subject.rewrite)
        self.plan = Plan(
            graph,
            self.parameters,
            len(samples[0]),
            training=True,
            targets=graph.outputs,
            input_gradients=True,
            seed=subject.seed,
            threads=subject.threads,
        )
        self.plan.set_step(1)
        labels = [] if y is None else [self._labels(y, loss)]
        for source, array in zip(self.plan.sources, [*samples, *labels], strict=True):
            self.memory.write(source, array)
        rng = np.random.default_rng((seed, 1))  # the same whether parameters were drawn or given
        self.dy = [rng.standard_normal(np.shape(out)) if y is None else np.ones(1) for out in self.plan.outputs]
        self.seed_gradients()

    def seed_gradients(self) -> None:
        """Hand ``dy`` to the plan."""
        for position, dy in zip(self.plan.graph.outputs, self.dy, strict=True):
            if position in self.plan.seeds:  # bytes have no gradient
                self.memory.write(self.plan.seeds[position], dy)

    def results(self) -> list[np.ndarray]:
        """Run forward and return the results, channels last."""
        self.plan.forward()
        return [self.memory.get(output) for output in self.plan.outputs]

    def gradients(self) -> list[np.ndarray]:
        """Copies of what ``backward`` has written, in the order of ``operands``."""
        return [self.memory.get(operand.gradient) for operand in self.operands()]

    def operands(self) -> list[Operand]:
        """The inputs and parameters, in the layouts that a person knows."""
        sources = dict(
            zip((self.plan.graph.nodes[i].name for i in self.plan.graph.sources), self.plan.sources, strict=True)
        )
        found = []
        for name, gradient in self.plan.source_gradients().items():
            sample = range(1, gradient.ndim)
            axes = (0, *outside(tuple(sample), self.data_format))
            found.append(Operand(name, _permuted(gradient.shape, axes), sources[name], gradient, axes))
        for key in self.parameters.names:
            if key in self.parameters.grads.views:
                array, gradient = self.parameters.view(key), self.parameters.grads.views[key]
                axes = self.parameters.axes.get(key, tuple(range(gradient.ndim)))
                found.append(Operand(".".join(key), _permuted(gradient.shape, axes), array, gradient, axes))
        return found

    def _samples(self, graph: Graph, x: Any) -> tuple[np.ndarray, ...]:
        shapes = graph.shapes(1)
        names = [graph.nodes[i].name for i in graph.sources]
        wanted = [outside(shapes[i][1:], self.data_format) for i in graph.sources]
        dtypes = graph.dtypes()
        own = [dtypes[i] for i in graph.sources]
        return Feed(names, wanted, shapes[graph.outputs[0]][1:], self.dtype, self.data_format, own).samples(x)

    def _labels(self, y: Any, loss: Op | None) -> np.ndarray:
        """``y`` as the loss reads it: integers per row, or numbers like the output."""
        target = self.plan.sources[-1]
        if np.dtype(target.dtype).kind == "f":
            wanted = outside(tuple(target.shape[1:]), self.data_format)
            checked = check_samples(y, wanted, name="y", data_format=self.data_format)
            _check_shape((len(checked), *target.shape[1:]), target.shape, loss)
            return inside(checked, self.dtype, self.data_format)
        labels = as_array(y, "y")
        _check_shape(labels.shape, target.shape, loss)
        (position, _) = self.plan.graph.nodes[self.plan.graph.outputs[0]].inputs
        classes = self.plan.graph.shapes(1)[position][-1]
        return check_labels(labels.reshape(-1), classes, labels.size).reshape(labels.shape)


def _check_shape(got: Shape, wanted: Shape, loss: Op | None) -> None:
    if got != tuple(wanted):
        raise ShapeError(f"y must have shape {tuple(wanted)} for {loss!r}, got {got}")


def _with_loss(graph: Graph, loss: Op | None, y: Any) -> Graph:
    """The graph whose only result is the loss, where there are labels."""
    if y is None:
        if not graph.steps:
            raise OptionError(f"{type(loss).__name__} compares x with labels: pass y")
        return graph
    if loss is None:
        raise OptionError("y needs a loss: compile the model, or pass loss=nbconv.CrossEntropy()")
    if len(graph.outputs) != 1:
        raise GraphError("a loss needs a net with one output; leave y out")
    added = append(graph, (loss,), graph.outputs[0])
    return Graph(added.nodes, added.outputs[-1:])


def _random_arrays(graph: Graph, parameters: Parameters, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Parameters that hide nothing: no zeros and ones; running variances are positive."""
    arrays = {}
    for key in parameters.names:
        shape = parameters.shape(key)
        if key in parameters.params.views:
            arrays[".".join(key)] = rng.standard_normal(shape) / sqrt(prod(shape[1:]))
        else:
            arrays[".".join(key)] = rng.uniform(0.5, 1.5, shape)
    return arrays


def _permuted(shape: Shape, axes: tuple[int, ...]) -> Shape:
    return tuple(shape[axis] for axis in axes)
