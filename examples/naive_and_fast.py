"""A convolution as it is taught, in four loops, against the same from nbconv's kernels, on the shape of the course."""

from time import perf_counter

import numpy as np
from _figure import BLUE, RED, figure, finish, options

from nbconv import functional as F

args = options(__doc__, "naive_and_fast")
batches = (1, 2) if args.quick else (1, 2, 5, 10)
rng = np.random.default_rng(0)
weight, bias = rng.standard_normal((25, 3, 3, 3)), rng.standard_normal(25)


def naive(x, weight, bias, stride=2, pad=1):
    """For each image, filter and place: multiply a window by the filter and add up."""
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    size = (padded.shape[2] - weight.shape[2]) // stride + 1
    y = np.zeros((len(x), len(weight), size, size))
    for n in range(len(x)):
        for k in range(len(weight)):
            for i in range(size):
                for j in range(size):
                    window = padded[n, :, i * stride : i * stride + 3, j * stride : j * stride + 3]
                    y[n, k, i, j] = np.sum(window * weight[k]) + bias[k]
    return y


def fast(x, weight, bias):
    return F.conv2d(x, weight, bias, stride=2, padding=1)


def seconds(function, x, repeats):
    """The shortest of some runs, after one that compiles."""
    times = []
    for _ in range(repeats):
        began = perf_counter()
        function(x, weight, bias)
        times.append(perf_counter() - began)
    return min(times)


images = rng.standard_normal((batches[-1], 3, 31, 31))
residual = np.abs(naive(images[:1], weight, bias) - fast(images[:1], weight, bias)).max()
slow = [seconds(naive, images[:n], 1) for n in batches]
quick = [seconds(fast, images[:n], 100) for n in batches]
ratio = slow[-1] / quick[-1]

page, axes = figure(8, 4.8)
axes.loglog(batches, slow, marker="s", color=RED, label="four loops in Python")
axes.loglog(batches, quick, marker="o", color=BLUE, label="nbconv.functional.conv2d")
n = batches[-1]
axes.annotate("", (n, quick[-1] * 1.3), (n, slow[-1] / 1.3), arrowprops={"arrowstyle": "<->", "color": "#555555"})
middle = np.sqrt(slow[-1] * quick[-1])
axes.annotate(f"{ratio:,.0f} times", (n, middle), (-7, 0), textcoords="offset points", color="#555555", ha="right")
axes.set_xlabel("images of 3x31x31 (25 filters of 3x3, stride 2, padding 1, float64)")
axes.set_ylabel("time of the forward pass (seconds)")
axes.set_title(f"The same sums {ratio:,.0f} times faster; largest difference {residual:.0e}")
axes.legend(loc="center left", bbox_to_anchor=(0, 0.45))
finish(
    page,
    args.output,
    f"on {n} images the kernels are {ratio:,.0f} times faster than four loops, and differ by at most {residual:.0e}",
)
