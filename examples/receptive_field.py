"""How many pixels one output sees: convolutions in a row, measured by the gradient that reaches the image."""

import numpy as np
from _figure import COLOURS, figure, finish, options, picture

import nbconv as nc

args = options(__doc__, "receptive_field")
SIZE = 97
depths = (1, 2, 3) if args.quick else range(1, 9)


def seen(depth, kernel, pooled=False):
    """The gradient of the output in the middle with respect to each pixel, for filters that average."""
    layers = []
    for i in range(depth):
        layers.append(nc.Conv2d(1, kernel, padding="same", bias=False))
        if pooled and i % 2 == 1:
            layers.append(nc.AvgPool2d(2))
    net = nc.Sequential(*layers, input_shape=(1, SIZE, SIZE), dtype="float64", device="cpu")
    net.load_state_dict({name: np.full_like(w, 1 / w.size) for name, w in net.state_dict().items()})
    out = net.forward(np.zeros((1, 1, SIZE, SIZE)), training=True, input_gradients=True)
    dy = np.zeros_like(out)
    dy[..., out.shape[2] // 2, out.shape[3] // 2] = 1
    return net.backward(dy)["input"][0, 0]


def predicted(depth, kernel, pooled=False):
    """Each layer adds (kernel - 1) steps of its input, and each pool doubles what a step is."""
    pixels, jump = 1, 1
    for i in range(depth):
        pixels += (kernel - 1) * jump
        if pooled and i % 2 == 1:
            pixels, jump = pixels + jump, 2 * jump
    return pixels


page, grid = figure(11, 5.4, 2, 4, width_ratios=(1, 1, 0.12, 2.2))
for axes in grid[:, 2:].flat:
    axes.remove()
for axes, depth in zip(grid[:, :2].flat, (1, 2, 3, 3) if args.quick else (1, 2, 4, 8), strict=True):
    field = seen(depth, 3)
    middle = slice(SIZE // 2 - 10, SIZE // 2 + 11)
    side = predicted(depth, 3)
    picture(
        axes,
        field[middle, middle] / field.max(),
        f"{depth} layer{'s' * (depth > 1)}: {side} x {side}",
        cmap="magma",
        vmax=1,
    )

axes = page.add_subplot(grid[0, 0].get_gridspec()[:, 3])
kinds = ((3, False, "3x3"), (5, False, "5x5"), (7, False, "7x7"), (3, True, "3x3, pool after every second"))
agree = True
for (kernel, pooled, label), colour, marker in zip(kinds, COLOURS, "os^D", strict=False):
    measured = [int(np.count_nonzero(seen(depth, kernel, pooled).any(axis=0))) for depth in depths]
    formula = [predicted(depth, kernel, pooled) for depth in depths]
    agree &= measured == formula
    axes.plot(depths, formula, color=colour, linewidth=1.2)
    axes.plot(depths, measured, marker, color=colour, label=label)
axes.set_xlabel("convolutions, one after another")
axes.set_ylabel("side of the receptive field (pixels)")
axes.set_title("A layer adds K - 1 pixels; a pool doubles the steps")
axes.legend(title="points: measured, lines: formula", loc="upper left")
page.suptitle("What the output in the middle sees (brighter: counts more)", x=0.01, ha="left", fontsize=10.5)
last = depths[-1]
finish(
    page,
    args.output,
    f"{last} layers of 3x3 see {predicted(last, 3)} pixels, {predicted(last, 3, True)} with a pool after every second; "
    f"measured by gradients, {'all' if agree else 'NOT all'} points are as the formula says",
)
