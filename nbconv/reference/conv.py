"""Convolution, plainly. Arrays are (N, H, W, C), weights (KH, KW, C / groups, K)."""

import numpy as np

from .activation import gate, rectify
from .pool import max_pool2d, max_pool2d_backward
from .windows import pad, seen, taps, unpad


def conv2d(op, x, weight, bias, *, out, argmax, scratch):
    def run():
        y = correlate(op, x, turned(weight) if op.flip else weight)
        if bias is not None:
            y += bias
        if op.activation == "relu":
            y = rectify(y)
        if op.pool:
            max_pool2d(op.pool, y, out=out, argmax=argmax)()
        else:
            out[...] = y

    return run


def conv2d_backward(op, dy, x, weight, out, argmax, *, dx, dweight, dbias, scratch):
    def run():
        d = gate(dy, out) if op.activation == "relu" else dy
        if op.pool:
            pooled, d = d, np.empty((len(x), *_count(op, x), op.out_channels), dy.dtype)
            max_pool2d_backward(op.pool, pooled, argmax, dx=d)()
        if dbias is not None:
            dbias[...] = d.sum(axis=(0, 1, 2), dtype=np.float64)
        if dweight is not None:
            gradient = correlate_to_weight(op, d, x)
            dweight[...] = turned(gradient) if op.flip else gradient
        if dx is not None:
            dx[...] = correlate_to_input(op, d, turned(weight) if op.flip else weight, x.shape)

    return run


def turned(weight):
    """Filters turned round, last tap first: to correlate with them is to convolve."""
    return weight[::-1, ::-1]


def correlate(op, x, weight):
    """y[n, i, j, k] = sum over r, s, c of padded[n, i * stride + r * dilation, ..., c] * weight[r, s, c, k]."""
    padded, count = pad(x, op.pads(x.shape), op.padding_mode), _count(op, x)
    y = np.zeros((len(x), *count, op.out_channels), x.dtype)
    for r, s in taps(op.kernel_size):
        pixels = seen(padded, (r, s), op.stride, op.dilation, count)
        for cs, ks in _groups(op, x.shape):
            y[..., ks] += pixels[..., cs] @ weight[r, s, :, ks]
    return y


def correlate_to_input(op, dy, weight, shape):
    """The same sum read backwards: each tap returns its share of dy to the pixel it saw."""
    n, _, _, c = shape
    top, bottom, left, right = pads = op.pads(shape)
    dpadded = np.zeros((n, shape[1] + top + bottom, shape[2] + left + right, c), dy.dtype)
    for r, s in taps(op.kernel_size):
        pixels = seen(dpadded, (r, s), op.stride, op.dilation, dy.shape[1:3])
        for cs, ks in _groups(op, shape):
            pixels[..., cs] += dy[..., ks] @ weight[r, s, :, ks].T
    return unpad(dpadded, pads, op.padding_mode)


def correlate_to_weight(op, dy, x):
    """Each weight's gradient: the product of what its tap saw and what came back, over all windows."""
    padded = pad(x, op.pads(x.shape), op.padding_mode)
    dweight = np.zeros((*op.kernel_size, x.shape[3] // op.groups, op.out_channels), x.dtype)
    for r, s in taps(op.kernel_size):
        pixels = seen(padded, (r, s), op.stride, op.dilation, dy.shape[1:3])
        for cs, ks in _groups(op, x.shape):
            dweight[r, s, :, ks] = np.tensordot(pixels[..., cs], dy[..., ks], axes=((0, 1, 2), (0, 1, 2)))
    return dweight


def _count(op, x):
    """How many windows fit: (H_out, W_out)."""
    top, bottom, left, right = op.pads(x.shape)
    room = x.shape[1] + top + bottom, x.shape[2] + left + right
    return tuple(
        (size - (k - 1) * d - 1) // s + 1
        for size, k, s, d in zip(room, op.kernel_size, op.stride, op.dilation, strict=True)
    )


def _groups(op, shape):
    """The channels of each group, as slices of the input's and of the output's."""
    c, k = shape[3] // op.groups, op.out_channels // op.groups
    return [(slice(g * c, (g + 1) * c), slice(g * k, (g + 1) * k)) for g in range(op.groups)]
