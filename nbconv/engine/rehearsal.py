"""A net run once on zeros, ahead of time, in arrays of its own: that compiles and loads what the first run would."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..ops.base import Op
from ..ops.optimizer import Optimizer
from ..ops.regularizer import L2
from .graph import Graph
from .parameters import Parameters
from .plans import Plans
from .registry import Device
from .update import Update


class Training(NamedTuple):
    """What a net is trained by."""

    optimizer: Optimizer
    loss: Op
    metrics: Sequence[Op]
    l2: L2 | None = None


def rehearse(
    graph: Graph,
    device: Device,
    dtype: str,
    uses: Iterable[tuple[str, int]],
    training: Training | None = None,
    *,
    rewrite: bool = True,
    threads: int | None = None,
) -> None:
    """Run every kernel that plans for these uses need: ``rehearse(graph, device, "float32", [("predict", 64)])``.

    ``uses`` are pairs of a use and a batch size, as for ``Plans.get``; "train" and "evaluate" need ``training``. All
    arrays are the rehearsal's own, so that the net's parameters, statistics and random numbers stay what they are.
    """
    parameters = Parameters(graph, device, dtype)
    plans = Plans(graph, parameters, rewrite=rewrite, seed=0, threads=threads)
    if training:
        update = Update(training.optimizer, parameters)
        plans.compile(training.loss, training.metrics, update, training.l2)
        update.begin()
    for use, batch in uses:
        plans.get(use, batch).rehearse()
