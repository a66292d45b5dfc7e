"""How long calls take, when several libraries with threads of their own share one process.

The threads of OpenMP spin for some milliseconds after a parallel loop, in case another follows. PyTorch and Numba have
a pool each, so that whoever runs right after the other finds its cores busy with somebody else's waiting. Calls are
therefore timed in blocks that alternate: a block begins with untimed calls of its own, for longer than anything spins,
and only then come the timed ones. That is what a training loop sees, it is the same for both sides, and a machine that
slows down for a while slows all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter
from typing import NamedTuple

Call = Callable[[], object]

SETTLE = 4e-3
"""Seconds of untimed calls at the beginning of a block: idle threads of another library have gone to sleep by then."""
BLOCK = 25e-3
"""Seconds of timed calls in a block."""
SAMPLE = 50e-6
"""Shorter calls are timed several at once, so that the clock does not count."""
LEAST_ROUNDS = 3
LAUNCHES = 2e-3
"""On a GPU, calls are launched for at least this long before anybody waits: the wait itself does not count then."""
SLOW = 20
"""What has taken this many times the seconds it was given is timed no more: plain NumPy may take minutes."""


class Timing(NamedTuple):
    """Milliseconds of one call: the first (with compilation), and the least and the median of the others."""

    first: float
    least: float
    median: float


def compare(
    calls: Mapping[str, Call],
    seconds: float,
    begin: Callable[[str], None] | None = None,
    finish: Call | None = None,
) -> dict[str, Timing]:
    """Time calls in alternating blocks, for about this long each.

    A call must return when its work is done, or, where it only launches work on a GPU, ``finish`` must wait for that:
    it ends each sample, within the time that is taken.

    ``compare({"a": f, "b": g}, seconds=0.5)["a"].median``. Every call is timed in at least three blocks, before each of
    which ``begin`` is told whose it is.
    """
    first = {name: _timed(call, finish=finish) for name, call in calls.items()}
    runs = {name: _Run(call, min(BLOCK, seconds), finish) for name, call in calls.items()}
    rounds = max(LEAST_ROUNDS, round(seconds / BLOCK))
    for i in range(rounds):
        for name in list(calls)[:: -1 if i % 2 else 1]:
            if runs[name].total <= SLOW * seconds or not runs[name].samples:
                if begin:
                    begin(name)
                runs[name].block()
    return {name: Timing(1e3 * first[name], *runs[name].result()) for name in calls}


class _Run:
    """The samples of one call, taken block by block."""

    def __init__(self, call: Call, block: float, finish: Call | None):
        self._call, self._block, self._finish = call, block, finish
        once = max(_timed(call, finish=finish), 1e-9)
        self._settle = int(SETTLE / once) + 1 if once < BLOCK and block else 0
        self._repeats = int((LAUNCHES if finish else SAMPLE) / once) + 1
        self._count = max(1, int(block / (once * self._repeats)))
        self.samples: list[float] = []
        self.total = 0.0

    def block(self) -> None:
        for _ in range(self._settle):
            self._call()
        if self._finish:
            self._finish()
        for _ in range(self._count):
            self.samples.append(_timed(self._call, self._repeats, self._finish))
            self.total += self.samples[-1] * self._repeats

    def result(self) -> tuple[float, float]:
        """The least and the median sample, in milliseconds."""
        return 1e3 * min(self.samples), 1e3 * median(self.samples)


def _timed(call: Call, repeats: int = 1, finish: Call | None = None) -> float:
    """Seconds of one call, as the mean of several."""
    begin = perf_counter()
    for _ in range(repeats):
        call()
    if finish:
        finish()
    return (perf_counter() - begin) / repeats
