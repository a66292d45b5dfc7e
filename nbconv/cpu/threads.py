"""The library that starts threads: OpenMP where there is one, else TBB as ``pip`` installs it.

Starting a parallel loop takes 1.1 us with OpenMP, 1.7 us with TBB, and 80 us with Numba's own layer, "workqueue".
"""

from __future__ import annotations

import ctypes
from importlib import import_module, metadata

import numba

ADVICE = (
    "each parallel loop starts 80 us late; install OpenMP (libgomp1 on Debian and Ubuntu, libgomp on Fedora, libomp on "
    "macOS), or on x86-64 Linux run pip install tbb"
)
"""What to say of the workqueue layer."""


def threading_layer() -> str:
    """Return the library that runs parallel loops, "omp", "tbb" or "workqueue"; it is started if need be."""
    numba.get_num_threads()
    return numba.threading_layer()


def provide_tbb() -> None:
    """Load the library of the ``tbb`` package where OpenMP is missing, or TBB is asked for.

    Numba looks for it by its name, but ``pip`` installs it where no loader looks; once loaded, it is found. What the
    user chose by ``NUMBA_THREADING_LAYER`` stays the choice.
    """
    choice = str(numba.config.THREADING_LAYER).lower()
    if choice in ("omp", "workqueue") or (choice in ("default", "threadsafe") and _has_openmp()):
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
        import_module("numba.np.ufunc.omppool")
    except ImportError:
        return False
    return True
