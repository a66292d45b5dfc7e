"""Nets from end to end: a training step and inference, beside the same nets in PyTorch and JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter

import numpy as np

import nbconv as nc
from nbconv.engine.graph import Source

from .nets import CLASSES, NETS, Net
from .peak import Peaks
from .row import Row
from .timing import compare

LR, MOMENTUM = 1e-3, 0.9
STEPS = 3
"""Training steps whose losses are compared: the second depends on every gradient of the first."""
INFERENCE_BATCHES = (1, 64)
COMPILE_SECONDS = 240
"""What ``torch.compile`` may take in all; when it is spent, the nets still to come are measured without."""


class Bench:
    """What all rows of a run share.

    ``Bench("cpu", ("torch",), peaks).rows(["lenet"])`` yields a row for a training step and one for each batch size of
    inference. ``say`` receives a sentence about each thing that is left out.
    """

    def __init__(
        self,
        device: str,
        rivals: tuple[str, ...],
        peaks: Peaks | None,
        *,
        threads: int | None = None,
        batch: int | None = None,
        seconds: float = 1.0,
        compiled: bool = True,
        say: Callable[[str], None] = print,
    ):
        self.device, self.peaks, self.threads, self.batch, self.seconds = device, peaks, threads, batch, seconds
        self.rivals, self.say = rivals, say
        self._compile_seconds = COMPILE_SECONDS if compiled and "torch" in rivals else 0.0
        if self._compile_seconds:
            self._look_for_compiler()

    def rows(self, names: Iterable[str]) -> Iterator[Row]:
        """Measure each net, yielding rows as soon as they are there."""
        for name in names:
            net = NETS[name]
            yield self.train_step(name, net, self.batch or net.batch)
            for batch in [self.batch] if self.batch else INFERENCE_BATCHES:
                yield self.inference(name, net, batch)

    def train_step(self, name: str, net: Net, batch: int) -> Row:
        """Forward, backward and update, as ``fit`` makes them, on a batch that has been converted before."""
        x, labels = images(net, batch)
        ours = Trained(net, self.device, "float32", self.threads, x, labels)
        state = ours.model.state_dict()
        exact = Trained(net, "reference", "float64", None, x, labels, state)
        steps = {"nbconv": ours.step, **self._trained_rivals(name, net, state, x, labels)}
        wanted = [exact.step() for _ in range(STEPS)]
        began = perf_counter()
        losses = {"nbconv": [ours.step()]}
        first_ms = 1e3 * (perf_counter() - began)
        losses["nbconv"] += [ours.step() for _ in range(STEPS - 1)]
        losses |= {rival: [step() for _ in range(STEPS)] for rival, step in steps.items() if rival != "nbconv"}
        residuals = {rival: _relative(np.array(values), np.array(wanted)) for rival, values in losses.items()}
        flops = 3 * _flops(ours.model, batch)  # the gradients of inputs and of weights cost as much as forward, each
        return self._row(name, net, batch, "train_step", steps, residuals, flops, first_ms, kernels=ours.kernels)

    def inference(self, name: str, net: Net, batch: int) -> Row:
        """``model.forward``, with weights packed and batch norm folded before."""
        x, _ = images(net, batch)
        model = net.build(device=self.device, threads=self.threads)
        state = model.state_dict()
        exact = net.build(device="reference", dtype="float64")
        exact.load_state_dict(state)
        inside = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        runs = {"nbconv": lambda: model.forward(inside, check_finite=False), **self._inferring_rivals(name, state, x)}
        wanted = exact.forward(inside)
        began = perf_counter()
        logits = {"nbconv": runs["nbconv"]()}
        first_ms = 1e3 * (perf_counter() - began)
        logits |= {rival: run() for rival, run in runs.items() if rival != "nbconv"}
        residuals = {rival: _relative(np.asarray(values), wanted) for rival, values in logits.items()}
        kernels = model._plans.get("predict", batch).forward
        return self._row(name, net, batch, "inference", runs, residuals, _flops(model, batch), first_ms, kernels)

    def _row(self, name, net: Net, batch, direction, calls, residuals, flops, first_ms, kernels) -> Row:
        timings = compare({**calls, "kernels": kernels}, self.seconds)
        ours, alone = timings.pop("nbconv"), timings.pop("kernels")
        limit_ms = flops / self.peaks.gflops / 1e6 if self.peaks else None
        return Row(
            op=name,
            shape={"N": batch, **dict(zip("CHW", net.image, strict=True))},
            direction=direction,
            timing=ours._replace(first=first_ms),
            residual=residuals.pop("nbconv"),
            flops=flops,
            limit_ms=limit_ms,
            limit="FMA" if self.peaks else None,
            rivals=timings,
            extra={"kernels_ms": alone.median, "rival_residuals": residuals},
        )

    # rivals

    def _trained_rivals(self, name: str, net: Net, state, x, labels) -> dict[str, Callable]:
        steps: dict[str, Callable] = {}
        if "torch" in self.rivals:
            from . import torch_nets

            def make(layout):
                return torch_nets.Trained(name, state, x, labels, layout, LR, MOMENTUM)

            nets = self._in_layouts(torch_nets.LAYOUTS, make, f"the training step of {name}", lambda net: net.step())
            steps |= {rival: made.step for rival, made in nets.items()}
        if "jax" in self.rivals:
            from . import jax_nets

            steps["jax"] = jax_nets.Trained(name, state, x, labels, LR, MOMENTUM).step
        if "reference" in self.rivals:
            steps["reference"] = Trained(net, "reference", "float32", None, x, labels, state).step
        return steps

    def _inferring_rivals(self, name: str, state, x) -> dict[str, Callable]:
        runs: dict[str, Callable] = {}
        if "torch" in self.rivals:
            from . import torch_nets

            def make(layout):
                return torch_nets.Inferring(name, state, x, layout)

            nets = self._in_layouts(torch_nets.LAYOUTS, make, f"inference of {name}", lambda net: net.run())
            runs |= {rival: made.run for rival, made in nets.items()}
        if "jax" in self.rivals:
            from . import jax_nets

            runs["jax"] = jax_nets.Inferring(name, state, x).run
        if "reference" in self.rivals:
            model = NETS[name].build(device="reference")
            model.load_state_dict(state)
            inside = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
            runs["reference"] = lambda: model.forward(inside, check_finite=False)
        return runs

    def _in_layouts(self, layouts: Mapping[str, object], make: Callable, what: str, run: Callable) -> dict:
        """A PyTorch net in each of its layouts, and compiled in each as long as there is time for that."""
        nets = {rival: make(layout) for rival, layout in layouts.items()}
        for rival, layout in layouts.items():
            if self._compile_seconds <= 0:
                continue
            began = perf_counter()
            net = make(layout)
            net.compile()
            run(net)
            nets[f"{rival} compiled"] = net
            self._compile_seconds -= perf_counter() - began
            if self._compile_seconds <= 0:
                self.say(f"torch.compile has had {COMPILE_SECONDS} s; after {what} it is left out")
        return nets

    def _look_for_compiler(self) -> None:
        from . import torch_nets

        if torch_nets.compiler() is None:
            self._compile_seconds = 0.0
            self.say("torch.compile is left out: there is no C++ compiler (g++ or clang++)")


class Trained:
    """A net of nbconv in training: ``step()`` makes one step, as ``fit`` does for every batch, and returns the loss."""

    def __init__(self, net: Net, device: str, dtype: str, threads: int | None, x, labels, state=None):
        self.model = net.build(device=device, dtype=dtype, threads=threads)
        self.model.compile(nc.SGD(lr=LR, momentum=MOMENTUM), "cross_entropy", metrics=None)
        if state:
            self.model.load_state_dict(state)
        self._samples = (np.ascontiguousarray(x.transpose(0, 2, 3, 1), dtype),)
        self._labels = labels
        self._plan = self.model._plans.get("train", len(labels))
        self.kernels = self._plan.step

    def step(self) -> float:
        (loss,) = self.model._train_step(self._plan, self._samples, self._labels, slice(None))
        return loss


def images(net: Net, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images (N, C, H, W) and labels: times do not depend on what is in them."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((batch, *net.image), np.float32), rng.integers(0, CLASSES, batch)


def _flops(model: nc.Model, batch: int) -> int:
    """Of forward, without what rewrites save."""
    graph, shapes = model.graph, model.graph.shapes(batch)
    computed = (node for node in graph.nodes if not isinstance(node.op, Source))
    return sum(node.op.flops(*(shapes[i] for i in node.inputs)) for node in computed)


def _relative(got: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(got - exact).max() / np.abs(exact).max())
