"""How long calls take. Rivals are timed in turns, so that a machine that slows down slows all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter
from typing import NamedTuple

LEAST_ROUNDS = 3


class Timing(NamedTuple):
    """Milliseconds of one call: the first (with compilation), and the least and the median of the others."""

    first: float
    least: float
    median: float


def compare(calls: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, Timing]:
    """Time calls in turns, for about this long each; a call must return when its work is done.

    ``compare({"a": f, "b": g}, seconds=0.5)["a"].median``. What takes less than a millisecond is repeated within a
    round, so that the clock does not count.
    """
    first = {name: _timed(call, 1) for name, call in calls.items()}
    once = {name: _timed(call, 1) for name, call in calls.items()}
    repeats = {name: max(1, int(1e-3 / max(took, 1e-9))) for name, took in once.items()}
    rounds = max(LEAST_ROUNDS, min(1000, int(seconds / max(once[n] * repeats[n] for n in calls))))
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(rounds):
        for name in list(calls)[:: 1 if i % 2 else -1]:
            taken[name].append(_timed(calls[name], repeats[name]))
    return {name: Timing(1e3 * first[name], 1e3 * min(times), 1e3 * median(times)) for name, times in taken.items()}


def _timed(call: Callable[[], object], repeats: int) -> float:
    """Seconds of one call, as the mean of several."""
    begin = perf_counter()
    for _ in range(repeats):
        call()
    return (perf_counter() - begin) / repeats
