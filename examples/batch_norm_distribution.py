"""What batch normalisation does to a distribution: the values of three layers, before and after."""

import numpy as np
from _figure import BLUE, INK, RED, figure, finish, options

import nbconv as nc
from nbconv import functional as F

args = options(__doc__, "batch_norm_distribution")
(x, _), _ = nc.data.digits()
rng = np.random.default_rng(0)
h = x[: 256 if args.quick else 1024].reshape(-1, 64).astype(np.float32)

page, grid = figure(10, 6, 3, 2, sharex="col")
deviations = []
for depth, (left, right) in enumerate(grid, 1):
    leaning = rng.normal(0.04, 0.25, (64, 64)).astype(np.float32)  # weights that are positive a little more often
    h = F.linear(h, leaning)
    normal = F.batch_norm(h, None, None, training=True)
    deviations.append(h.std())
    for axes, values, colour, limits in (left, h, RED, (-14, 34)), (right, normal, BLUE, (-4.5, 4.5)):
        axes.hist(values.ravel(), np.linspace(*limits, 120), density=True, color=colour, alpha=0.75)
        axes.set_xlim(limits)
        axes.set_yticks([])
        axes.grid(visible=False)
        label = f"mean {abs(values.mean()):.1f}\ns.d. {values.std():.1f}"
        axes.text(0.98, 0.9, label, transform=axes.transAxes, ha="right", va="top", color=INK)
    left.set_ylabel(f"layer {depth}\ndensity")
    h = F.relu(h)
bell = np.linspace(-4.5, 4.5, 200)
for axes in grid[:, 1]:
    axes.plot(bell, np.exp(-(bell**2) / 2) / np.sqrt(2 * np.pi), color=INK, linewidth=1, linestyle="--")
grid[0, 0].set_title("Before: every layer spreads wider")
grid[0, 1].set_title("After batch norm: the same everywhere")
grid[2, 0].set_xlabel("value of a linear layer")
grid[2, 1].set_xlabel("value after batch norm (dashed: normal distribution)")
finish(
    page,
    args.output,
    f"the standard deviation grows from {deviations[0]:.1f} to {deviations[-1]:.1f} over three layers; batch norm "
    f"gives every channel mean 0 and standard deviation 1, wherever it began",
)
