"""What each fusion gains: chains of layers as the engine's rewrites run them, beside the same layers one by one.

Which chains are fused, and into how many kernels, is read off the rewritten graph; nothing here knows the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

import nbconv as nc
from nbconv.engine.graph import Graph, input_symbol, trace
from nbconv.engine.parameters import Parameters
from nbconv.engine.plan import Plan
from nbconv.engine.registry import Device, open_device
from nbconv.engine.rewrites import for_inference, for_training
from nbconv.ops.base import Symbol

from .arrays import residuals
from .nbconv_nets import forward_flops
from .row import Row
from .timing import compare

TRAINING = ("forward", "backward")


class Chain(NamedTuple):
    """Layers that nets have in a row: a name, the batch, the (H, W, C) or (C,) of a sample, and what is built on it."""

    name: str
    batch: int
    sample: tuple[int, ...]
    build: Callable[[Symbol], Symbol]


def _conv(channels: int, **options):
    return nc.Conv2d(channels, 3, padding=1, **options)


def _in_a_row(*layers) -> Callable[[Symbol], Symbol]:
    def build(x: Symbol) -> Symbol:
        for layer in layers:
            x = layer(x)
        return x

    return build


def _joint(x: Symbol) -> Symbol:
    """The end of a residual block."""
    return nc.ReLU()(nc.Add()(nc.BatchNorm()(x), x))


POOL = nc.MaxPool2d(2)
CHAINS = (
    Chain("conv relu", 32, (32, 32, 32), _in_a_row(_conv(32), nc.ReLU())),
    Chain("conv relu pool", 64, (28, 28, 1), _in_a_row(_conv(8), nc.ReLU(), POOL)),
    Chain("conv relu pool", 64, (14, 14, 8), _in_a_row(_conv(16), nc.ReLU(), POOL)),
    Chain("conv relu pool", 32, (32, 32, 32), _in_a_row(_conv(32), nc.ReLU(), POOL)),
    Chain("conv norm", 64, (32, 32, 16), _in_a_row(_conv(16, bias=False), nc.BatchNorm())),
    Chain("conv norm relu", 64, (32, 32, 16), _in_a_row(_conv(16, bias=False), nc.BatchNorm(), nc.ReLU())),
    Chain("conv norm relu pool", 64, (32, 32, 3), _in_a_row(_conv(32, bias=False), nc.BatchNorm(), nc.ReLU(), POOL)),
    Chain("conv norm relu pool", 64, (8, 8, 64), _in_a_row(_conv(128, bias=False), nc.BatchNorm(), nc.ReLU(), POOL)),
    Chain("norm relu", 64, (32, 32, 16), _in_a_row(nc.BatchNorm(), nc.ReLU())),
    Chain("norm relu pool", 64, (32, 32, 32), _in_a_row(nc.BatchNorm(), nc.ReLU(), POOL)),
    Chain("norm add relu", 64, (32, 32, 16), _joint),
    Chain("linear relu", 64, (784,), _in_a_row(nc.Linear(128), nc.ReLU())),
)


class Bench:
    """``Bench("cpu").rows()`` yields rows whose rival is the same chain unfused: their ratio is the gain."""

    def __init__(
        self,
        device: str,
        *,
        threads: int | None = None,
        seconds: float = 0.5,
        say: Callable[[str], None] = print,
    ):
        self._device, self._reference = open_device(device), open_device("reference")
        self.threads, self.seconds, self.say = threads, seconds, say

    def rows(self) -> Iterator[Row]:
        """Measure each chain that a rewrite changes, in training and at inference."""
        for chain in CHAINS:
            x = input_symbol(chain.sample, "NHWC")
            graph = trace([x], [chain.build(x)])
            for rewrite, directions in ((for_training, TRAINING), (for_inference, ("inference",))):
                plain, fused = rewrite(graph, rewrite=False), rewrite(graph)
                if fused == plain:
                    self.say(
                        f"{chain.name}: {len(plain.steps)} kernels, nothing is fused in {' and '.join(directions)}"
                    )
                    continue
                yield from self._rows(chain, plain, fused, directions)

    def _rows(self, chain: Chain, plain: Graph, fused: Graph, directions: Sequence[str]) -> Iterator[Row]:
        training = directions == TRAINING
        exact = _Run(chain, plain, self._reference, "float64", None, training)
        alone = _Run(chain, plain, self._device, "float32", self.threads, training)
        ours = _Run(chain, fused, self._device, "float32", self.threads, training)
        for direction in directions:
            if direction == "backward":
                exact = _Run(chain, fused, self._reference, "float64", None, training)
                exact.adopt(ours)
            for run in (exact, alone, ours):
                run.call(direction)()
            residual, _ = residuals(ours.results(direction), exact.results(direction))
            timings = compare({"nbconv": ours.call(direction), "unfused": alone.call(direction)}, self.seconds)
            yield Row(
                op=chain.name,
                shape={
                    "N": chain.batch,
                    **dict(zip("HWC" if len(chain.sample) > 1 else "C", chain.sample, strict=True)),
                },
                direction=direction,
                timing=timings.pop("nbconv"),
                residual=residual,
                flops=forward_flops(plain, chain.batch),
                rivals=timings,
                extra={
                    "kernels": len(fused.steps),
                    "unfused_kernels": len(plain.steps),
                    "fused": [repr(fused.nodes[i].op) for i in fused.steps],
                    "arena_bytes": ours.plan.memory_report().arena,
                    "unfused_arena_bytes": alone.plan.memory_report().arena,
                },
            )


class _Run:
    """A graph on a device, with random parameters and input, and a gradient that comes back."""

    def __init__(self, chain: Chain, graph: Graph, device: Device, dtype: str, threads: int | None, training: bool):
        rng = np.random.default_rng(0)
        x = input_symbol(chain.sample, "NHWC")
        self._parameters = Parameters(trace([x], [chain.build(x)]), device, dtype)
        self._memory, write = device.memory, device.memory.write
        for view in (*self._parameters.params.views.values(), *self._parameters.state.views.values()):
            write(view, rng.uniform(0.5, 1.5, view.shape))
        self.plan = Plan(
            graph,
            self._parameters,
            chain.batch,
            training=training,
            targets=graph.outputs if training else (),
            input_gradients=training,
            threads=threads,
        )
        (source,), (output,) = graph.sources, graph.outputs
        write(self.plan.value(source), rng.standard_normal(self.plan.value(source).shape, np.float32))
        self._output = output
        for seed in self.plan.seeds.values():
            write(seed, rng.standard_normal(seed.shape, np.float32))
        self.plan.refresh(0)

    def adopt(self, other: _Run) -> None:
        """Take what another run's forward has left for backward.

        Where a ReLU's argument is zero but for rounding, or a pool has two winners but for that, each run would return
        a gradient to another place: a difference far above that of the sums.
        """
        for own, array in zip(self.plan.kept(), other.plan.kept(), strict=True):
            self._memory.write(own, other._memory.get(array))

    def call(self, direction: str) -> Callable[[], None]:
        return self.plan.backward if direction == "backward" else self.plan.forward

    def results(self, direction: str) -> list[np.ndarray]:
        arrays = [self.plan.value(self._output)]
        if direction == "backward":
            arrays = [*self.plan.source_gradients().values(), *self._parameters.grads.views.values()]
        return [self._memory.get(array).astype(np.float64) for array in arrays]


def label(row: Row) -> str:
    """``64x8x14x14``, as everywhere, with channels after the batch."""
    return "x".join(str(row.shape[name]) for name in "NCHW" if name in row.shape)


def saved(row: Row) -> float:
    """How much smaller the arena is, from 0 to 1."""
    return 1 - row.extra["arena_bytes"] / row.extra["unfused_arena_bytes"]


def changes(rows: Sequence[Row]) -> list[str]:
    """What became of each chain, in training and at inference."""
    return list(dict.fromkeys(f"{row.op}: {' then '.join(row.extra['fused'])}" for row in rows))
