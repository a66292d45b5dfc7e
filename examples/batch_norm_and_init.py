"""Batch normalisation against the scale of the initial weights: a deep net on the digits, with it and without."""

import numpy as np
from _figure import BLUE, RED, figure, finish, options

import nbconv as nc

args = options(__doc__, "batch_norm_and_init")
scales = np.logspace(-4, 0.5, 4 if args.quick else 13)
epochs = 6 if args.quick else 12
(x, y), (xv, yv) = nc.data.digits()
x, y = x[:600], y[:600]


def accuracy(scale, batch_norm):
    """Train five hidden layers whose weights begin with this standard deviation."""
    layers = [nc.Flatten()]
    for _ in range(5):
        layers += [nc.Linear(64, init=float(scale)), *([nc.BatchNorm()] if batch_norm else []), nc.ReLU()]
    net = nc.Sequential(*layers, nc.Linear(10, init=float(scale)), input_shape=(1, 8, 8), seed=0)
    net.compile(nc.Adam(lr=2e-3), "cross_entropy", ["accuracy"])
    net.fit(x, y, batch_size=50, epochs=epochs, verbose=0)
    return net.evaluate(xv, yv)["accuracy"]


page, axes = figure(8, 4.8)
results = {}
for batch_norm, label, colour, marker in (True, "with batch norm", BLUE, "o"), (False, "without", RED, "s"):
    results[batch_norm] = np.array([accuracy(scale, batch_norm) for scale in scales])
    axes.semilogx(scales, 100 * results[batch_norm], marker=marker, color=colour, label=label)
kaiming = np.sqrt(2 / 64)
axes.axvline(kaiming, color="#888888", linewidth=1, linestyle="--")
axes.annotate(f"Kaiming: {kaiming:.2f}", (kaiming, 3), (-6, 0), textcoords="offset points", color="#555555", ha="right")
axes.set_xlabel("standard deviation of the initial weights")
axes.set_ylabel(f"accuracy on test digits after {epochs} epochs (%)")
axes.set_ylim(0, 103)
axes.legend(loc="center left", bbox_to_anchor=(0, 0.55))
good = {key: int((values > 0.8).sum()) for key, values in results.items()}
axes.set_title(f"With batch norm {good[True]} of {len(scales)} weight scales learn to 80 %; without it, {good[False]}")
finish(
    page,
    args.output,
    f"with batch norm {good[True]} of {len(scales)} initial weight scales reach 80 % accuracy, without it "
    f"{good[False]}",
)
