"""Sums over the threads of a block, in a fixed order: the same bits from run to run."""

from __future__ import annotations

from numba import cuda

from .kernel import THREADS, device_function


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
