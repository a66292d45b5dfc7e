"""Dropout, plainly, with the random numbers it needs."""

import numpy as np

LOW = 0xFFFFFFFF
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
SHIFT = np.uint64(32)


def philox4x32(counter, key):
    """Philox 4x32-10: four random 32-bit words for each counter of four words, under a key of two words.

    ``counter`` is four integers or arrays of one shape; the result is four uint64 arrays that hold 32-bit words.
    """
    low = np.uint64(LOW)
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = (p1 >> SHIFT) ^ c1 ^ np.uint64(k0), p1 & low, (p0 >> SHIFT) ^ c3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + KEY_STEPS[0]) & LOW, (k1 + KEY_STEPS[1]) & LOW
    return c0, c1, c2, c3


def kept(op, shape, rng):
    """Which elements stay: one random word per element, four from each counter."""
    seed, step, node = (int(value) for value in rng)
    size = int(np.prod(shape))
    quads = np.arange(-(-size // 4), dtype=np.uint64)
    zeros = np.zeros_like(quads)
    counter = quads & np.uint64(LOW), quads >> SHIFT, zeros + np.uint64(step & LOW), zeros + np.uint64(node & LOW)
    words = np.stack(philox4x32(counter, (seed & LOW, seed >> 32 & LOW)), axis=1)
    return (words.ravel()[:size] >= op.threshold).reshape(shape)


def dropout(op, x, rng, *, out):
    def run():
        out[...] = np.where(kept(op, x.shape, rng), x * op.scale, 0)

    return run


def dropout_backward(op, dy, rng, *, dx):
    def run():
        dx[...] = np.where(kept(op, dy.shape, rng), dy * op.scale, 0)

    return run


def dropout2d(op, x, rng, *, out, scratch):
    def run():
        channels = kept(op, (len(x), x.shape[-1]), rng)
        out[...] = np.where(np.expand_dims(channels, tuple(range(1, x.ndim - 1))), x * op.scale, 0)

    return run


def dropout2d_backward(op, dy, rng, *, dx, scratch):
    return dropout2d(op, dy, rng, out=dx, scratch=scratch)
