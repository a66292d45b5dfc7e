"""How kernels are compiled: the house's own decorators over ``numba.njit``.

Everything compiled must stand at module level: a function that closes over an intrinsic is never found in the cache
again.
"""

from __future__ import annotations

from functools import cache

import numba

from .cache import KernelCache

try:
    from . import linked

    OBSTACLE: str | None = linked.obstacle()
except ImportError as error:
    OBSTACLE = str(error)
"""Why kernels are compiled in Numba's own way, which takes longer; ``None`` if they are not."""

FASTMATH = {"contract", "reassoc", "nsz", "arcp", "afn"}
"""All liberties that leave NaN and infinity alone; ``fastmath=True`` would let a maximum lose a NaN."""

OPTIONS = {
    "fastmath": FASTMATH,
    "error_model": "numpy",
    "boundscheck": False,
    "no_cfunc_wrapper": True,
    "_nrt": False,
}
"""Without Numba's runtime no references to arrays are counted: an atomic operation each, at every call of a helper.

Kernels can then allocate nothing, and return no array; neither should they.
"""

OF_HELPER = {} if OBSTACLE else {"pipeline_class": linked.HelperCompiler}
OF_KERNEL = {} if OBSTACLE else {"pipeline_class": linked.KernelCompiler}

HELPER = {**OPTIONS, **OF_HELPER, "forceinline": True, "no_cpython_wrapper": True}
"""A wrapper that nobody calls takes as long to compile as a small helper."""


def kernel(function):
    """Compile a function for all threads: its ``prange`` loops are shared out among them.

    Called from Python only; it releases the GIL, so that data can be loaded meanwhile.
    """
    return _cached(function, "parallel", parallel=True, nogil=True)


def sequential(function):
    """Compile a function for one thread, for what is too little to be shared: ``prange`` means ``range``."""
    return _cached(function, "sequential", nogil=True)


@cache
def serial(compiled):
    """Return a kernel as it is for one thread."""
    return sequential(compiled.py_func)


def helper(function):
    """Compile a function that kernels call; it becomes part of their code, and of their cache entry."""
    return numba.njit(**HELPER)(function)


def routine(function):
    """Compile a helper that stays a function, for what is large and called in several places."""
    return numba.njit(**{**HELPER, "forceinline": False})(function)


def exact_helper(function):
    """Compile a helper whose sums are done in the order they are written, for where regrouping them loses digits."""
    return numba.njit(**{**HELPER, "fastmath": {"contract"}})(function)


def _cached(function, build: str, **options):
    compiled = numba.njit(**OPTIONS, **OF_KERNEL, **options)(function)
    compiled._cache = KernelCache(function, build)
    return compiled
