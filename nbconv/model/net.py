"""A graph with its parameters on a device, as it runs: ``predict``, and ``forward`` and ``backward`` of one batch."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import RLock
from typing import Any, TypeVar

import numpy as np

from ..data.batches import Batches
from ..data.checks import as_array
from ..data.feed import Feed, several
from ..data.layout import channels_last, from_channels_last, outside
from ..engine.ending import ending
from ..engine.graph import DATA_FORMATS, Graph, trace
from ..engine.parameters import Parameters
from ..engine.plan import Plan
from ..engine.plans import Plans
from ..engine.registry import Device, open_device
from ..engine.resident import Resident, to_channels_first
from ..errors import GraphError, ShapeError
from ..inspect.summary import Summary, summarize
from ..ops.activation import Sigmoid, Softmax
from ..ops.base import Op, Shape, Symbol
from ..ops.options import LARGEST_SEED, choice, flag, integer
from ..tensor import Tensor, resident
from ..train.initializers import initial_values

DTYPES = ("float32", "float64")
T = TypeVar("T")


class Net:
    """What ``Model`` is without training; its options are described there."""

    def __init__(
        self,
        inputs: Symbol | Sequence[Symbol],
        outputs: Symbol | Sequence[Symbol],
        *,
        device: str | Device = "auto",
        dtype: str = "float32",
        seed: int = 0,
        data_format: str = "NCHW",
        rewrite: bool = True,
        threads: int | None = None,
    ):
        graph = trace(_symbols(inputs, "inputs"), _symbols(outputs, "outputs"))
        self._build(graph, device, dtype, seed, data_format, rewrite, threads)
        self._initialize()

    def _build(self, graph: Graph, device, dtype, seed, data_format, rewrite, threads) -> None:
        if not graph.steps:
            raise GraphError("a model needs at least one layer")
        self.graph = graph
        self.device = open_device(device)
        self.dtype = choice(np.dtype(dtype).name if dtype in (np.float32, np.float64) else dtype, "dtype", DTYPES)
        self.data_format = choice(data_format, "data_format", DATA_FORMATS)
        self.seed = integer(seed, "seed", least=0, most=LARGEST_SEED)
        self.rewrite = flag(rewrite, "rewrite")
        self.threads = None if threads is None else integer(threads, "threads")
        self.device.check_threads(self.threads)
        self.parameters = Parameters(graph, self.device, self.dtype)
        self.step = 0
        self._plans = Plans(graph, self.parameters, rewrite=self.rewrite, seed=self.seed, threads=self.threads)
        names = [graph.nodes[i].name for i in graph.sources]
        output = graph.shapes(1)[graph.outputs[0]][1:]
        self._feed = Feed(names, self.input_shapes, output, self.dtype, self.data_format, self.input_dtypes, self._hold)
        self._version = 0
        self._pending: tuple[Plan, int] | None = None
        self._lock = RLock()

    def _initialize(self) -> None:
        """Draw weights by each layer's ``init``; biases are 0, scales and running variances 1."""
        shapes = self.graph.shapes(1)
        for position in self.graph.steps:
            node = self.graph.nodes[position]
            rng = np.random.default_rng((self.seed, position))
            for name, value in initial_values(node.op, [shapes[i] for i in node.inputs], rng).items():
                self.device.memory.write(self.parameters.view((node.name, name)), value.astype(self.dtype))

    @property
    def input_shapes(self) -> list[Shape]:
        """The shape of one sample of each input, in the model's data format."""
        shapes = self.graph.shapes(1)
        return [outside(shapes[i][1:], self.data_format) for i in self.graph.sources]

    @property
    def input_dtypes(self) -> list[str]:
        """What each input holds: "uint8", or "float" for any numbers, which are converted to the model's dtype."""
        dtypes = self.graph.dtypes()
        return [dtypes[i] for i in self.graph.sources]

    # running

    def predict(self, x, batch_size: int = 256, check_finite: bool = True):
        """Return the model's output for any number of samples: (N, 10) logits, say; a tuple for several outputs.

        For samples that lie on the model's device, it is a ``Tensor`` there.
        """
        samples = self._feed.samples(x, check_finite)
        batches = Batches(len(samples[0]), batch_size, shuffle=False)
        with self._lock:
            if _lie_on_device(samples):
                return self._predict_there(samples, batches)
            parts = [fetched.arrays() for fetched in ahead(self._predictions(samples, batches))]
        return self._outputs([np.concatenate(part) for part in zip(*parts, strict=True)])

    def _predict_there(self, samples, batches: Batches):
        """The same, of samples that lie on the device: nothing comes to the host."""
        memory = self.device.memory
        results: list[Any] = []
        for index in batches.epoch(0):
            outputs = self._inference("predict", samples, index).outputs
            if not results:
                results = [memory.empty((batches.count, *o.shape[1:]), self.dtype) for o in outputs]
            for result, output in zip(results, outputs, strict=True):
                memory.copy(result[index], output)
        return self._tensors(results)

    def _predictions(self, samples, batches: Batches) -> Iterator[Any]:
        """Launch batch after batch, and hand over the outputs that are on their way to the host."""
        for index in batches.epoch(0):
            yield self.device.memory.fetch(self._inference("predict", samples, index).outputs)

    def classify(self, x, batch_size: int = 256, check_finite: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Return the most likely class of each sample and its probability: two (N,).

        The output (N, C) are logits, of which this is the softmax, or probabilities, if the model ends in a
        ``Softmax``. Raises ``GraphError`` for a model with several outputs or that ends in a ``Sigmoid``, and
        ``ShapeError`` for another output than one row of two or more per sample: ``predict`` has what is meant there.
        """
        last = self._check_classes()
        logits = np.asarray(self.predict(x, batch_size, check_finite), np.float64)
        odds = logits if isinstance(last, Softmax) else np.exp(logits - logits.max(axis=1, keepdims=True))
        labels = logits.argmax(axis=1)
        return labels, odds[np.arange(len(labels)), labels] / odds.sum(axis=1)

    def _check_classes(self) -> Op:
        """Return the layer that makes the scores of classes, or raise ``GraphError`` or ``ShapeError`` without them."""
        if len(self.graph.outputs) != 1:
            raise GraphError("classify needs a model with one output")
        position = ending(self.graph)
        last = self.graph.nodes[position].op
        if isinstance(last, Sigmoid):
            raise GraphError(
                f"classify needs one choice among classes, but the model ends in {self.graph.describe(position)}: each "
                f"output is a probability of its own; use model.predict(x), and model.predict(x) > 0.5"
            )
        shape = outside(self.graph.shapes(1)[self.graph.outputs[0]][1:], self.data_format)
        if shape == (1,):
            raise ShapeError(
                "classify needs two or more classes, but the output is one logit per sample; "
                "z = model.predict(x)[:, 0] is that of class 1: use z > 0, and 1 / (1 + np.exp(-z)) for its probability"
            )
        if len(shape) != 1:
            raise ShapeError(f"classify needs one row of logits per sample, but the output of one has shape {shape}")
        return last

    def forward(self, x, training: bool = False, input_gradients: bool = False, check_finite: bool = True):
        """Return the output for one batch; with ``training=True``, ``backward`` may follow.

        ``training`` uses batch statistics and dropout. ``input_gradients`` has ``backward`` return those of the inputs
        too, under their names (``"input"``).
        """
        samples = self._feed.samples(x, check_finite)
        with self._lock:
            if training:
                plan = self._plans.get("backward", len(samples[0]), input_gradients=input_gradients)
                self._stage(plan, samples, slice(0, len(samples[0])))
                self._begin_training_forward(plan)
                plan.forward()
            else:
                plan = self._inference("predict", samples, slice(0, len(samples[0])))
            self._pending = (plan, self._version) if training else None
            if _lie_on_device(samples):
                return self._tensors([self._copied(output) for output in plan.outputs])
            return self._outputs([self.device.memory.get(output) for output in plan.outputs])

    def backward(self, dy) -> dict[str, np.ndarray]:
        """Return the gradient of every parameter, given that of the output of the last ``forward(x, training=True)``.

        ``dy`` has the output's shape; for several outputs it is a tuple. Gradients have PyTorch's layouts.
        """
        with self._lock:
            plan, version = self._pending or (None, None)
            if plan is None or version != self._version:
                moved = "; the parameters have changed since the last one" if plan else ""
                raise GraphError(f"backward needs what forward keeps: call forward(x, training=True) first{moved}")
            given = several(dy, len(self.graph.outputs), "dy")
            for position, array in zip(plan.graph.outputs, given, strict=True):
                shape = plan.value(position).shape
                wanted = (shape[0], *outside(shape[1:], self.data_format))
                held = self._hold(array, "dy", self.data_format == "NCHW")
                host = as_array(array, "dy") if held is None else None
                got: Any = held if host is None else host
                if got.dtype.kind not in "fiu" or got.shape != wanted:
                    raise ShapeError(
                        f"dy must be numbers of the output's shape {wanted}, got {got.dtype} of shape {got.shape}"
                    )
                if position not in plan.seeds:
                    continue
                if host is None:
                    got.take(plan.seeds[position], slice(0, len(got)))
                else:
                    self.device.memory.write(plan.seeds[position], channels_last(host, self.data_format))
            plan.backward()
            self._pending = None
            gradients = self.parameters.gradients()
            for source, wanted_gradient in plan.source_gradients().items():
                host = self.device.memory.get(wanted_gradient)
                gradients[source] = np.ascontiguousarray(from_channels_last(host, self.data_format))
            return gradients

    # looking at it

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of all parameters and running statistics, in PyTorch's names, shapes and order."""
        with self._lock:
            return dict(self.parameters.items())

    def load_state_dict(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Set all parameters and running statistics; nothing is changed unless everything fits."""
        with self._lock:
            self.parameters.load(arrays)
            self._changed()

    def summary(self, print: bool = True) -> Summary:
        """Print what each layer makes, holds, costs and sees, and return it as a ``nbconv.inspect.Summary``.

        The table has output shapes, parameters, multiply-accumulates, bytes of activations, and the receptive field
        with its jump and first centre. ``model.summary(print=False).as_dict()`` is the same as plain data.
        """
        summary = summarize(self.graph, self.data_format, self.dtype)
        if flag(print, "print"):
            sys.stdout.write(f"{summary}\n")
        return summary

    # within

    def _inference(self, use: str, arrays, index: np.ndarray | slice) -> Plan:
        plan = self._plans.get(use, count(index))
        plan.refresh(self._version)
        self._stage(plan, arrays, index)
        plan.forward()
        return plan

    def _begin_training_forward(self, plan: Plan) -> None:
        self.step += 1
        plan.set_step(self.step)
        self._changed()

    def _changed(self) -> None:
        """Parameters or running statistics are about to change: what was computed from them is out of date."""
        self._version += 1

    def _stage(self, plan: Plan, arrays: Sequence[Any], index) -> None:
        if Resident not in map(type, arrays):
            plan.stage(arrays, index)
            return
        for source, array in zip(plan.sources, arrays, strict=True):
            if isinstance(array, Resident):
                array.take(source, index)
            else:
                self.device.memory.take(source, array, index)

    def _hold(self, values: Any, name: str, channels_first: bool) -> Resident | None:
        """Samples that lie on this device, as plans read them."""
        return resident(values, self.device, name, channels_first=channels_first)

    def _copied(self, array: Any) -> Any:
        copy = self.device.memory.empty(array.shape, array.dtype)
        self.device.memory.copy(copy, array)
        return copy

    def _tensors(self, arrays: list):
        """Arrays of the device as the caller gets them, there."""
        if self.data_format == "NCHW":
            arrays = [to_channels_first(a, self.device) if a.ndim in (3, 4) else a for a in arrays]
        ready = [Tensor.of(array, self.device) for array in arrays]
        return ready[0] if len(ready) == 1 else tuple(ready)

    def _outputs(self, arrays: list[np.ndarray]):
        ready = [np.ascontiguousarray(from_channels_last(array, self.data_format)) for array in arrays]
        return ready[0] if len(ready) == 1 else tuple(ready)

    def __repr__(self):
        layers = ", ".join(repr(self.graph.nodes[i].op) for i in self.graph.steps)
        return f"{type(self).__name__}({layers}, device={str(self.device)!r}, dtype={self.dtype!r})"


def _lie_on_device(samples: Sequence[Any]) -> bool:
    return any(isinstance(array, Resident) for array in samples)


def ahead(items: Iterable[T]) -> Iterator[T]:
    """Hand over each item when the next one was made: the device works at that while the host looks at this."""
    items = iter(items)
    for item in items:
        for following in items:
            yield item
            item = following
        yield item


def count(index: np.ndarray | slice) -> int:
    return index.stop - index.start if isinstance(index, slice) else len(index)


def _symbols(values, name: str) -> list[Symbol]:
    listed = list(values) if isinstance(values, (tuple, list)) else [values]
    for value in listed:
        if not isinstance(value, Symbol):
            raise GraphError(f"{name} must be what Input or a layer's call returned, got {value!r}")
    if not listed:
        raise GraphError(f"{name} is empty")
    return listed
