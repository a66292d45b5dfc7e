"""Dropout's effect on training and validation accuracy: 500 noisy digits, and a net that can learn all by heart."""

import numpy as np
from _figure import COLOURS, figure, finish, options

import nbconv as nc

args = options(__doc__, "dropout")
epochs = 4 if args.quick else 50
seeds = range(1 if args.quick else 3)
rates = (0.0, 0.25, 0.5, 0.75)
rng = np.random.default_rng(0)
(x, y), (xv, yv) = nc.data.digits()
x, xv = ((images + 0.4 * rng.standard_normal(images.shape)).astype(np.float32) for images in (x[:500], xv))
y = y[:500]


def history(p, seed):
    net = nc.Sequential(
        nc.Flatten(), nc.Linear(500), nc.ReLU(), nc.Dropout(p), nc.Linear(10), input_shape=(1, 8, 8), seed=seed
    )
    net.compile(nc.Adam(lr=1e-3), "cross_entropy", ["accuracy"])
    curves = {"training": [], "validation": []}
    for _ in range(epochs):
        net.fit(x, y, batch_size=50, verbose=0)
        curves["training"].append(net.evaluate(x, y)["accuracy"])
        curves["validation"].append(net.evaluate(xv, yv)["accuracy"])
    return curves


page, grid = figure(11, 4.8, 1, 2, sharey=True)
final = {}
for p, colour in zip(rates, COLOURS, strict=False):
    runs = [history(p, seed) for seed in seeds]
    for axes, kind in zip(grid, ("training", "validation"), strict=True):
        mean = 100 * np.mean([run[kind] for run in runs], axis=0)
        axes.plot(range(1, epochs + 1), mean, color=colour, label=f"p = {p:g}")
        final[p, kind] = mean[-1]
for axes, kind in zip(grid, ("training", "validation"), strict=True):
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"{kind} accuracy (%), mean of {len(seeds)} seed{'s' * (len(seeds) > 1)}")
    axes.set_title(f"{kind.capitalize()}: {final[0.0, kind]:.1f} % without, {final[0.75, kind]:.1f} % with p = 0.75")
grid[0].set_ylim(40, 101)
grid[1].legend(title="probability of dropping", loc="lower right")
gap = {p: final[p, "training"] - final[p, "validation"] for p in rates}
kinds = [
    f"{kind} accuracy from {final[0.0, kind]:.1f} % to {final[0.75, kind]:.1f} %" for kind in ("training", "validation")
]
finish(
    page,
    args.output,
    f"dropout with p = 0.75 moves {' and '.join(kinds)}: the gap goes from {gap[0.0]:.1f} to {gap[0.75]:.1f} points",
)
