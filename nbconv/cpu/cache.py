"""Numba's on-disk cache with a file per kernel and signature, for many processes at once.

Numba's own keeps all signatures of a function in one index: processes that save different ones at the same time lose
entries, or find one's machine code under the other's name. Here each file has a name that says what is in it
(``io/kernel_files.py``): a race has no loser.
"""

from __future__ import annotations

import pickle
import sys
from functools import partial
from pathlib import Path

from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from ..io import kernel_files

folder = partial(kernel_files.folder, "cpu")


class KernelCache(NullCache):
    """The cache of one build of a function; the folder is named after all sources, so they need no check here."""

    def __init__(self, function, build: str):
        self._name = function.__name__.lstrip("_")
        self._stem = f"{function.__module__.rpartition('.')[2]}.{function.__name__}-{build}"

    @property
    def cache_path(self):
        return str(folder() or "")

    def load_overload(self, sig, target_context):
        target_context.refresh()
        path, key = self._place(sig, target_context.codegen())
        data = kernel_files.read(path) if path else None
        if data is not None:
            kept, payload = pickle.loads(data)
            if kept == key:
                return CompileResult._rebuild(target_context, *payload)
        kernel_files.tell(self._name)
        return None

    def save_overload(self, sig, cres):
        assert not cres.library.has_dynamic_globals, f"{self._stem} holds addresses of this process"
        path, key = self._place(sig, cres.codegen)
        if path:
            kernel_files.write(path, dumps((key, cres._reduce())))
        kernel_files.tell(None)

    def _place(self, sig, codegen) -> tuple[Path | None, str]:
        """Where a signature is kept, and what it is found by: its types, the processor, the version of Python."""
        key = repr((sig, codegen.magic_tuple(), sys.implementation.cache_tag))
        return kernel_files.place("cpu", self._stem, key), key
