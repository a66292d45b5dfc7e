"""For students: check a convolution of one's own against the reference device, forward and backward."""

import numpy as np

from nbconv import functional as F


def my_conv(x, weight, bias, pad):
    """The four loops of every course."""
    n, _, height, width = x.shape
    k, _, kh, kw = weight.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    y = np.zeros((n, k, height + 2 * pad - kh + 1, width + 2 * pad - kw + 1))
    for image in range(n):
        for filter_ in range(k):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    window = padded[image, :, i : i + kh, j : j + kw]
                    y[image, filter_, i, j] = (window * weight[filter_]).sum() + bias[filter_]
    return y


rng = np.random.default_rng(0)
x, weight, bias = rng.standard_normal((2, 3, 7, 5)), rng.standard_normal((4, 3, 3, 3)), rng.standard_normal(4)

mine = my_conv(x, weight, bias, pad=1)
for device in "reference", "cpu":
    difference = np.abs(mine - F.conv2d(x, weight, bias, padding=1, device=device)).max()
    print(f"forward, against {device}: largest difference {difference:.1e}")

dy = rng.standard_normal(mine.shape)
dx, dweight, dbias = F.conv2d_backward(dy, x, weight, padding=1, device="reference")
step = 1e-6
moved = weight.copy()
moved[1, 2, 0, 1] += step
numerical = ((my_conv(x, moved, bias, pad=1) - mine) * dy).sum() / step
print(f"dweight[1, 2, 0, 1]: {dweight[1, 2, 0, 1]:.6f}, by a finite difference {numerical:.6f}")
