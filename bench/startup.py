"""What it takes until the first training step is done, and how much memory training takes: processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from tempfile import TemporaryDirectory
from time import time

from nbconv.errors import NbconvError

from .nbconv_nets import Trained
from .nets import NETS, images
from .row import Row
from .timing import Timing

FIRST_STEP, MEMORY = "lenet", "cifar"
"""The nets whose first step, and whose memory, is measured."""
STEPS = 10
RUNS, COLD_RUNS = 5, 2


class ChildFailed(NbconvError):
    """A process that was started for a measurement ended with an error."""


@dataclass(frozen=True)
class Report:
    """What a process found out about itself, and when it said so."""

    seconds_to_first_step: float
    import_seconds: float
    loss: float
    peak_bytes: int
    imported_bytes: int


class Bench:
    """``Bench("cpu", ("torch",)).rows()``: import, first step with warm and cold cache; ``memory()``: that of training.

    nbconv and PyTorch take turns, process by process, and the medians are compared.
    """

    def __init__(
        self,
        device: str,
        rivals: tuple[str, ...] = (),
        *,
        threads: int | None = None,
        runs: int = RUNS,
        cold_runs: int = COLD_RUNS,
        say: Callable[[str], None] = print,
    ):
        self.device, self.threads, self.runs, self.cold_runs = device, threads, runs, cold_runs
        self._libraries = ["nbconv", *(rival for rival in rivals if rival == "torch")]
        for rival in rivals:
            if rival != "torch":
                say(f"{rival} is left out: startup is measured against torch only")

    def rows(self) -> Iterator[Row]:
        warm = self._run(FIRST_STEP, self.runs, steps=1)
        yield self._timed("import", "import", {}, {name: [r.import_seconds for r in rs] for name, rs in warm.items()})
        net = NETS[FIRST_STEP]
        shape = {"net": FIRST_STEP, "N": net.batch}
        residual = self._residual(warm["nbconv"][0].loss)
        until_step = {name: [r.seconds_to_first_step for r in reports] for name, reports in warm.items()}
        yield self._timed("first step, warm cache", "train_step", shape, until_step, residual)
        if self.cold_runs:
            cold = [self._cold().seconds_to_first_step for _ in range(self.cold_runs)]
            others = {name: times for name, times in until_step.items() if name != "nbconv"}
            yield self._timed("first step, cold cache", "train_step", shape, {"nbconv": cold, **others}, residual)

    def memory(self) -> Row:
        """Peak resident bytes of training, and what the arena report says; the time is that until the first step."""
        reports = self._run(MEMORY, max(1, self.runs // 2), STEPS)
        net = NETS[MEMORY]
        seconds = {name: [r.seconds_to_first_step for r in rs] for name, rs in reports.items()}
        row = self._timed("memory", "train_step", {"net": MEMORY, "N": net.batch}, seconds)
        peak = {name: int(median(r.peak_bytes for r in rs)) for name, rs in reports.items()}
        imported = {name: int(median(r.imported_bytes for r in rs)) for name, rs in reports.items()}
        trained = Trained(net.name, *images(net, net.batch), device=self.device, threads=self.threads)
        arena = trained.model.memory_report(net.batch)
        row.extra.update(
            peak_bytes=peak["nbconv"],
            torch_peak_bytes=peak.get("torch"),
            memory_ratio=peak["nbconv"] / peak["torch"] if "torch" in peak else None,
            imported_bytes=imported["nbconv"],
            torch_imported_bytes=imported.get("torch"),
            arena_bytes=arena.arena,
            arena_without_reuse_bytes=arena.without_reuse,
            parameter_bytes=arena.parameters,
        )
        return row

    def _run(self, net: str, runs: int, steps: int) -> dict[str, list[Report]]:
        """Reports of processes that take turns; one of nbconv comes first and fills its cache."""
        self._child("nbconv", net, steps)
        reports: dict[str, list[Report]] = {name: [] for name in self._libraries}
        for _ in range(runs):
            for name in self._libraries:
                reports[name].append(self._child(name, net, steps))
        return reports

    def _cold(self) -> Report:
        with TemporaryDirectory() as folder:
            return self._child("nbconv", FIRST_STEP, 1, NBCONV_CACHE_DIR=folder)

    def _child(self, library: str, net: str, steps: int, **environment: str) -> Report:
        code = f"import sys; sys.path[:] = {sys.path!r}; from bench.child import main; main()"
        command = [sys.executable, "-c", code, library, net, str(NETS[net].batch), str(steps), self.device]
        if self.threads:
            command.append(str(self.threads))
        began = time()
        env = {**os.environ, **environment}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ChildFailed(f"the process for {' '.join(command[3:])} failed: {done.stderr.strip().splitlines()[-1]}")
        said = json.loads(done.stdout.splitlines()[-1])
        return Report(seconds_to_first_step=said.pop("first_step_at") - began, **said)

    def _residual(self, loss: float) -> float:
        net = NETS[FIRST_STEP]
        exact = Trained(net.name, *images(net, net.batch), device="reference", dtype="float64").step()
        return abs(loss - exact) / abs(exact)

    def _timed(self, op: str, direction: str, shape: dict, seconds: dict[str, list[float]], residual=None) -> Row:
        timings = {
            name: Timing(1e3 * values[0], 1e3 * min(values), 1e3 * median(values)) for name, values in seconds.items()
        }
        ours = timings.pop("nbconv")
        return Row(op=op, shape=shape, direction=direction, timing=ours, residual=residual, rivals=timings)


def summary(row: Row) -> list[str]:
    """The memory of a row in sentences."""
    e = row.extra
    lines = [_resident("nbconv", e["peak_bytes"], e["imported_bytes"])]
    if e["torch_peak_bytes"]:
        lines.append(_resident("torch", e["torch_peak_bytes"], e["torch_imported_bytes"]))
        lines.append(f"{'ratio':<8}{e['memory_ratio']:8.2f}")
    arena, plain, own = (e[name] / 2**20 for name in ("arena_bytes", "arena_without_reuse_bytes", "parameter_bytes"))
    lines.append(f"{'arena':<8}{arena:8.1f} MiB, without reuse {plain:.1f} MiB; parameters and gradients {own:.1f} MiB")
    return lines


def _resident(name: str, peak: int, imported: int) -> str:
    return (
        f"{name:<8}{peak / 2**20:8.1f} MiB at its peak, {imported / 2**20:.1f} MiB once imported, "
        f"{(peak - imported) / 2**20:.1f} MiB for compiling and training"
    )
