"""Philox 4x32-10, the counter-based generator of Salmon et al. (2011): the same words as on every other device."""

from __future__ import annotations

import numpy as np

from .kernel import device_function

LOW, SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
MULTIPLIER_0, MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
KEY_STEP_0, KEY_STEP_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


@device_function
def philox(quad, rng):
    """Return four random 32-bit words, in uint64, of the counter (quad, its high word, step, node), all integers.

    ``rng`` is the array (seed, step, node). All words are kept in 64 bits, so that products are whole.
    """
    seed, quad = np.uint64(rng[0]), np.uint64(quad)
    c0, c1, c2, c3 = quad & LOW, quad >> SHIFT, np.uint64(rng[1]) & LOW, np.uint64(rng[2]) & LOW
    k0, k1 = seed & LOW, seed >> SHIFT
    for _ in range(10):
        p0, p1 = c0 * MULTIPLIER_0, c2 * MULTIPLIER_1
        c0, c1, c2, c3 = (p1 >> SHIFT) ^ c1 ^ k0, p1 & LOW, (p0 >> SHIFT) ^ c3 ^ k1, p0 & LOW
        k0, k1 = (k0 + KEY_STEP_0) & LOW, (k1 + KEY_STEP_1) & LOW
    return c0, c1, c2, c3
