"""What this machine can do at most: multiply-adds in registers, and bytes copied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from time import perf_counter

import numba
import numpy as np
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from nbconv.cpu.chunks import chunk_count, chunk_range
from nbconv.cpu.compile import kernel
from nbconv.cpu.device import empty, sequence
from nbconv.cpu.vector import lanes
from nbconv.cpu.vectors import INTEGER, REGISTERS, Vectors, pointers

CHAINS = REGISTERS - 6
"""Sums that are independent of each other: enough to hide the latency of one, and all in registers."""
ROUNDS = 1024
PIECES = 64
SECONDS = 0.3
CLOSE, TRIES = 0.85, 8
COPIES = tuple(2**power for power in (18, 20, 22, 24, 25, 26, 29))
"""Bytes read and written by a copy, from what a core's own cache holds to what none does."""


@intrinsic
def fma_chains(typingctx, numbers, rounds):
    """Make ``rounds`` times CHAINS vector multiply-adds on registers; ``numbers`` has a vector for start and factor."""
    signature = types.void(numbers, rounds)

    def generate(context, builder, signature, arguments):
        at, count = pointers(context, builder, signature, arguments)
        v = Vectors(context, builder, numbers.dtype)
        factor, term = v.load(at), v.load(v.at(at, v.lanes))
        sums = [v.variables(v.load(v.at(at, v.lanes))) for _ in range(CHAINS)]
        with cgutils.for_range(builder, builder.sext(count, INTEGER) if count.type != INTEGER else count):
            for value in sums:
                v.add_product(value, factor, term)
        total = v.get(sums[0])
        for value in sums[1:]:
            total = v.add(total, v.get(value))
        v.store(total, v.at(at, 2 * v.lanes))
        return context.get_dummy_value()

    return signature, generate


@kernel
def run_chains(numbers, rounds):
    for piece in prange(len(numbers)):
        fma_chains(numbers[piece], rounds)


@kernel
def copy_array(source, target, grain):
    for chunk in prange(chunk_count(source.size, grain)):
        for i in chunk_range(chunk, source.size, grain):
            target[i] = source[i]


@dataclass(frozen=True)
class Peaks:
    """GFLOP/s of multiply-adds, and GB/s (read and written) of copies by how many bytes they move."""

    gflops: float
    copies: dict[int, float]

    def copy(self, nbytes: int) -> float:
        """GB/s of a copy that moves about as many bytes, which therefore lie in the same cache, or in none."""
        nearest = min(self.copies, key=lambda size: abs(log(size / max(nbytes, 1))))
        return self.copies[nearest]

    @property
    def memory(self) -> float:
        """GB/s of a copy that is larger than all caches."""
        return self.copies[max(self.copies)]

    def limit(self, flops: int, nbytes: int) -> tuple[float, str]:
        """The least milliseconds in which this could be done, and what it is that takes them: "FMA" or "copy"."""
        arithmetic, traffic = flops / self.gflops / 1e6, nbytes / self.copy(nbytes) / 1e6
        return max((arithmetic, "FMA"), (traffic, "copy"))


def measure(dtype: str = "float32", threads: int | None = None, seconds: float = SECONDS) -> Peaks:
    """Return this machine's peaks, each the best of runs for about ``seconds``."""
    return Peaks(_gflops(dtype, threads, seconds), {n: _copy_rate(n, threads, seconds) for n in COPIES})


def _gflops(dtype: str, threads: int | None, seconds: float) -> float:
    """Measured again if all threads stay far below as many times one: then others have been computing."""
    width = lanes(dtype)
    numbers = empty((PIECES, 3 * width), dtype)
    numbers[...] = 0.5
    flops = 2 * width * CHAINS * ROUNDS * PIECES

    def measured(threads: int) -> float:
        return flops / _best(lambda: run_chains(numbers, ROUNDS), threads, seconds / 2) / 1e9

    wanted = threads or numba.config.NUMBA_NUM_THREADS
    enough, rates = CLOSE * wanted * measured(1), [measured(wanted)]
    while rates[-1] < enough and len(rates) < TRIES:
        rates.append(measured(wanted))
    return max(rates)


def _copy_rate(nbytes: int, threads: int | None, seconds: float) -> float:
    count = nbytes // 8
    source, target = empty((count,), "float32"), empty((count,), "float32")
    source[...], target[...] = 1, 0
    grain = min(2**14, count // 2)
    alone = _best(lambda: np.copyto(target, source), None, seconds / 2)
    shared = _best(lambda: copy_array(source, target, grain), threads, seconds / 2)
    return nbytes / min(alone, shared) / 1e9


def _best(call: Callable, threads: int | None, seconds: float) -> float:
    """The fewest seconds of a call: after the first, calls of this many threads, for about ``seconds``."""
    run = sequence([call], threads)
    run()
    best, end = float("inf"), perf_counter() + seconds
    while True:
        begin = perf_counter()
        run()
        now = perf_counter()
        best = min(best, now - begin)
        if now > end:
            return best
