"""``python -m bench kernels|models|fusion|startup|scaling|naive``: speeds, each with its distance from float64."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import click

from nbconv.engine.registry import open_device
from nbconv.errors import NbconvError, OptionError

from . import course as courses
from . import fusion as fusions
from . import kernels as kernel_bench
from . import machine, peak, report, rivals, roofline
from . import models as model_bench
from . import scaling as scalings
from . import shapes as shape_files
from . import startup as startups
from .cases import KINDS
from .cases.conv import ALGORITHMS
from .nets import NETS

DEFAULT_OPS = "conv2d,maxpool2d,avgpool2d,batchnorm,relu,linear,cross_entropy,sgd,adam"
"""The ops measured by default; the others only move what is there."""
EPILOG = "What each command measures, and how, is said at the top of its file in bench/."


class Bench(click.Group):
    """Commands that report an expected error in one line."""

    def invoke(self, context):
        try:
            return super().invoke(context)
        except NbconvError as error:
            raise click.ClickException(str(error)) from None


class Names(click.ParamType):
    """A list such as ``conv2d,relu`` of known names; "all" is all of them."""

    name = "names"

    def __init__(self, what: str, known: Iterable[str]):
        self._what, self._known = what, list(known)

    def convert(self, value, param, ctx):
        names = self._known if value == "all" else [name.strip() for name in value.split(",")]
        unknown = [name for name in names if name not in self._known]
        if unknown:
            self.fail(
                f"there is no {self._what} {', '.join(unknown)}; there is {', '.join(self._known)}, all", param, ctx
            )
        return names


def _path(name: str, text: str) -> Callable:
    """An option for a file to write, refused before anything is measured if its folder is not there."""

    def check(context, parameter, value):
        if value is not None and not value.parent.is_dir():
            raise click.BadParameter(f"there is no folder {value.parent}")
        return value

    kind = click.Path(path_type=Path, dir_okay=False, writable=True)
    return click.option(name, type=kind, callback=check, help=text)


device_option = click.option("--device", default="cpu", show_default=True, help="cpu, cuda or reference.")
against_option = click.option("--against", metavar="RIVALS", help=f"Some of {', '.join(rivals.RIVALS)}, with commas.")
threads_option = click.option("--threads", type=click.IntRange(min=1), help="Of nbconv and of the rivals.")
json_option = _path("--json", "Write the machine and the rows to this file.")


def seconds_option(default: float) -> Callable:
    kind = click.FloatRange(min=0)
    return click.option("--seconds", type=kind, default=default, show_default=True, help="For each call that is timed.")


@click.group(cls=Bench, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
def main():
    """Measure nbconv, beside others if they are installed. No speed is shown without its distance from float64."""


@main.command()
@device_option
@against_option
@click.option("--ops", type=Names("op", KINDS), default=DEFAULT_OPS, show_default=True, help="With commas, or all.")
@click.option("--shapes", type=click.Path(path_type=Path), help="A JSON list of shapes, instead of those with names.")
@click.option("--algorithm", type=click.Choice(ALGORITHMS), default="auto", show_default=True, help="Of conv2d.")
@click.option("--dtype", type=click.Choice(("float32", "float64")), default="float32", show_default=True)
@threads_option
@seconds_option(0.5)
@json_option
@_path("--plot", "Draw the rows under the machine's roofs, as a PNG; needs matplotlib.")
def kernels(device, against, ops, shapes, algorithm, dtype, threads, seconds, json, plot):
    """Time each kernel by itself, forward and backward."""
    if plot:
        roofline.load()
        if open_device(device).name == "cuda":
            raise OptionError("--plot draws the roofs of a CPU, which are not a GPU's; leave it out with --device cuda")
    wanted = shape_files.named(KINDS[op] for op in ops)
    if shapes:
        given = click.get_current_context().get_parameter_source("ops") is not click.core.ParameterSource.DEFAULT
        wanted = [(kind, shape) for kind, shape in shape_files.read(shapes) if not given or kind.name in ops]
    facts, chosen, peaks = _begin(device, against, threads, dtype)
    bench = kernel_bench.Bench(
        device, chosen, peaks, dtype=dtype, threads=threads, algorithm=algorithm, seconds=seconds, say=click.echo
    )
    rows = report.kernels(bench.rows(wanted), chosen, click.echo)
    _end(json, facts, rows)
    if plot:
        report.plot(plot, facts, rows, peaks)


@main.command()
@device_option
@against_option
@click.option("--models", type=Names("net", NETS), default="all", show_default=True, help=f"{', '.join(NETS)}.")
@click.option("--batch", type=click.IntRange(min=1), help="Instead of each net's own, and of 1 and 64.")
@threads_option
@click.option("--compile/--no-compile", "compiled", default=True, help="Whether torch.compile is measured, too.")
@seconds_option(1.0)
@json_option
def models(device, against, models, batch, threads, compiled, seconds, json):
    """Time a training step, and inference, of whole nets."""
    facts, chosen, peaks = _begin(device, against, threads)
    bench = model_bench.Bench(
        device, chosen, peaks, threads=threads, batch=batch, seconds=seconds, compiled=compiled, say=click.echo
    )
    _end(json, facts, report.models(bench.rows(models), chosen, click.echo))


@main.command()
@device_option
@threads_option
@seconds_option(0.5)
@json_option
def fusion(device, threads, seconds, json):
    """Time what the engine fuses against the same layers one by one."""
    facts, _, _ = _begin(device, None, threads)
    notes: list[str] = []
    bench = fusions.Bench(device, threads=threads, seconds=seconds, say=notes.append)
    _end(json, facts, report.fusions(bench.rows(), notes, click.echo))


@main.command()
@device_option
@against_option
@threads_option
@click.option("--runs", type=click.IntRange(min=1), default=startups.RUNS, show_default=True, help="Processes each.")
@click.option("--cold-runs", type=click.IntRange(min=0), default=startups.COLD_RUNS, show_default=True)
@json_option
def startup(device, against, threads, runs, cold_runs, json):
    """Time import and the first training step of a process, with and without a kernel cache; weigh training."""
    chosen, left_out = rivals.choose(against)
    facts = machine.describe(device, threads, rivals.versions(chosen), None)
    report.head(facts, left_out, click.echo)
    bench = startups.Bench(device, chosen, threads=threads, runs=runs, cold_runs=cold_runs, say=click.echo)
    rows = report.startups(bench.rows(), chosen, click.echo)
    rows.append(bench.memory())
    report.memory(rows[-1], click.echo)
    _end(json, facts, rows)


@main.command()
@device_option
@click.option("--series", type=Names("series", scalings.SERIES), default="all", show_default=True)
@seconds_option(0.3)
@json_option
def scaling(device, series, seconds, json):
    """Time how cost grows with threads, batch, image size and channels."""
    facts, _, peaks = _begin(device, None, None)
    bench = scalings.Bench(device, peaks, cores=machine.threads_of(None), seconds=seconds)
    _end(json, facts, report.scalings(bench.rows(series), click.echo))


@main.command()
@device_option
@click.option("--torch/--no-torch", default=True, help="Whether the loops run over PyTorch's tensors, too.")
@threads_option
@seconds_option(0.5)
@json_option
def naive(device, torch, threads, seconds, json):
    """Time the course's four loops against the functions that replace them, on its notebooks' shapes."""
    chosen, left_out = rivals.choose("torch" if torch else None)
    rivals.prepare(chosen, machine.threads_of(threads))
    facts = machine.describe(device, threads, rivals.versions(chosen), None)
    report.head(facts, left_out, click.echo)
    bench = courses.Bench(device=device, torch="torch" in chosen, threads=threads, seconds=seconds)
    _end(json, facts, report.courses(bench.rows(), chosen, click.echo))


def _begin(device: str, against: str | None, threads: int | None, dtype: str = "float32"):
    """Choose the rivals, measure the machine, and print both."""
    opened = open_device(device)  # a device that is not there is said before anything is measured
    opened.check_threads(threads)
    chosen, left_out = rivals.choose(against, device)
    rivals.prepare(chosen, machine.threads_of(threads))
    peaks = None if opened.name == "cuda" else peak.measure(dtype, threads)
    facts = machine.describe(device, threads, rivals.versions(chosen), peaks)
    report.head(facts, left_out, click.echo)
    return facts, chosen, peaks


def _end(path: Path | None, facts: dict, rows) -> None:
    if path:
        report.write(path, facts, rows)


if __name__ == "__main__":
    main(prog_name="python -m bench")
