"""The end of a training step, in one block."""

from __future__ import annotations

from numba import cuda

from .kernel import THREADS, kernel


@kernel
def _advance(scores, rng, hyper, rows, out):
    """``rng`` has its triples one after the other."""
    thread = cuda.threadIdx.x
    if scores is not None:
        row = int(hyper[1]) % rows
        for i in range(thread, scores.size, THREADS):
            out[row, i] = scores[i]
    if rng is not None:
        for i in range(3 * thread + 1, rng.size, 3 * THREADS):
            rng[i] += 1
    cuda.syncthreads()  # all have read the count
    if thread == 0:
        hyper[1] += 1


def advance(op, scores, rng, hyper, *, out):
    return _advance[1, THREADS](scores, None if rng is None else rng.reshape(-1), hyper, op.rows, out)
