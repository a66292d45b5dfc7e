"""A graph on a device for one batch size: every buffer laid out, one bound kernel per step, and nothing left to decide.

Running a plan is calling a list of zero-argument functions. Nothing is allocated then, and nothing is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import NamedTuple
from zlib import crc32

import numpy as np

from ..errors import DeviceError, NbconvError
from ..ops.base import Op, Shape
from ..ops.merge import Add
from .bind import bind_backward, bind_forward, bind_prepare
from .graph import Graph
from .guard import Guard
from .parameters import Arena, Parameters
from .penalty import Penalty
from .registry import Device
from .rewrites import folded_parameters
from .schedule import Accumulate, Backward, Forward, schedule
from .scores import Scores
from .storage import Arrangement, Storage
from .update import Update


class MemoryReport(NamedTuple):
    """Bytes that a plan takes."""

    arena: int
    """Values, gradients of values, saved and working arrays, laid out by lifetime."""
    without_reuse: int
    """The same if each had memory of its own."""
    parameters: int
    """Parameters, their gradients and the running statistics; all plans of a model share them."""

    def __str__(self):
        saved = 1 - self.arena / self.without_reuse if self.without_reuse else 0
        return (
            f"arena {self.arena:,} bytes ({self.without_reuse:,} without reuse, {saved:.0%} saved), "
            f"parameters, gradients and state {self.parameters:,} bytes"
        )


class Observed(NamedTuple):
    """A step that has just run: copies on the host of what it read and of what it wrote, by the names of operands."""

    node: int
    op: Op
    direction: str
    """"forward", "backward", or "sum" for parts of a gradient that are added."""
    shapes: tuple[Shape, ...]
    """Of the op's inputs."""
    read: dict[str, np.ndarray]
    written: dict[str, np.ndarray]
    """Of forward: "out", what is saved for backward, and state; of backward: gradients by operand."""


def arena_bytes(
    graph: Graph,
    device: Device,
    dtype: str,
    batch: int,
    *,
    training: bool,
    targets: tuple[int, ...] = (),
    input_gradients: bool = False,
) -> int:
    """Return the bytes of a plan's arena, without making it; the arguments are those of ``Plan``."""
    steps = schedule(graph, targets, input_gradients=input_gradients)
    return Arrangement(graph, steps, batch, device, dtype, keep_prepared=not training).nbytes


