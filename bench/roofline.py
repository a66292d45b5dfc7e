"""A picture of kernels under this machine's roofs.

Williams, Waterman & Patterson, "Roofline: an insightful visual performance model" (2009).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nbconv.errors import OptionError

from .peak import Peaks
from .row import Row

COLOURS = ("#0b6fb8", "#d1495b", "#2a9d6f", "#8e5bb5", "#e08d3c", "#4d5a6b", "#c2458f", "#7a8b2f", "#1aa5a5", "#a0694b")
MARKERS = {"forward": "o", "input_grad": "^", "weight_grad": "s", "backward": "D"}
INK, FAINT = "#22272e", "#b9c0c9"


def load():
    """Return matplotlib's ``pyplot``, for files only; raise ``OptionError`` where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise OptionError("--plot needs matplotlib, which is not installed; pip install matplotlib") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def draw(rows: Sequence[Row], peaks: Peaks, machine: Mapping[str, object], path: Path) -> None:
    """Write the picture: a filled mark for nbconv, a grey one for PyTorch (or the first rival) below or above it."""
    pyplot = load()
    processor = machine.get("processor", machine["device"])
    shown = [row for row in rows if row.flops and row.nbytes]
    figure, axes = pyplot.subplots(figsize=(11, 6.6), dpi=160, layout="constrained")
    spots = [(row.flops / row.nbytes, row) for row in shown]
    left = min([x for x, _ in spots], default=0.1) / 1.6
    right = max([x for x, _ in spots], default=100.0) * 1.6
    _roofs(axes, peaks, left, right)
    colours = {op: COLOURS[i % len(COLOURS)] for i, op in enumerate(dict.fromkeys(row.op for row in shown))}
    rival = next((row.kinds()[0] for row in shown if row.kinds()), None)
    for x, row in spots:
        if row.kinds():
            theirs = row.flops / row.best(row.kinds()[0])[1].median / 1e6
            axes.plot([x, x], [theirs, row.gflops], color=FAINT, linewidth=0.8, zorder=2)
            axes.plot([x], [theirs], "_", color="#7b8591", markersize=7, markeredgewidth=1.4, zorder=3)
        axes.plot(
            *([x], [row.gflops]),
            MARKERS.get(row.direction, "o"),
            color=colours[row.op],
            markersize=5.5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            zorder=4,
        )
    _legends(axes, colours, [d for d in MARKERS if any(row.direction == d for row in shown)], rival)
    axes.set(xscale="log", yscale="log", xlim=(left, right))
    lowest = min((min(row.gflops, *_rival_gflops(row)) for row in shown), default=1.0)
    axes.set_ylim(lowest / 1.8, peaks.gflops * 2.2)
    axes.set_xlabel(
        "arithmetic per traffic: floating-point operations per byte that must be read or written", color=INK
    )
    axes.set_ylabel("GFLOP/s", color=INK)
    axes.set_title(
        f"nbconv {machine['nbconv']} on {processor}, {machine['threads measured']} threads",
        loc="left",
        fontsize=11,
        color=INK,
        pad=12,
    )
    axes.grid(True, which="major", color="#eceff2", linewidth=0.8, zorder=0)
    axes.tick_params(colors=INK, which="both", labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path)
    pyplot.close(figure)


def _rival_gflops(row: Row) -> list[float]:
    return [row.flops / row.best(kind)[1].median / 1e6 for kind in row.kinds()[:1]] or [row.gflops]


def _roofs(axes, peaks: Peaks, left: float, right: float) -> None:
    """Arithmetic: a ceiling. Copies: a slope for memory, and fainter ones for what lies in a cache."""
    fastest = max(peaks.copies.values())
    for rate, text, colour in ((peaks.memory, "memory", INK), (fastest, "cache", FAINT)):
        knee = peaks.gflops / rate
        axes.plot([left, knee], [left * rate, peaks.gflops], color=colour, linewidth=1.6, zorder=1)
        axes.annotate(
            f"copy in {text}, {rate:.0f} GB/s",
            (left, left * rate),
            xytext=(6, 7),
            textcoords="offset points",
            rotation=0,
            fontsize=8.5,
            color=INK if colour == INK else "#7b8591",
        )
    start = peaks.gflops / fastest
    axes.plot([start, right], [peaks.gflops] * 2, color=INK, linewidth=1.6, zorder=1)
    axes.annotate(
        f"multiply-add in registers, {peaks.gflops:.0f} GFLOP/s",
        (right, peaks.gflops),
        xytext=(-4, 6),
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
        color=INK,
    )


def _legends(axes, colours: Mapping[str, str], directions: Sequence[str], rival: str | None) -> None:
    ops = [axes.plot([], [], "o", color=colour, label=op)[0] for op, colour in colours.items()]
    kinds = [axes.plot([], [], MARKERS[d], color="#7b8591", label=d.replace("_", " "))[0] for d in directions]
    if rival:
        kinds.append(axes.plot([], [], "_", color="#7b8591", markersize=8, label=f"{rival}, same kernel")[0])
    first = axes.legend(handles=ops, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
    axes.add_artist(first)
    axes.legend(handles=kinds, loc="lower left", bbox_to_anchor=(1.0, 0.0), frameon=False, fontsize=9)
