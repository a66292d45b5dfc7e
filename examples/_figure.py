"""What the figures of all examples share: options, style, and the sentence at the end."""

import argparse
from pathlib import Path

import matplotlib as mpl

from nbconv.data.pictures import check_picture_path
from nbconv.errors import FileFormatError

mpl.use("Agg")
import matplotlib.pyplot as plt

BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
COLOURS = (BLUE, RED, GREEN, ORANGE, PINK, SKY)
"""Okabe and Ito's colours, which people with any colour vision can tell apart."""

INK, FAINT = "#222222", "#DDDDDD"
STYLE = {
    "figure.dpi": 120,
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "axes.prop_cycle": mpl.cycler(color=COLOURS),
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "legend.frameon": False,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}


def options(description, name, *positional):
    """Read the command line: where the picture goes, and whether to be quick; ``positional`` are further arguments.

    A picture that could not be written is refused here, before anything is trained.
    """
    parser = argparse.ArgumentParser(description=description)
    for argument in positional:
        parser.add_argument(argument, nargs="?", type=Path)
    parser.add_argument("--output", type=Path, default=Path(f"{name}.png"), help="the picture [%(default)s]")
    parser.add_argument("--quick", action="store_true", help="train less: the figure shows less, too")
    args = parser.parse_args()
    try:
        check_picture_path(args.output)
    except FileFormatError as error:
        parser.error(f"--output: {error}")
    return args


def figure(width, height, rows=1, columns=1, **more):
    """Return a figure and its axes, in inches and in the style of the house."""
    plt.rcParams.update(STYLE)
    return plt.subplots(rows, columns, figsize=(width, height), **more)


def picture(axes, pixels, title="", **how):
    """Show an image without ticks, under a plain title."""
    axes.imshow(pixels, **how)
    axes.set_title(title, fontsize=10, weight="normal", loc="center")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def finish(figure, path, sentence):
    """Write the picture, and say what it shows."""
    figure.savefig(path)
    plt.close(figure)
    print(f"{path}: {sentence}")
