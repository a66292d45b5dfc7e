"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

from nbconv import __version__
from nbconv.engine.registry import open_device

from .peak import Peaks


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe(device: str, threads: int | None, versions: Mapping[str, str], peaks: Peaks | None) -> dict:
    """What stands as "machine" in the JSON file, and above each table."""
    facts = {
        "device": device,
        "nbconv": __version__,
        **open_device(device).memory.describe(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": cores(),
        "threads measured": threads or cores(),
        **versions,
    }
    if peaks:
        facts["FMA peak, GFLOP/s"] = round(peaks.gflops, 1)
        facts["copy, GB/s by bytes moved"] = {size: round(rate, 1) for size, rate in peaks.copies.items()}
    return facts
