"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

import numba

from nbconv import __version__
from nbconv.engine.registry import open_device

from .peak import Peaks


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of(chosen: int | None) -> int:
    """How many threads nbconv's kernels use, which rivals then get, too."""
    return chosen or min(cores(), numba.config.NUMBA_NUM_THREADS)


def describe(device: str, threads: int | None, versions: Mapping[str, str], peaks: Peaks | None) -> dict:
    """What stands as "machine" in the JSON file, and above each table."""
    facts = {
        "nbconv": __version__,
        "device": device,
        **open_device(device).memory.describe(),
        "threads measured": threads_of(threads),
        "load": _load(),
        "python": f"{platform.python_version()}, {platform.platform()}",
        **versions,
    }
    if peaks:
        facts["FMA, GFLOP/s"] = round(peaks.gflops, 1)
        facts["copy, GB/s"] = {_size(nbytes): round(rate, 1) for nbytes, rate in peaks.copies.items()}
    return facts


def _load() -> str:
    """How many processes wanted a core."""
    if not hasattr(os, "getloadavg"):
        return "unknown"
    return f"{os.getloadavg()[0]:.1f} in the minute before"


def _size(nbytes: int) -> str:
    return f"{nbytes // 2**20} MiB" if nbytes >= 2**20 else f"{nbytes // 2**10} KiB"
