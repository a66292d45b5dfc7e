"""Nets from end to end: a training step and inference, beside the same nets in PyTorch and JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from time import perf_counter

import numpy as np

from nbconv.engine.registry import open_device

from . import nbconv_nets
from .machine import threads_of
from .nets import NETS, Net, images
from .peak import Peaks
from .rivals import begin, finish
from .row import Row
from .timing import Call, compare

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
        rivals: tuple[str, ...] = (),
        peaks: Peaks | None = None,
        *,
        threads: int | None = None,
        batch: int | None = None,
        seconds: float = 1.0,
        compiled: bool = True,
        say: Callable[[str], None] = print,
    ):
        self.rivals, self.peaks, self.batch, self.seconds, self.say = rivals, peaks, batch, seconds, say
        self._options = {"device": device, "threads": threads}
        self._finish = finish(open_device(device), rivals)
        self._torch_device = device if device.startswith("cuda") else "cpu"
        self._begin = partial(begin, threads=threads_of(threads))
        self._compile_seconds = COMPILE_SECONDS if compiled and "torch" in rivals else 0.0
        if self._compile_seconds:
            self._look_for_compiler()
        if "naive" in rivals:
            say("naive is left out: there are kernels in plain loops, but no nets")

    def rows(self, names: Iterable[str]) -> Iterator[Row]:
        """Measure each net, yielding rows as soon as they are there."""
        for name in names:
            net = NETS[name]
            yield self.train_step(net, self.batch or net.batch)
            for batch in [self.batch] if self.batch else INFERENCE_BATCHES:
                yield self.inference(net, batch)

    def train_step(self, net: Net, batch: int) -> Row:
        """Forward, backward and update, as ``fit`` makes them, on a batch that has been converted before."""
        x, labels = images(net, batch)
        ours = nbconv_nets.Trained(net.name, x, labels, **self._options)
        state = ours.model.state_dict()
        exact = nbconv_nets.Trained(net.name, x, labels, state, **EXACT)
        steps = {"nbconv": ours.step}
        if "torch" in self.rivals:
            from . import torch_nets

            made = self._in_layouts(
                lambda layout: torch_nets.Trained(net.name, x, labels, layout, state, self._torch_device)
            )
            steps |= {rival: trained.step for rival, trained in made.items()}
        if "jax" in self.rivals:
            from . import jax_nets

            steps["jax"] = jax_nets.Trained(net.name, x, labels, state).step
        if "reference" in self.rivals:
            steps["reference"] = nbconv_nets.Trained(net.name, x, labels, state, device="reference").step
        return self._row(net, batch, "train_step", steps, exact.step, STEPS, ours)

    def inference(self, net: Net, batch: int) -> Row:
        """``model.forward``, with weights packed and batch norm folded before."""
        x, _ = images(net, batch)
        ours = nbconv_nets.Inferring(net.name, x, **self._options)
        state = ours.model.state_dict()
        exact = nbconv_nets.Inferring(net.name, x, state, **EXACT)
        runs = {"nbconv": ours.run}
        if "torch" in self.rivals:
            from . import torch_nets

            made = self._in_layouts(lambda layout: torch_nets.Inferring(net.name, x, layout, state, self._torch_device))
            runs |= {rival: inferring.run for rival, inferring in made.items()}
        if "jax" in self.rivals:
            from . import jax_nets

            runs["jax"] = jax_nets.Inferring(net.name, x, state).run
        if "reference" in self.rivals:
            runs["reference"] = nbconv_nets.Inferring(net.name, x, state, device="reference").run
        return self._row(net, batch, "inference", runs, exact.run, 1, ours)

    def _row(
        self, net: Net, batch: int, direction: str, calls: Mapping[str, Call], exact: Call, steps: int, ours
    ) -> Row:
        """First some steps of each library, whose results are compared; then the times."""
        wanted = np.array([exact() for _ in range(steps)])
        first, residuals = {}, {}
        for name, call in calls.items():
            began = perf_counter()
            results = [call()]
            first[name] = 1e3 * (perf_counter() - began)
            results += [call() for _ in range(steps - 1)]
            residuals[name] = float(np.abs(np.array(results) - wanted).max() / np.abs(wanted).max())
        timings = compare({**calls, "kernels": ours.kernels}, self.seconds, self._begin, self._finish)
        timings = {name: timing._replace(first=first.get(name, 0.0)) for name, timing in timings.items()}
        flops = ours.flops
        limit_ms, limit = (flops / self.peaks.gflops / 1e6, "FMA") if self.peaks else (None, None)
        kernels_ms = timings.pop("kernels").median
        return Row(
            op=net.name,
            shape={"N": batch, **dict(zip("CHW", net.image, strict=True))},
            direction=direction,
            timing=timings.pop("nbconv"),
            residual=residuals.pop("nbconv"),
            flops=flops,
            limit_ms=limit_ms,
            limit=limit,
            rivals=timings,
            extra={"kernels_ms": kernels_ms, "rival_residuals": residuals},
        )

    def _in_layouts(self, make: Callable) -> dict:
        """A PyTorch net in each of its layouts, and compiled in each as long as there is time for that."""
        from . import torch_nets

        nets = {rival: make(layout) for rival, layout in torch_nets.LAYOUTS.items()}
        for rival, layout in torch_nets.LAYOUTS.items():
            if self._compile_seconds <= 0:
                continue
            began = perf_counter()
            nets[f"{rival} compiled"] = net = make(layout)
            net.compile()
            self._compile_seconds -= perf_counter() - began
            if self._compile_seconds <= 0:
                self.say(f"torch.compile has had its {COMPILE_SECONDS} s; nets still to come are measured without it")
        return nets

    def _look_for_compiler(self) -> None:
        from . import torch_nets

        if torch_nets.compiler() is None:
            self._compile_seconds = 0.0
            self.say("torch.compile is left out: there is no C++ compiler (g++ or clang++)")


EXACT = {"device": "reference", "dtype": "float64"}
