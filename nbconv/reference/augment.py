"""Normalisation, random flips and crops, plainly. Arrays are (N, H, W, C); those of ``normalize`` end in C."""

import numpy as np

from .dropout import LOW, SHIFT, philox4x32


def words(count, rng):
    """Four random 32-bit words for each of ``count`` samples: (count, 4)."""
    seed, step, node = (int(value) for value in rng)
    n = np.arange(count, dtype=np.uint64)
    zeros = np.zeros_like(n)
    counter = n & np.uint64(LOW), n >> SHIFT, zeros + np.uint64(step & LOW), zeros + np.uint64(node & LOW)
    return np.stack(philox4x32(counter, (seed & LOW, seed >> 32 & LOW)), axis=1)


def normalize(op, x, *, out):
    scale, mean, std = (np.asarray(value, out.dtype) for value in (op.scale, op.mean, op.std))

    def run():
        out[...] = (x.astype(out.dtype) * scale - mean) / std

    return run


def normalize_backward(op, dy, *, dx):
    scale, std = (np.asarray(value, dx.dtype) for value in (op.scale, op.std))

    def run():
        dx[...] = dy * scale / std

    return run


def random_horizontal_flip(op, x, rng, *, out):
    def run():
        turned = words(len(x), rng)[:, 0] < op.threshold
        out[...] = np.where(turned[:, None, None, None], x[:, :, ::-1], x)

    return run


def random_horizontal_flip_backward(op, dy, rng, *, dx):
    return random_horizontal_flip(op, dy, rng, out=dx)


def corners(op, shape, rng):
    """The row and column of each image at which its window begins."""
    drawn = words(shape[0], rng)
    rows, columns = op.offsets(shape)
    return [(rows[int(a) * len(rows) >> 32], columns[int(b) * len(columns) >> 32]) for a, b, *_ in drawn]


def random_crop(op, x, rng, *, out):
    def run():
        out[...] = 0
        for n, (top, left) in enumerate(corners(op, x.shape, rng)):
            for i in range(out.shape[1]):
                for j in range(out.shape[2]):
                    if 0 <= i + top < x.shape[1] and 0 <= j + left < x.shape[2]:
                        out[n, i, j] = x[n, i + top, j + left]

    return run


def random_crop_backward(op, dy, rng, *, dx):
    def run():
        dx[...] = 0
        for n, (top, left) in enumerate(corners(op, dx.shape, rng)):
            for i in range(dy.shape[1]):
                for j in range(dy.shape[2]):
                    if 0 <= i + top < dx.shape[1] and 0 <= j + left < dx.shape[2]:
                        dx[n, i + top, j + left] = dy[n, i, j]

    return run
