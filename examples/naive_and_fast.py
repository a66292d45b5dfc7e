"""A convolution as it is taught, in four loops, against the same from nbconv's kernels, on the shape of the course."""

from time import perf_counter

import numpy as np
from _figure import BLUE, RED, figure, finish, options

from nbconv.compat.cs231n import conv_backward_fast, conv_backward_naive, conv_forward_fast, conv_forward_naive

args = options(__doc__, "naive_and_fast")
batches = (1, 2) if args.quick else (1, 2, 5, 10)
rng = np.random.default_rng(0)
x = rng.standard_normal((batches[-1], 3, 31, 31))
w, b, param = rng.standard_normal((25, 3, 3, 3)), rng.standard_normal(25), {"stride": 2, "pad": 1}
dout = rng.standard_normal((len(x), 25, 16, 16))


def seconds(function, *given, repeats):
    """What a function returns, and the shortest of some runs."""
    times = []
    for _ in range(repeats):
        began = perf_counter()
        result = function(*given)
        times.append(perf_counter() - began)
    return result, min(times)


def pass_over(n, forward, backward, repeats):
    """The results of both passes over n images, and the seconds that each took."""
    (out, cache), there = seconds(forward, x[:n], w, b, param, repeats=repeats)
    gradients, back = seconds(backward, dout[:n], cache, repeats=repeats)
    return (out, *gradients), (there, back)


conv_backward_fast(dout, conv_forward_fast(x, w, b, param)[1])  # compiles
times, residual = [], 0.0
for n in batches:
    slow, naive_seconds = pass_over(n, conv_forward_naive, conv_backward_naive, 1 if args.quick else 3)
    quick, fast_seconds = pass_over(n, conv_forward_fast, conv_backward_fast, 100)
    times.append((naive_seconds, fast_seconds))
    differences = (np.abs(a - c).max() / np.abs(a).max() for a, c in zip(slow, quick, strict=True))
    residual = max(residual, *differences)
times = np.array(times)  # (batch, naive or fast, forward or backward)
ratios = times[-1, 0] / times[-1, 1]

page, grid = figure(11, 4.8, 1, 2, sharey=True)
n = batches[-1]
for axes, name, (slow, quick), ratio in zip(
    grid, ("forward", "backward"), times.transpose(2, 1, 0), ratios, strict=True
):
    axes.loglog(batches, slow, marker="s", color=RED, label="the course's four loops over NumPy")
    axes.loglog(batches, quick, marker="o", color=BLUE, label="nbconv's kernels")
    axes.annotate("", (n, quick[-1] * 1.3), (n, slow[-1] / 1.3), arrowprops={"arrowstyle": "<->", "color": "#555555"})
    middle = np.sqrt(slow[-1] * quick[-1])
    axes.annotate(f"{ratio:,.0f} times", (n, middle), (-7, 0), textcoords="offset points", color="#555555", ha="right")
    axes.set_xticks(batches, batches)
    axes.minorticks_off()
    axes.set_xlabel("images of 3x31x31")
    axes.set_title(f"{name.capitalize()}: {ratio:,.0f} times faster")
page.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
grid[0].set_ylabel("seconds")
page.suptitle(
    f"25 filters of 3x3, stride 2, padding 1, float64: all results agree to {residual:.0e} of the largest", fontsize=11
)
finish(
    page,
    args.output,
    f"on {n} images the kernels are {ratios[0]:,.0f} times faster forward and {ratios[1]:,.0f} times backward than "
    f"four loops over NumPy, and differ by at most {residual:.0e} of the largest value",
)
