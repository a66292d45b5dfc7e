"""Pooling, plainly. Arrays are (N, H, W, C)."""

import numpy as np

from .windows import pad, seen, taps, unpad


def max_pool2d(op, x, *, out, argmax):
    border = _border(op, x.shape, out.shape, op.dilation)

    def run():
        padded, inside = pad(x, border), pad(np.ones_like(x, bool), border)
        out[...], argmax[...] = -np.inf, 0
        empty = np.ones(out.shape, bool)
        for position, tap in enumerate(taps(op.kernel_size)):
            value, valid = (seen(a, tap, op.stride, op.dilation, out.shape[1:3]) for a in (padded, inside))
            wins = valid & (empty | (value > out) | (np.isnan(value) & ~np.isnan(out)))
            out[wins], argmax[wins] = value[wins], position
            empty &= ~valid

    return run


def at_winner(op, x, argmax):
    """The pixel of x that won each window."""
    padded = pad(x, _border(op, x.shape, argmax.shape, op.dilation))
    values = [seen(padded, tap, op.stride, op.dilation, argmax.shape[1:3]) for tap in taps(op.kernel_size)]
    return np.take_along_axis(np.stack(values), argmax[None].astype(np.int64), axis=0)[0]


def max_pool2d_backward(op, dy, argmax, *, dx):
    border = _border(op, dx.shape, dy.shape, op.dilation)

    def run():
        dpadded = pad(np.zeros_like(dx), border)
        for position, tap in enumerate(taps(op.kernel_size)):
            pixels = seen(dpadded, tap, op.stride, op.dilation, dy.shape[1:3])
            pixels += np.where(argmax == position, dy, 0)
        dx[...] = unpad(dpadded, border)

    return run


def avg_pool2d(op, x, *, out):
    border = _border(op, x.shape, out.shape, (1, 1))

    def run():
        padded = pad(x, border)
        total = np.zeros_like(out)
        for tap in taps(op.kernel_size):
            total += seen(padded, tap, op.stride, (1, 1), out.shape[1:3])
        out[...] = total / _divisor(op, x.shape, out.shape)

    return run


def avg_pool2d_backward(op, dy, *, dx):
    border = _border(op, dx.shape, dy.shape, (1, 1))

    def run():
        dpadded = pad(np.zeros_like(dx), border)
        share = dy / _divisor(op, dx.shape, dy.shape)
        for tap in taps(op.kernel_size):
            pixels = seen(dpadded, tap, op.stride, (1, 1), dy.shape[1:3])
            pixels += share
        dx[...] = unpad(dpadded, border)

    return run


def global_avg_pool2d(op, x, *, out):
    def run():
        out[...] = x.mean(axis=(1, 2), dtype=np.float64)

    return run


def global_avg_pool2d_backward(op, dy, *, dx):
    _, height, width, _ = dx.shape

    def run():
        dx[...] = dy[:, None, None, :] / (height * width)

    return run


def global_max_pool2d(op, x, *, out, argmax):
    pixels = _pixels(x)

    def run():
        argmax[...] = pixels.argmax(axis=1)  # the first largest; NaN is larger than any number
        out[...] = np.take_along_axis(pixels, argmax[:, None].astype(np.int64), axis=1)[:, 0]

    return run


def global_max_pool2d_backward(op, dy, argmax, *, dx):
    pixels = _pixels(dx)

    def run():
        pixels[...] = 0
        np.put_along_axis(pixels, argmax[:, None].astype(np.int64), dy[:, None], axis=1)

    return run


def _pixels(x):
    """View (N, H, W, C) as (N, H * W, C)."""
    n, height, width, channels = x.shape
    return x.reshape(n, height * width, channels)


def _border(op, x_shape, out_shape, dilation):
    """The padding, and at the bottom and right whatever the last window reaches beyond it (``ceil_mode``)."""
    top, bottom, left, right = op.pads(x_shape)
    height, width = (
        (n - 1) * s + (k - 1) * d + 1
        for n, s, k, d in zip(out_shape[1:3], op.stride, op.kernel_size, dilation, strict=True)
    )
    return top, max(bottom, height - top - x_shape[1]), left, max(right, width - left - x_shape[2])


def _divisor(op, x_shape, out_shape):
    """What each window's sum is divided by, (1, H_out, W_out, 1): how many counted pixels it covers."""
    if op.divisor_override is not None:
        return op.divisor_override
    border, padding = _border(op, x_shape, out_shape, (1, 1)), op.pads(x_shape)
    beyond = [b - p for b, p in zip(border, padding, strict=True)]
    counted = pad(np.ones((1, *x_shape[1:3], 1), int), padding, value=int(op.count_include_pad))
    counted = pad(counted, beyond)
    return sum(seen(counted, tap, op.stride, (1, 1), out_shape[1:3]) for tap in taps(op.kernel_size))
