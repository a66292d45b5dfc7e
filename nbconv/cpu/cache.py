"""Numba's on-disk cache with a file per kernel and signature, for many processes at once.

Numba's own keeps all signatures of a function in one index: processes that save different ones at the same time lose
entries, or find one's machine code under the other's name. Here each file is written whole, under a name that says what
is in it, and is checked when it is read: a race has no loser, and a damaged file is a kernel that is compiled again.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from ..io.cache import location, open_current

_DIGEST = hashlib.sha256().digest_size
_watchers: list[Callable[[str | None], None]] = []


class CacheWarning(UserWarning):
    """Kernels are compiled again by every process, because nothing can be written where they would be kept."""


@cache
def folder() -> Path | None:
    """Return the folder of this version's kernels, made if needed; ``None``, and one warning, if that cannot be."""
    try:
        return open_current()
    except OSError as error:
        _warn(error)
        return None


@contextmanager
def watch(report: Callable[[str | None], None]) -> Iterator[None]:
    """Call ``report(name)`` before a kernel is compiled, because no process has kept it, and ``report(None)`` after."""
    _watchers.append(report)
    try:
        yield
    finally:
        _watchers.remove(report)


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
        payload = _read(path, key) if path else None
        if payload is not None:
            return CompileResult._rebuild(target_context, *payload)
        _report(self._name)
        return None

    def save_overload(self, sig, cres):
        assert not cres.library.has_dynamic_globals, f"{self._stem} holds addresses of this process"
        path, key = self._place(sig, cres.codegen)
        if path:
            _write(path, dumps((key, cres._reduce())))
        _report(None)

    def _place(self, sig, codegen) -> tuple[Path | None, str]:
        """Where a signature is kept, and what it is found by: its types, the processor, the version of Python."""
        key = repr((sig, codegen.magic_tuple(), sys.implementation.cache_tag))
        name = f"{self._stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.nbc"
        parent = folder()
        return parent and parent / name, key


def _report(name: str | None) -> None:
    for report in tuple(_watchers):
        report(name)


def _read(path: Path, key: str):
    """Return what is kept under a key, or ``None``: there is no such file, or it is not whole."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
        return None
    kept, payload = pickle.loads(data[_DIGEST:])
    return payload if kept == key else None


def _write(path: Path, data: bytes) -> None:
    """Put a file in its place at once, so that no process ever sees a part of it."""
    temporary = path.with_name(f"{path.name}.tmp.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)  # another process may have cleared the cache
        temporary.write_bytes(hashlib.sha256(data).digest() + data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if not path.exists():
            _warn(error)


def _warn(error: OSError) -> None:
    warnings.warn(
        f"nbconv cannot keep compiled kernels in {location()} ({error.strerror or error}), and will compile them anew "
        f"in every process, which takes seconds; set NBCONV_CACHE_DIR to a directory that can be written",
        CacheWarning,
        stacklevel=2,
    )
