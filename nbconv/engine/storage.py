"""The arrays of a plan: which there are, from which step to which they are in use, and where they lie in the arena."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from ..ops.base import Buffer
from .graph import Graph, Source
from .memory import Block, aligned, lay_out
from .registry import Device, prepared_shapes, scratch_shapes
from .schedule import Accumulate, Backward, Forward, Gradient, Schedule

Key = tuple
"""What an array is: ("value", node), ("gradient", node, ...), ("saved", node, name), or working memory:
("forward", node, name), ("backward", node, name), ("prepared", node, name)."""


class Arrangement:
    """Where the arrays of a plan lie in its arena: what is never in use at the same time may lie in the same place.

    Nothing is allocated. ``keep_prepared`` keeps what is computed from parameters alone from one run to the next;
    ``elsewhere`` are arrays that do not lie in the arena.
    """

    def __init__(
        self,
        graph: Graph,
        schedule: Schedule,
        batch: int,
        device: Device,
        dtype: str,
        keep_prepared: bool,
        elsewhere: Collection[Key] = (),
    ):
        self._graph, self._schedule = graph, schedule
        self._buffers = _buffers(graph, schedule, batch, device, dtype)
        lives = {key: life for key, life in self._lifetimes(keep_prepared).items() if key not in elsewhere}
        sources: list[Key] = [("value", i) for i in graph.sources]  # in a row, so that one copy may bring them
        rows = [sources, *([key] for key in lives if key not in sources)]
        sizes = {key: aligned(_nbytes(self._buffers[key])) for key in lives}
        blocks = [Block(sum(sizes[key] for key in row), *lives[row[0]]) for row in rows]
        layout = lay_out(blocks)
        self.nbytes = layout.nbytes
        self.without_reuse = sum(sizes.values())
        self._starts = {
            key: start
            for row, offset in zip(rows, layout.offsets, strict=True)
            for key, start in zip(row, accumulate([sizes[key] for key in row], initial=offset), strict=False)
        }

    def views(self, arena: Any) -> dict[Key, Any]:
        """The arrays, in an arena of ``nbytes`` bytes."""
        found = {}
        for key, start in self._starts.items():
            buffer = self._buffers[key]
            found[key] = arena[start : start + _nbytes(buffer)].view(buffer.dtype).reshape(buffer.shape)
        return found

    def handed(self, node: int) -> list[Key]:
        """The working arrays that a node finds left by those it reads from."""
        nodes = self._graph.nodes
        left: list[Key] = [("forward", i, name) for i in nodes[node].inputs for name in nodes[i].op.hands_on()]
        return [key for key in left if key in self._buffers]

    def keys_of(self, kind: str, node: int) -> list[Key]:
        """The arrays of one kind that belong to a node."""
        return [key for key in self._buffers if key[:2] == (kind, node)]

    def _lifetimes(self, keep_prepared: bool) -> dict[Key, tuple[int, int]]:
        """The first and last step at which each array is touched; those that the caller sees are kept throughout."""
        steps = [*self._schedule.forward, *self._schedule.backward]
        lives: dict[Key, tuple[int, int]] = {}
        for time, step in enumerate(steps):
            for key in self._touches(step):
                first, _ = lives.get(key, (time, time))
                lives[key] = (first, time)
        for key in self._kept(keep_prepared):
            lives[key] = (0, len(steps))
        return lives

    def _touches(self, step: Forward | Backward | Accumulate) -> list[Key]:
        if isinstance(step, Accumulate):
            return [("gradient", step.value), _gradient(step.part)]
        node = self._graph.nodes[step.node]
        if isinstance(step, Forward):
            values: list[Key] = [("value", i) for i in (step.node, *node.inputs)]
            own = [key for kind in ("saved", "forward", "prepared") for key in self.keys_of(kind, step.node)]
            return [*values, *own, *self.handed(step.node)]
        reads = node.op.reads_in_backward()
        values = [("value", i) for name, i in zip(node.op.input_names(), node.inputs, strict=True) if name in reads]
        values += [("value", step.node)] if "out" in reads else []
        saved = [key for key in self.keys_of("saved", step.node) if key[2] in reads]
        gradients = [("gradient", step.node), *map(_gradient, step.writes.values())]
        return [*values, *saved, *gradients, *self.keys_of("backward", step.node)]

    def _kept(self, keep_prepared: bool) -> list[Key]:
        graph = self._graph
        kept: list[Key] = [("value", i) for i in (*graph.sources, *graph.outputs)]
        kept += [_gradient(seed) for seed in self._schedule.seeds.values()]
        kept += [("gradient", i) for i in graph.sources if ("gradient", i) in self._buffers]
        kept += [key for key in self._buffers if key[0] == "prepared" and keep_prepared]
        return kept


class Storage:
    """All arrays of a plan, on its device; ``given`` are those that do not lie in its arena."""

    def __init__(self, arrangement: Arrangement, device: Device, given: Mapping[Key, Any]):
        self._arrangement, self._memory = arrangement, device.memory
        self.nbytes, self.without_reuse = arrangement.nbytes, arrangement.without_reuse
        self.arena = device.memory.empty((self.nbytes,), "uint8")
        self._arrays = {**arrangement.views(self.arena), **given}

    def __getitem__(self, key: Key):
        return self._arrays[key]

    def __contains__(self, key: Key) -> bool:
        return key in self._arrays

    def clear(self) -> None:
        """Set everything to zero."""
        self._memory.fill(self.arena, 0)

    def gradient(self, gradient: Gradient):
        """The array of a gradient, or of a part of one."""
        return self._arrays[_gradient(gradient)]

    def named(self, kind: str, node: int) -> dict:
        """The arrays of one kind that belong to a node, by name: ``named("saved", 3)``."""
        return {key[2]: self._arrays[key] for key in self._arrangement.keys_of(kind, node)}

    def handed(self, node: int) -> dict:
        """The working arrays that a node finds left by those it reads from, by name."""
        return {key[2]: self._arrays[key] for key in self._arrangement.handed(node)}


def _buffers(graph: Graph, schedule: Schedule, batch: int, device: Device, dtype: str) -> dict[Key, Buffer]:
    """Every array that a plan may need, by key."""
    shapes, dtypes = graph.shapes(batch), graph.dtypes()
    buffers: dict[Key, Buffer] = {}
    for position, node in enumerate(graph.nodes):
        op = node.op
        buffers["value", position] = Buffer(shapes[position], dtypes[position])
        if isinstance(op, Source):
            continue
        inputs = [shapes[i] for i in node.inputs]
        forward, backward = scratch_shapes(op, device, dtype, *inputs)
        kinds = {
            "saved": op.saved_shapes(*inputs),
            "forward": forward,
            "backward": backward,
            "prepared": prepared_shapes(op, device, dtype, *inputs),
        }
        buffers.update({(kind, position, name): b for kind, named in kinds.items() for name, b in named.items()})
    for gradient in schedule.gradients():
        buffers[_gradient(gradient)] = buffers["value", gradient[0]]
    return {key: Buffer(b.shape, dtype if b.dtype == "float" else b.dtype) for key, b in buffers.items()}


def _gradient(gradient: Gradient) -> Key:
    return ("gradient", *gradient)


def _nbytes(buffer: Buffer) -> int:
    return prod(buffer.shape) * np.dtype(buffer.dtype).itemsize