class Plan:
    """The calls that compute a graph for one batch size, and the memory they need.

    Parameters
    ----------
    graph : Graph
        As rewritten for training or for inference.
    parameters : Parameters
        The arrays of the net; they fix the device and the dtype.
    batch : int
        Number of samples.
    training : bool
        Whether weights change from step to step. If not, what depends on them alone is computed in ``refresh``.
    targets : tuple of int
        The values from which gradients flow back; their gradients are written to ``seeds`` by the caller.
    input_gradients : bool
        Whether the gradients of the inputs are computed too.
    seed : int
        Key of the random numbers (dropout).
    threads : int, optional
        How many threads run the kernels; as many as the device likes by default.
    penalty : Penalty, optional
        What the weights add to the loss: computed in ``refresh``, or in training at the end of ``backward``.
    scores : Scores, optional
        Where the last outputs lie, if these are a loss and metrics.
    update : Update, optional
        What ``step`` does after backward: the optimiser.
    guard : Guard, optional
        What ``step`` calls before all else and after the update. Needs ``scores``.
    """

    def __init__(
        self,
        graph: Graph,
        parameters: Parameters,
        batch: int,
        *,
        training: bool,
        targets: tuple[int, ...] = (),
        input_gradients: bool = False,
        seed: int = 0,
        threads: int | None = None,
        penalty: Penalty | None = None,
        scores: Scores | None = None,
        update: Update | None = None,
        guard: Guard | None = None,
    ):
        self.graph, self.parameters, self.batch, self.training = graph, parameters, batch, training
        self.device = parameters.device
        self._update = update
        self.version: int | None = None
        """Which version of the parameters ``refresh`` has seen last; the caller counts."""
        self._memory = self.device.memory
        self._shapes = graph.shapes(batch)
        self._check_batch()
        self._schedule = schedule(graph, targets, input_gradients=input_gradients)
        watched = scores.watched if scores else []
        given = {("value", i): array for i, array in zip(reversed(graph.outputs), reversed(watched), strict=False)}
        self._arrays = self._allocate(given)
        self._folded = self._allocate_folded()
        self._penalty = penalty
        self._prepare_calls: list = [penalty.measure] if penalty and not training else []
        self._rng = self._memory.empty((len(graph.nodes), 3), "int64")
        self._is_random = any(node.op.context for node in graph.nodes)
        self._drawn_for: int | None = 0  # the step in _rng, if it is known
        self._host_rng = np.zeros(self._rng.shape, np.int64)
        self._host_rng[:, 0] = seed
        self._host_rng[:, 2] = [crc32(node.name.encode()) for node in graph.nodes]
        self._memory.write(self._rng, self._host_rng)
        self.sources = [self.value(position) for position in graph.sources]
        """The arrays that the caller writes before a run, in the order of ``graph.sources``."""
        self.stage = self._memory.intake(self.sources)
        """What writes them: ``plan.stage(arrays, rows)`` copies ``array[rows]`` of a NumPy array into each."""
        self.outputs = [self.value(position) for position in graph.outputs]
        """The arrays that the caller reads after one, in the order of ``graph.outputs``."""
        forward = [call for step in self._schedule.forward for call in self._bind_forward(step)]
        backward = [self._bind_backward(step) for step in self._schedule.backward]
        backward += [penalty.add_gradient] if penalty and training else []
        sequence = self._memory.sequence
        self.forward = sequence(forward, threads)
        self.backward = sequence(backward, threads)
        step = [*forward, *backward, *([update.call] if update else [])]
        if guard and scores:
            step = [*guard.before, *step, *guard.after(scores, self._rng if self._is_random else None)]
        self.step = sequence(step, threads)
        self._prepare = sequence(self._prepare_calls, threads)
        self._every = [sequence([call], threads) for call in (*self._prepare_calls, *step)]

    # what the caller reads and writes

    def value(self, position: int):
        """The array that holds a node's value, on the device; sources are written there, outputs read."""
        return self._arrays["value", position]

    @property
    def seeds(self) -> dict:
        """For each target, the array that its gradient is written to before ``backward``."""
        return {target: self._arrays.gradient(key) for target, key in self._schedule.seeds.items()}

    def source_gradients(self) -> dict:
        """The arrays that hold the gradients of the sources after ``backward``, by name."""
        nodes = ((i, self.graph.nodes[i].name) for i in self.graph.sources)
        return {name: self._arrays["gradient", i] for i, name in nodes if ("gradient", i) in self._arrays}

    def kept(self) -> list:
        """The arrays that ``backward`` reads after ``forward``, step by step, parameters among them."""
        steps = [step.node for step in self._schedule.backward if isinstance(step, Backward)]
        named = [(self.graph.nodes[i].op.reads_in_backward(), self._operands(i)) for i in steps]
        return [arrays[name] for names, arrays in named for name in names if arrays.get(name) is not None]

    def set_step(self, step: int) -> None:
        """Set the step that random numbers are a function of."""
        if self._drawn_for != step and self._is_random:
            self._host_rng[:, 1] = step
            self._memory.write(self._rng, self._host_rng)
        self._drawn_for = step

    def train(self, step: int) -> int:
        """Make the training step of this number, with update and guard; return how many updates there were.

        A step that the device refuses, ``DeviceError``, does not count.
        """
        update = self._update
        assert update is not None, "a plan that trains has an update"
        self.set_step(step)
        update.begin()
        self._drawn_for = None  # while nobody knows whether the device has counted
        try:
            self.step()
        except DeviceError:
            update.count -= 1
            raise
        self._drawn_for = step + 1
        update.end()
        return update.count

    def run_again(self) -> None:
        """Run the calls of a training step alone, to time them: what they count counts for nobody."""
        self._drawn_for = None
        if self._update:
            self._update.forget()
        self.step()

    def refresh(self, version: int) -> None:
        """Compute what depends on the parameters alone, unless that was done for this version of them."""
        if version == self.version:
            return
        for node, arrays in self._folded.items():
            self._fold(self.graph.nodes[node], arrays)
        self._prepare()
        self.version = version

    def rehearse(self) -> None:
        """Run every call once with zeros in all arrays but parameters, which the optimiser may change."""
        for call in self._every:
            self._arrays.clear()
            call()

    def memory_report(self) -> MemoryReport:
        """Say how many bytes the plan takes, against the sum without reuse."""
        parameters = self.parameters
        flats = (parameters.params.flat, parameters.grads.flat, parameters.state.flat)
        return MemoryReport(self._arrays.nbytes, self._arrays.without_reuse, sum(flat.nbytes for flat in flats))

    def first_nonfinite(self) -> str | None:
        """Run step by step on the values staged now, and say where something is first not finite; ``None`` if nowhere.

        Running statistics are put back afterwards.
        """
        state = self._memory.get(self.parameters.state.flat)
        try:
            for seen in self.observe():
                where = self.graph.describe(seen.node)
                if seen.direction == "forward" and not np.isfinite(seen.written["out"]).all():
                    return f"the output of {where}"
                if seen.direction == "backward" and not all(np.isfinite(g).all() for g in seen.written.values()):
                    return f"the gradient of {where}"
            if self._penalty:
                self._memory.sequence([self._penalty.add_gradient])()
                if not (
                    isfinite(self._penalty.value) and np.isfinite(self._memory.get(self.parameters.grads.flat)).all()
                ):
                    return "the L2 penalty of the weights"
        finally:
            self._memory.write(self.parameters.state.flat, state)
        return None

    def observe(self) -> Iterator[Observed]:
        """Run a training step (up to the update) on the values staged now, step by step, and show each.

        The arrays that are shown are copies; running statistics move as in ``forward``.
        """
        for forward in self._schedule.forward:
            op = self.graph.nodes[forward.node].op
            arrays = self._operands(forward.node)
            results = ("out", *op.saved)
            read = self._hosts({name: array for name, array in arrays.items() if name not in results})
            self._memory.sequence(self._bind_forward(forward))()
            written = {name: arrays[name] for name in (*results, *op.state) if arrays.get(name) is not None}
            yield Observed(forward.node, op, "forward", self._input_shapes(forward.node), read, self._hosts(written))
        for step in self._schedule.backward:
            yield self._observe_backward(step) if isinstance(step, Backward) else self._observe_sum(step)

    def _observe_backward(self, step: Backward) -> Observed:
        op = self.graph.nodes[step.node].op
        arrays = {"dy": self._arrays["gradient", step.node], **self._operands(step.node)}
        read = self._hosts({name: arrays[name] for name in ("dy", *op.reads_in_backward()) if name in arrays})
        self._memory.sequence([self._bind_backward(step)])()
        gradients = self._hosts(self._gradients(step))
        return Observed(step.node, op, "backward", self._input_shapes(step.node), read, gradients)

    def _observe_sum(self, step: Accumulate) -> Observed:
        total = self._arrays["gradient", step.value]
        read = self._hosts({"x": total, "other": self._arrays.gradient(step.part)})
        self._memory.sequence([self._bind_backward(step)])()
        return Observed(step.value, Add(), "sum", (total.shape, total.shape), read, self._hosts({"out": total}))

    def _hosts(self, arrays: dict) -> dict[str, np.ndarray]:
        return {name: self._memory.get(array) for name, array in arrays.items() if array is not None}

    def _input_shapes(self, position: int) -> tuple[Shape, ...]:
        return tuple(self._shapes[i] for i in self.graph.nodes[position].inputs)

    def _check_batch(self) -> None:
        for position in self.graph.steps:
            node = self.graph.nodes[position]
            try:
                node.op.check_batch(*(self._shapes[i] for i in node.inputs))
            except NbconvError as error:
                raise type(error)(f"{self.graph.describe(position)}: {error}") from None

    def _allocate(self, given: dict) -> Storage:
        place = self.graph, self._schedule, self.batch, self.device, self.parameters.dtype, not self.training
        return Storage(Arrangement(*place, given), self.device, given)

    # binding

    def _bind_forward(self, step: Forward) -> list:
        node = self.graph.nodes[step.node]
        arrays = self._operands(step.node)
        storage = self._arrays
        kinds = storage.named("prepared", step.node), storage.named("forward", step.node), storage.handed(step.node)
        scratch = {name: array for kind in kinds for name, array in kind.items()}
        prepare = bind_prepare(node.op, self.device, arrays, scratch)
        forward = bind_forward(node.op, self.device, arrays, scratch)
        if prepare is None:
            return [forward]
        if self.training:
            return [prepare, forward]
        self._prepare_calls.append(prepare)
        return [forward]

    def _bind_backward(self, step: Backward | Accumulate):
        if isinstance(step, Accumulate):
            total, part = self._arrays["gradient", step.value], self._arrays.gradient(step.part)
            return bind_forward(Add(), self.device, {"x": total, "other": part, "out": total}, {})
        op = self.graph.nodes[step.node].op
        gradients = {**self._gradients(step), "out": self._arrays["gradient", step.node]}
        scratch = self._arrays.named("backward", step.node)
        return bind_backward(op, self.device, self._operands(step.node), gradients, scratch)

    def _operands(self, position: int) -> dict:
        """The operands and results of a node's forward, by the names of its op."""
        node = self.graph.nodes[position]
        learned = {name: self.parameters.view((node.name, name)) for name in (*node.op.params, *node.op.state)}
        return {
            **{name: self._arrays["value", i] for name, i in zip(node.op.input_names(), node.inputs, strict=True)},
            **learned,
            **self._folded.get(position, {}),
            **({"rng": self._rng[position]} if node.op.context else {}),
            "out": self._arrays["value", position],
            **self._arrays.named("saved", position),
        }

    def _gradients(self, step: Backward) -> dict:
        """The gradients that a backward step writes, by the names of operands."""
        node = self.graph.nodes[step.node]
        views = self.parameters.grads.views
        return {
            **{name: self._arrays.gradient(key) for name, key in step.writes.items()},
            **{name: views[node.name, name] for name in node.op.params if (node.name, name) in views},
        }

    # batch norm inside the weights

    def _allocate_folded(self) -> dict[int, dict]:
        """Weights and biases of its own for each node that a batch norm was folded into."""
        folded: dict[int, dict] = {}
        for position, node in enumerate(self.graph.nodes):
            if node.folded:
                inputs = [self._shapes[i] for i in node.inputs]
                keys = {(node.name, name): shape for name, shape in node.op.param_shapes(*inputs).items()}
                arena = Arena(keys, self.device, self.parameters.dtype)
                folded[position] = {name: view for (_, name), view in arena.views.items()}
        return folded

    def _fold(self, node, arrays: dict) -> None:
        name, norm = node.folded

        def host(owner, parameter):
            array = self.parameters.view((owner, parameter))
            return None if array is None else self._memory.get(array)

        own = host(node.name, "weight"), host(node.name, "bias")
        of_norm = (host(name, n) for n in ("weight", "bias", "running_mean", "running_var"))
        weight, bias = folded_parameters(norm, *own, *of_norm)
        self._memory.write(arrays["weight"], weight)
        self._memory.write(arrays["bias"], bias)
