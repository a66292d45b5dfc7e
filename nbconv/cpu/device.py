"""Memory, threads and execution of the CPU."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from threading import RLock

import llvmlite.binding as llvm
import numba
import numpy as np

from ..errors import OptionError
from ..host import adopt, copy, empty, fetch, fill, get, intake, put, steps_at_once, take, write
from ..io.kernel_files import watch
from .cache import folder
from .compile import OBSTACLE
from .threads import ADVICE, provide_layer, threading_layer
from .vector import FEATURES, VECTOR_BITS

__all__ = [
    "adopt",
    "available",
    "copy",
    "describe",
    "empty",
    "fetch",
    "fill",
    "get",
    "intake",
    "on_compile",
    "put",
    "sequence",
    "steps_at_once",
    "synchronize",
    "take",
    "unit",
    "write",
]

provide_layer()  # before anything starts Numba's threads

_WORKQUEUE = RLock()
"""Numba's own threading layer ends the process if two Python threads start parallel loops at once (numba#8563)."""


def available() -> str | None:
    """Why this device cannot be used: ``None`` unless Numba finds no way to start threads."""
    try:
        threading_layer()
    except ValueError as error:
        return f"Numba can start no threads: {error}"
    return None


def unit(index):
    """The one device of this kind."""
    return sys.modules[__name__]


def synchronize():
    """Wait until everything asked for is done: a kernel returns when it is."""


def sequence(calls, threads: int | None = None):
    """Return one call that runs ``calls`` in order, with this many threads if given.

    The caller's own thread count is restored afterwards. Several Python threads may run sequences at the same time;
    where Numba's threading layer does not bear that, they take turns.
    """
    calls = tuple(calls)

    def run():
        for call in calls:
            call()

    if threads is not None:
        run = _with_threads(run, _thread_count(threads))
    return _in_turn(run) if threading_layer() == "workqueue" else run


def _thread_count(threads) -> int:
    most = numba.config.NUMBA_NUM_THREADS
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or not 1 <= threads <= most:
        raise OptionError(
            f"threads must be an integer from 1 to {most}, got {threads!r}; "
            f"set NUMBA_NUM_THREADS before the program starts to change how many there can be"
        )
    return int(threads)


def _with_threads(run, threads):
    def run_with_threads():
        before = numba.get_num_threads()
        numba.set_num_threads(threads)
        try:
            run()
        finally:
            numba.set_num_threads(before)

    return run_with_threads


def _in_turn(run):
    def run_in_turn():
        with _WORKQUEUE:
            run()

    return run_in_turn


def on_compile(report):
    """Return a context that calls ``report(name)`` before a kernel is compiled, and ``report(None)`` after."""
    return watch(report)


def describe() -> dict[str, str]:
    """What there is to say about this device, by name."""
    layer = threading_layer()
    return {
        "processor": f"{_processor()} (compiled for {numba.config.CPU_NAME or llvm.get_host_cpu_name()})",
        "vectors": f"{VECTOR_BITS} bits ({', '.join(sorted(FEATURES & {'sse4.2', 'avx2', 'fma', 'avx512f', 'neon'}))})",
        "threads": f"{numba.get_num_threads()} of {numba.config.NUMBA_NUM_THREADS}",
        "threading layer": layer + (f": {ADVICE}" if layer == "workqueue" else ""),
        "kernel cache": str(folder() or "none"),
        "numba": numba.__version__ + (f": compiles slowly, as {OBSTACLE}" if OBSTACLE else ""),
    }


def _processor() -> str:
    """The processor's name as sold, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
