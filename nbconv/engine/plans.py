"""The plans of one model: made at the first need, one per use and batch size, the oldest dropped."""

from __future__ import annotations

import gc
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from ..errors import OutOfDeviceMemory
from ..ops.base import Op
from ..ops.regularizer import L2
from .graph import Graph, append
from .guard import Guard
from .parameters import Parameters
from .penalty import Penalty
from .plan import Plan, arena_bytes
from .rewrites import for_inference, for_training
from .scores import Scores
from .update import Update

KEPT = 8
"""How many plans are kept; the one unused for longest goes first."""

USES = ("predict", "evaluate", "train", "backward")
"""Outputs at inference; loss and metrics too; a training step; a training step up to the caller's own loss."""


class Plans:
    """Plans by (use, batch size), over one set of parameters.

    ``plans.get("train", 32)`` is the plan of a training step on 32 samples, for which ``compile`` was given a loss.
    """

    def __init__(self, graph: Graph, parameters: Parameters, *, rewrite: bool, seed: int, threads: int | None):
        self._graph, self._parameters = graph, parameters
        self._rewrite, self._seed, self._threads = rewrite, seed, threads
        self._watched: tuple[Op, ...] = ()
        self._update: Update | None = None
        self._penalty: Penalty | None = None
        self._guard: Guard | None = None
        self._scores: Scores | None = None
        self._plans: OrderedDict[tuple, Plan] = OrderedDict()

    def __len__(self):
        return len(self._plans)

    @property
    def scores(self) -> Scores:
        """The numbers of the step, or of the batch evaluated, that ran last."""
        assert self._scores is not None, "compile comes first"
        return self._scores

    @property
    def guard(self) -> Guard:
        """What keeps training from following what is not finite."""
        assert self._guard is not None, "compile comes first"
        return self._guard

    def compile(self, loss: Op, metrics: Sequence[Op], update: Update, l2: L2 | None = None) -> None:
        """Choose the loss, the metrics, the optimiser and a penalty.

        Raises ``ShapeError`` if the loss does not fit the output, ``OptionError`` if a metric does not fit the loss.
        """
        watched = (loss, *metrics)
        append(self._graph, watched, self._graph.outputs[0])
        self._watched, self._update = watched, update
        self._scores = Scores(self._parameters.device.memory, len(watched))
        self._penalty = Penalty(l2, self._parameters, self._scores.penalty) if l2 else None
        self._guard = Guard(self._parameters, update)
        self._plans.clear()

    def get(self, use: str, batch: int, *, input_gradients: bool = False) -> Plan:
        """Return the plan for a use (see ``USES``) and a number of samples.

        Raises ``OutOfDeviceMemory`` where there is too little memory for it; other plans are given up first.
        """
        key = (use, batch, input_gradients)
        plan = self._plans.get(key)
        if plan is None:
            self._plans[key] = plan = self._make_room(use, batch, input_gradients)
            if len(self._plans) > KEPT:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return plan

    def _make_room(self, use: str, batch: int, input_gradients: bool) -> Plan:
        """Make a plan; where there is too little memory, without the others."""
        try:
            return self._make(use, batch, input_gradients)
        except OutOfDeviceMemory:
            self._plans.clear()
        gc.collect()  # bound calls refer to one another
        try:
            return self._make(use, batch, input_gradients)
        except OutOfDeviceMemory as error:
            free = error.free
        raise self._too_large(use, batch, input_gradients, free)

    def _too_large(self, use: str, batch: int, input_gradients: bool, free: int) -> OutOfDeviceMemory:
        """Say how much memory a plan needs, how much there is, and which batch size would fit."""
        graph, options = self._graph_and_options(use, input_gradients)
        parameters = self._parameters

        def needed(size: int) -> int:
            return arena_bytes(graph, parameters.device, parameters.dtype, size, **options)

        fits = bisect_right(range(1, batch), free, key=needed)
        mend = f"a batch of {fits} would fit" if fits else "not even one sample fits: make the net or its input smaller"
        return OutOfDeviceMemory(
            f"a batch of {batch} needs {_megabytes(needed(batch))} on {str(parameters.device)!r} ({use}), where "
            f"{_megabytes(free)} are free; {mend}",
            asked=needed(batch),
            free=free,
        )

    def _make(self, use: str, batch: int, input_gradients: bool) -> Plan:
        graph, options = self._graph_and_options(use, input_gradients)
        has_loss, is_trained = use in ("train", "evaluate"), use == "train"
        plan = Plan(
            graph,
            self._parameters,
            batch,
            **options,
            seed=self._seed,
            threads=self._threads,
            penalty=self._penalty if has_loss else None,
            scores=self._scores if has_loss else None,
            update=self._update if is_trained else None,
            guard=self._guard if is_trained else None,
        )
        if is_trained:
            for seed in plan.seeds.values():
                self._parameters.device.memory.fill(seed, 1)
        return plan

    def _graph_and_options(self, use: str, input_gradients: bool) -> tuple[Graph, dict[str, Any]]:
        """The graph of a use, and how it is run."""
        training = use in ("train", "backward")
        graph = self._graph
        if use in ("train", "evaluate"):
            graph = append(graph, self._watched, graph.outputs[0])
        graph = (for_training if training else for_inference)(graph, rewrite=self._rewrite)
        loss = graph.outputs[len(self._graph.outputs) :][:1]
        targets = {"train": loss, "backward": graph.outputs}.get(use, ())
        return graph, {"training": training, "targets": targets, "input_gradients": input_gradients}


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
