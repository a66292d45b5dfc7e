"""How kernels are compiled: the house's own decorators over ``numba.njit``, and where their machine code is kept.

Numba's on-disk cache does not notice a change in a helper of another file, so it lives in a folder named after the
sources of this whole package. Everything compiled must stand at module level: a function that closes over an
intrinsic is never found in the cache again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import llvmlite
import numba
import platformdirs

FASTMATH = {"contract", "reassoc", "nsz", "arcp", "afn"}
"""All liberties that leave NaN and infinity alone; ``fastmath=True`` would let a maximum lose a NaN."""

OPTIONS = {"fastmath": FASTMATH, "error_model": "numpy", "boundscheck": False, "_nrt": False}
"""Without Numba's runtime no references to arrays are counted: an atomic operation each, at every call of a helper.

Kernels can then allocate nothing, and return no array; neither should they.
"""


class CacheWarning(UserWarning):
    """Kernels are compiled again by every process, because nothing can be written where they would be kept."""


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
    return numba.njit(forceinline=True, **OPTIONS)(function)


def exact_helper(function):
    """Compile a helper whose sums are done in the order they are written, for where regrouping them loses digits."""
    return numba.njit(forceinline=True, **{**OPTIONS, "fastmath": {"contract"}})(function)


def _cached(function, folder: str, **options):
    """Compile with the cache in a subfolder: Numba would keep two builds of one function under one name."""
    root = cache_folder()
    if root is None:
        return numba.njit(**OPTIONS, **options)(function)
    with _numba_cache(root / folder):
        return numba.njit(cache=True, **OPTIONS, **options)(function)


@contextmanager
def _numba_cache(folder: Path):
    """Let Numba cache here; its setting is global, and outside of this block it belongs to the user."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


@cache
def cache_folder() -> Path | None:
    """Return the folder of this version's machine code, made if needed; ``None``, and one warning, if it cannot be.

    It is in the user's cache directory, or in ``NBCONV_CACHE_DIR`` where that is set.
    """
    base = Path(os.environ.get("NBCONV_CACHE_DIR") or platformdirs.user_cache_dir("nbconv", appauthor=False))
    folder = base / f"cpu-{_sources_hash()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        warnings.warn(
            f"nbconv cannot keep compiled kernels in {base} ({error.strerror or error}), and will compile them anew in "
            f"every process, which takes seconds; set NBCONV_CACHE_DIR to a directory that can be written",
            CacheWarning,
            stacklevel=2,
        )
        return None
    return folder


def _sources_hash() -> str:
    """Name this package's sources and its compilers in 16 hexadecimal digits."""
    digest = hashlib.sha256(f"numba {numba.__version__} llvmlite {llvmlite.__version__}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
