"""What a plan runs, in order: pure data, computed from the graph alone."""

from __future__ import annotations

from typing import NamedTuple

from .bind import gradient_names
from .graph import Graph, Source

Gradient = tuple[int, int, str] | tuple[int]
"""``(value,)``: the gradient of a value; ``(value, reader, input)``: the part of it that one reader adds."""


class Forward(NamedTuple):
    """Compute the value of a node."""

    node: int


class Backward(NamedTuple):
    """Compute a node's gradients: of its parameters, and of the inputs named in ``writes``."""

    node: int
    writes: dict[str, Gradient]


class Accumulate(NamedTuple):
    """Add a part of a value's gradient to it."""

    value: int
    part: Gradient


class Schedule(NamedTuple):
    """The steps of forward and of backward, and the gradients that the caller must provide."""

    forward: tuple[Forward, ...]
    backward: tuple[Backward | Accumulate, ...]
    seeds: dict[int, Gradient]

    def gradients(self) -> set[Gradient]:
        """Every gradient, or part of one, that some step or the caller writes."""
        written = [step.writes.values() if isinstance(step, Backward) else (step.part,) for step in self.backward]
        return {*self.seeds.values(), *(gradient for gradients in written for gradient in gradients)}


def schedule(graph: Graph, targets: tuple[int, ...] = (), *, input_gradients: bool = False) -> Schedule:
    """Return the steps that compute the graph's outputs and, backwards, the gradients that flow from ``targets``.

    A value that several nodes read gets its gradient in parts: the first to come is written, the others are added.
    """
    forward = tuple(Forward(i) for i in graph.steps)
    wanted = _depends_on_parameters(graph, input_gradients)
    reached = _leads_to(graph, targets)
    backward: list[Backward | Accumulate] = []
    seeds: dict[int, Gradient] = {}
    begun: set[int] = set()

    def arrive(value: int, part: Gradient) -> Gradient:
        """Where the next part of a gradient is written: the first makes the gradient itself."""
        if value in begun:
            return part
        begun.add(value)
        return (value,)

    for position in reversed(range(len(graph.nodes))):
        if position in targets and position in wanted:
            seeds[position] = arrive(position, (position, position, "seed"))
            if seeds[position] != (position,):
                backward.append(Accumulate(position, seeds[position]))
        node = graph.nodes[position]
        if isinstance(node.op, Source) or position not in wanted or position not in reached:
            continue
        writes: dict[str, Gradient] = {}
        parts: list[Accumulate] = []
        for name, value in zip(node.op.input_names(), node.inputs, strict=True):
            if name in gradient_names(node.op) and value in wanted:
                writes[name] = arrive(value, (value, position, name))
                if writes[name] != (value,):
                    parts.append(Accumulate(value, writes[name]))
        backward += [Backward(position, writes), *parts]
    return Schedule(forward, tuple(backward), seeds)


def _depends_on_parameters(graph: Graph, input_gradients: bool) -> set[int]:
    """The values whose gradient somebody wants: those computed from parameters (or from inputs, if asked)."""
    wanted: set[int] = set()
    shapes = graph.shapes(1)
    for position, node in enumerate(graph.nodes):
        if isinstance(node.op, Source):
            if input_gradients and node.op.dtype == "float":
                wanted.add(position)
        elif node.op.differentiable:
            has_params = bool(node.op.param_shapes(*(shapes[i] for i in node.inputs)))
            if has_params or any(i in wanted for i in node.inputs):
                wanted.add(position)
    return wanted


def _leads_to(graph: Graph, targets: tuple[int, ...]) -> set[int]:
    """The values from which a gradient arrives: targets, and what they are computed from."""
    reached = set(targets)
    for position in reversed(range(len(graph.nodes))):
        if position in reached:
            reached.update(graph.nodes[position].inputs)
    return reached
