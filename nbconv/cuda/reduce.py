"""Sums in a fixed order, so that they have the same bits from run to run: over a block, or over many and then one.

A long sum is one of pieces: each block sums ``PIECE`` numbers, and a second, small kernel sums what they found.
"""

from __future__ import annotations

import numpy as np
from numba import cuda

from .kernel import THREADS, device_function, kernel

PIECE = 32 * THREADS
"""Numbers that a block of a long sum adds up."""


@device_function
def block_sum(partial, value):
    """Return the sum of ``value`` over a block of ``THREADS`` threads, to each of them.

    ``partial`` is shared memory for a number per thread. All threads of the block must come here.
    """
    thread = cuda.threadIdx.x
    cuda.syncthreads()  # an earlier sum in the same memory has been read
    partial[thread] = value
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if thread < half:
            partial[thread] += partial[thread + half]
        cuda.syncthreads()
        half //= 2
    return partial[0]


@device_function
def sum_of(values, partial):
    """Return the sum of an array to each thread of the only block; ``partial`` as for ``block_sum``."""
    total = np.float64(0)
    for i in range(cuda.threadIdx.x, values.size, THREADS):
        total += values[i]
    return block_sum(partial, total)


@kernel
def _mean_of_pieces(pieces, count, out):
    partial = cuda.shared.array(THREADS, np.float64)
    total = sum_of(pieces, partial)
    if cuda.threadIdx.x == 0:
        out[0] = total / count


def mean_of_pieces(pieces, count, out):
    """The sum of what blocks found, over the number of all that they looked at; one block does it."""
    return _mean_of_pieces[1, THREADS](pieces, count, out)


def piece_count(size: int) -> int:
    """How many blocks sum ``size`` numbers, ``PIECE`` each: it depends on nothing else."""
    return max(1, -(-size // PIECE))
