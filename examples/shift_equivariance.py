"""A convolution moves with its image: circular padding and a global mean make features that no shift can change."""

import numpy as np
from _figure import BLUE, RED, figure, finish, options, picture

import nbconv as nc

args = options(__doc__, "shift_equivariance")
SIZE, SHIFT = 32, (7, 11)


def net(padding_mode):
    """Three convolutions; their maps, and the mean of each."""
    image = nc.Input((1, SIZE, SIZE))
    maps = image
    for _ in range(3):
        maps = nc.ReLU()(nc.Conv2d(8, 3, padding=1, padding_mode=padding_mode)(maps))
    return nc.Model(image, [maps, nc.GlobalAvgPool2d()(maps)], seed=0)


rows, columns = np.mgrid[0:SIZE, 0:SIZE]
image = ((np.abs(rows - 16) < 6) & (np.abs(columns - 14) < 9) & ~((np.abs(rows - 15) < 2) & (columns > 14))).astype(
    np.float32
)
circular, zeros = net("circular"), net("zeros")

step = 8 if args.quick else 1
distances = np.arange(0, SIZE, step)
shifted = np.stack([np.roll(image, (d, d), axis=(0, 1)) for d in distances])[:, None]
change = {}
for name, model in ("circular padding", circular), ("zero padding", zeros):
    _, pooled = model.predict(shifted)
    change[name] = np.abs(pooled - pooled[0]).max(axis=1) / np.abs(pooled[0]).max()

page, grid = figure(11, 5.6, 2, 4, width_ratios=(1, 1, 0.15, 2.1))
for row, (title, pixels) in zip(
    grid, (("an image", image), ("moved by 7 down, 11 right", np.roll(image, SHIFT, axis=(0, 1)))), strict=True
):
    maps, _ = circular.predict(pixels[None, None])
    picture(row[0], pixels, title, cmap="gray")
    picture(row[1], maps[0].mean(axis=0), "mean of its maps", cmap="magma")
maps = circular.predict(np.stack([image, np.roll(image, SHIFT, axis=(0, 1))])[:, None])[0]
difference = np.abs(np.roll(maps[0], SHIFT, axis=(1, 2)) - maps[1]).max() / np.abs(maps).max()
for axes in grid[:, 2:].flat:
    axes.remove()
axes = page.add_subplot(grid[0, 0].get_gridspec()[:, 3])
for (name, values), colour, marker in zip(change.items(), (BLUE, RED), "os", strict=True):
    axes.semilogy(distances, np.maximum(values, 1e-9), marker=marker, color=colour, label=name)
axes.axhline(1e-6, color="#888888", linewidth=1, linestyle="--")
axes.set_ylim(5e-10, 3)
axes.set_xlabel("shift down and to the right (pixels, cyclic)")
axes.set_ylabel("largest change of a pooled feature, relative (0 drawn at $10^{-9}$)")
axes.set_title("Features stay with circular padding, not with zeros")
axes.legend(loc="center", bbox_to_anchor=(0.5, 0.55))
moved = f"to {difference:.1e} of the largest value" if difference else "bit for bit"
worst = {name: values.max() for name, values in change.items()}
finish(
    page,
    args.output,
    f"maps move with the image ({moved}), and their means change by at most "
    f"{worst['circular padding']:.1e} with circular padding, against {worst['zero padding']:.2f} with zeros",
)
