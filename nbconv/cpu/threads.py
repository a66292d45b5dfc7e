"""The library that starts threads: OpenMP where there is one, else TBB as ``pip`` installs it.

Starting a parallel loop takes 1.1 us with OpenMP, 1.7 us with TBB, and 80 us with Numba's own layer, "workqueue".
"""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from importlib import import_module, metadata

import numba

ADVICE = (
    "each parallel loop starts 80 us late; install OpenMP (libgomp1 on Debian and Ubuntu, libgomp on Fedora, libomp on "
    "macOS), or on x86-64 Linux run pip install tbb"
)
"""What to say of the workqueue layer."""

SPINS = {"GOMP_SPINCOUNT": "5000"}
"""How often a thread of libgomp looks for work before it sleeps: some tens of microseconds, enough for the next kernel.

By default it looks for milliseconds, and where other processes want the cores, too, keeps them from the thread that it
waits for: a step of a tenth of a millisecond then takes thirty.
"""
CHOSEN = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""Variables by which users say it themselves."""


def threading_layer() -> str:
    """Return the library that runs parallel loops, "omp", "tbb" or "workqueue"; it is started if need be."""
    numba.get_num_threads()
    return numba.threading_layer()


def provide_layer() -> None:
    """Load OpenMP, or the library of the ``tbb`` package where OpenMP is missing or TBB is asked for.

    Numba looks for TBB by its name, but ``pip`` installs it where no loader looks; once loaded, it is found. What the
    user chose by ``NUMBA_THREADING_LAYER`` stays the choice.
    """
    choice = str(numba.config.THREADING_LAYER).lower()
    has_openmp = choice in ("default", "omp", "threadsafe") and _has_openmp()
    if has_openmp or choice in ("omp", "workqueue"):
        return
    try:
        installed = metadata.files("tbb") or []
    except metadata.PackageNotFoundError:
        return
    for file in installed:
        if file.name == "libtbb.so.12":
            ctypes.CDLL(str(file.locate()), ctypes.RTLD_GLOBAL)
            return


def _has_openmp() -> bool:
    try:
        with _environment(SPINS):
            import_module("numba.np.ufunc.omppool")
    except ImportError:
        return False
    return True


@contextmanager
def _environment(variables):
    """Set variables for what is loaded now, unless the user has chosen, and take them back."""
    wanted = {} if any(name in os.environ for name in CHOSEN) else variables
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted:
            del os.environ[name]
