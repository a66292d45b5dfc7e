"""``python -m bench kernels --device cpu --against torch``: speeds with the residual beside each."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import click

from nbconv import __version__
from nbconv.engine.registry import open_device
from nbconv.errors import NbconvError

from . import kernels as kernel_bench
from . import machine, peak, rivals, table
from . import shapes as named_shapes
from .models import Bench
from .nets import NETS

OPS = ("conv2d",)


@click.group()
def main():
    """Measure nbconv. No speed is shown without its distance from float64."""


@main.command()
@click.option("--device", default="cpu", show_default=True)
@click.option("--against", type=click.Choice(kernel_bench.AGAINST), help="A rival, timed in turns.")
@click.option("--ops", default=",".join(OPS), show_default=True, help="Separated by commas.")
@click.option("--shapes", "shapes_file", type=click.Path(path_type=Path), help="A JSON list of shapes.")
@click.option("--threads", type=click.IntRange(min=1), help="Of nbconv and of the rival.")
@click.option("--seconds", type=float, default=0.5, show_default=True, help="For each kernel.")
@click.option("--json", "out", type=click.Path(path_type=Path, writable=True), help="Write the rows to this file.")
def kernels(device, against, ops, shapes_file, threads, seconds, out):
    """Time each kernel by itself: forward, input gradient, weight gradient."""
    unknown = set(ops.split(",")) - set(OPS)
    if unknown:
        raise click.UsageError(f"no benchmark for {', '.join(sorted(unknown))}; there is {', '.join(OPS)}")
    rows = []
    try:
        shapes = named_shapes.read(shapes_file) if shapes_file else named_shapes.CONV2D
        click.echo(_head(against))
        for row in kernel_bench.measure(shapes, device, against, threads, seconds):
            rows.append(row)
            click.echo(_line(row))
    except NbconvError as error:
        raise click.ClickException(str(error)) from None
    for direction, ratio in kernel_bench.geometric_means(rows).items():
        click.echo(f"geometric mean of ratios, {direction}: {ratio:.2f}")
    if out:
        out.write_text(json.dumps({"machine": _machine(device), "rows": [row.as_dict() for row in rows]}, indent=1))


@main.command()
@click.option("--device", default="cpu", show_default=True)
@click.option("--against", metavar="RIVALS", help="torch, jax, reference; several separated by commas.")
@click.option("--models", "names", default=",".join(NETS), show_default=True, help="Separated by commas.")
@click.option("--batch", type=click.IntRange(min=1), help="Instead of each net's own.")
@click.option("--threads", type=click.IntRange(min=1), help="Of nbconv and of the rivals.")
@click.option("--seconds", type=float, default=1.0, show_default=True, help="For each net, use and library.")
@click.option("--compile/--no-compile", "compiled", default=True, help="Whether torch.compile is measured, too.")
@click.option("--json", "out", type=click.Path(path_type=Path, writable=True), help="Write the rows to this file.")
def models(device, against, names, batch, threads, seconds, compiled, out):
    """Time a training step and inference of whole nets."""
    wanted = names.split(",")
    unknown = [name for name in wanted if name not in NETS]
    if unknown:
        raise click.UsageError(f"no net is called {', '.join(unknown)}; there is {', '.join(NETS)}")
    try:
        chosen, left_out = rivals.choose(against)
        rivals.prepare(chosen, threads or machine.cores())
        peaks = peak.measure(threads=threads)
        facts = machine.describe(device, threads, rivals.versions(chosen), peaks)
        click.echo(table.facts(facts))
        for sentence in left_out:
            click.echo(sentence)
        bench = Bench(
            device, chosen, peaks, threads=threads, batch=batch, seconds=seconds, compiled=compiled, say=click.echo
        )
        columns = table.Table(
            [
                table.Column("net", -10, lambda row: row.op),
                table.Column("", -16, lambda row: f"{row.direction} {row.shape['N']}"),
                *table.times(chosen),
                table.Column("kernels", 9, lambda row: table.number(row.extra["kernels_ms"], 4)),
                table.Column("rate", 12, table.rate),
                table.Column("of limit", 10, table.share),
                table.Column("residual", 10, lambda row: f"{row.residual:.1e}"),
                *table.rivals(chosen),
            ]
        )
        click.echo("\n" + columns.head())
        rows = []
        for row in bench.rows(wanted):
            rows.append(row)
            click.echo(columns.line(row))
    except NbconvError as error:
        raise click.ClickException(str(error)) from None
    click.echo()
    for line in table.means(rows, lambda row: f"{row.op} {row.shape['N']}"):
        click.echo(line)
    if out:
        out.write_text(json.dumps({"machine": facts, "rows": [row.as_dict() for row in rows]}, indent=1))


def _head(against: str | None) -> str:
    rival = f"{f'{against} ms':>13}{'ratio':>7}" if against else ""
    return (
        f"{'shape (NCHW, filters, window/stride)':<40}{'direction':<12}"
        f"{'ms':>9}{'least':>9}{'first':>9}{'GFLOP/s':>9}{'residual':>10}{rival}"
    )


def _line(row: kernel_bench.Row) -> str:
    shape = named_shapes.ConvShape(**{name: size for name, size in row.shape.items() if name != "op"})
    rival = f"{min(row.rivals.values()):>13.3f}{row.ratio:>7.2f}" if row.rivals else ""
    return (
        f"{shape!s:<40}{row.direction:<12}{row.ms:>9.3f}{row.least_ms:>9.3f}{row.first_ms:>9.0f}"
        f"{row.gflops:>9.1f}{row.residual:>10.1e}{rival}"
    )


def _machine(device: str) -> dict:
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "nbconv": __version__,
        "device": device,
        **open_device(device).memory.describe(),
    }


if __name__ == "__main__":
    main(prog_name="python -m bench")
