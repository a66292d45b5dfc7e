"""A picture of kernels under this machine's roofs.

Williams, Waterman & Patterson, "Roofline: an insightful visual performance model for multicore architectures" (2009).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import atan2, degrees
from pathlib import Path

from nbconv.errors import OptionError

from .peak import Peaks
from .row import Row

COLOURS = (
    *("#0b6fb8", "#d1495b", "#2a9d6f", "#8e5bb5", "#e08d3c", "#4d5a6b", "#c2458f"),
    *("#7a8b2f", "#1aa5a5", "#a0694b", "#5b6ee1", "#b58900", "#6b3f69"),
)
MARKERS = {"forward": "o", "input_grad": "^", "weight_grad": "s", "backward": "D"}
INK, GREY, FAINT = "#22272e", "#7b8591", "#c3cad2"
LEGEND = {"frameon": False, "fontsize": 9, "labelcolor": INK, "alignment": "left"}
STEP_ASIDE = 1.035
SIZE, DOTS_PER_INCH = (11.0, 6.4), 160


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
    """Write the picture: a mark for each kernel, and a grey bar at the speed of PyTorch (or of the first rival).

    Colours tell ops apart, or directions where there is one op. Marks that would cover each other are moved apart a
    little to the side. What computes nothing (a copy) is not shown.
    """
    pyplot = load()
    shown = [row for row in rows if row.flops and row.nbytes]
    figure, axes = pyplot.subplots(figsize=SIZE, dpi=DOTS_PER_INCH, layout="constrained")
    _frame(axes, shown, peaks, machine)
    one_op = len({row.op for row in shown}) == 1
    keys = list(dict.fromkeys(row.direction if one_op else row.op for row in shown))
    colours = {key: COLOURS[i % len(COLOURS)] for i, key in enumerate(keys)}
    for x, row in _places(shown):
        _mark(axes, x, row, colours[row.direction if one_op else row.op])
    _legends(figure, axes, shown, *(({}, colours) if one_op else (colours, {})))
    figure.canvas.draw()  # where the axes are is known only now, and so the slope of the roofs
    _roofs(axes, peaks)
    figure.savefig(path)
    pyplot.close(figure)


def _frame(axes, shown: Sequence[Row], peaks: Peaks, machine: Mapping[str, object]) -> None:
    """Limits, grid, title and labels."""
    places = [_intensity(row) for row in shown] or [1.0]
    rates = [rate for row in shown for rate in (row.gflops, _rival_gflops(row)) if rate] or [1.0]
    axes.set(xscale="log", yscale="log", xlim=(min(places) / 1.7, max(places) * 1.7))
    axes.set_ylim(min(rates) / 1.8, max(peaks.gflops, *rates) * 1.9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.set_xlabel("floating-point operations per byte that must be read or written", color=INK, labelpad=8)
    axes.set_ylabel("GFLOP/s", color=INK)
    processor = machine.get("processor", machine["device"])
    title = f"nbconv {machine['nbconv']} on {processor}, {machine['threads measured']} threads"
    axes.set_title(title, loc="left", fontsize=11, color=INK, pad=12)
    axes.grid(True, which="major", color="#eef1f4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, which="both", labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _places(shown: Sequence[Row]) -> list[tuple[float, Row]]:
    """Where each row's mark stands: at its intensity, or beside it if others have the same."""
    groups: dict[str, list[Row]] = {}
    for row in shown:
        groups.setdefault(f"{_intensity(row):.2g} {row.op}", []).append(row)
    return [
        (_intensity(row) * STEP_ASIDE ** (i - (len(group) - 1) / 2), row)
        for group in groups.values()
        for i, row in enumerate(group)
    ]


def _mark(axes, x: float, row: Row, colour: str) -> None:
    theirs = _rival_gflops(row)
    if theirs:
        axes.plot([x, x], [theirs, row.gflops], color=FAINT, linewidth=0.9, zorder=2)
        axes.plot([x], [theirs], "_", color=GREY, markersize=8, markeredgewidth=1.4, zorder=3)
    marker = MARKERS.get(row.direction, "o")
    style = {"markersize": 6, "markeredgecolor": "white", "markeredgewidth": 0.6, "zorder": 4}
    axes.plot([x], [row.gflops], marker, color=colour, **style)


def _roofs(axes, peaks: Peaks) -> None:
    """Arithmetic: a ceiling. Copies: a slope for memory, and a fainter one for the fastest cache."""
    left, right = axes.get_xlim()
    cache = max(peaks.copies.values())
    for rate, text, colour in ((cache, "cache", FAINT), (peaks.memory, "memory", INK)):
        knee = peaks.gflops / rate
        axes.plot([left / 2, knee], [left / 2 * rate, peaks.gflops], color=colour, linewidth=1.6, zorder=1)
        _slanted(axes, rate, knee, f"copy, {text}: {rate:.0f} GB/s", GREY if colour == FAINT else INK)
    axes.plot([peaks.gflops / cache, right], [peaks.gflops] * 2, color=INK, linewidth=1.6, zorder=1)
    place, text = (right, peaks.gflops), f"multiply-add: {peaks.gflops:.0f} GFLOP/s"
    axes.annotate(text, place, xytext=(-4, 5), textcoords="offset points", ha="right", fontsize=8.5, color=INK)
    axes.set_xlim(left, right)


def _slanted(axes, rate: float, knee: float, text: str, colour: str) -> None:
    """Write along a slope, near its upper end, if there is room."""
    from matplotlib.patheffects import withStroke

    end, begin = 0.5 * knee, 0.15 * knee
    if begin < axes.get_xlim()[0]:
        return
    (x0, y0), (x1, y1) = axes.transData.transform([(begin, begin * rate), (end, end * rate)])
    angle = degrees(atan2(y1 - y0, x1 - x0))
    style = {"rotation": angle, "rotation_mode": "anchor", "ha": "right", "fontsize": 8.5, "color": colour}
    style |= {"zorder": 5, "path_effects": [withStroke(linewidth=3, foreground="white")]}  # read across what is behind
    axes.annotate(text, (end, end * rate), xytext=(0, 5), textcoords="offset points", **style)


def _legends(figure, axes, shown: Sequence[Row], ops: Mapping[str, str], directions: Mapping[str, str]) -> None:
    """Ops above (by colour), directions and the rival below (by form, and by colour where there is one op)."""
    forms = [d for d in MARKERS if any(row.direction == d for row in shown)]
    upper = [axes.plot([], [], "o", color=colour, label=op)[0] for op, colour in ops.items()]
    lower = [
        axes.plot([], [], MARKERS[form], color=directions.get(form, GREY), label=form.replace("_", " "))[0]
        for form in forms
    ]
    kind = next((row.kinds()[0] for row in shown if row.kinds()), None)
    if kind:
        lower.append(axes.plot([], [], "_", color=GREY, markersize=9, markeredgewidth=1.4, label=kind)[0])
    if upper:
        figure.legend(handles=upper, loc="outside right upper", **LEGEND)
    figure.legend(handles=lower, loc="outside right lower", **LEGEND)


def _intensity(row: Row) -> float:
    return row.flops / row.nbytes


def _rival_gflops(row: Row) -> float | None:
    """The speed of PyTorch in its fastest form, or of the first rival; ``None`` if there is none."""
    return row.flops / row.best(row.kinds()[0])[1].median / 1e6 if row.kinds() else None
