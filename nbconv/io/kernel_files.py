"""Files of compiled kernels, for many processes at once: each is whole or not there, and checked when it is read.

A file is written under another name and then put in its place, so that no process ever sees a part of it. One that is
damaged nevertheless counts as missing: its kernel is compiled again.
"""

from __future__ import annotations

import hashlib
import os
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from .cache import location, open_current

_DIGEST = hashlib.sha256().digest_size
_watchers: list[Callable[[str | None], None]] = []


class CacheWarning(UserWarning):
    """Kernels are compiled again by every process, because nothing can be written where they would be kept."""


@cache
def folder(device: str) -> Path | None:
    """Return the folder of this version's kernels, made if needed; ``None``, and one warning, if that cannot be."""
    try:
        return open_current(device)
    except OSError as error:
        _warn(error)
        return None


def place(device: str, stem: str, key: str) -> Path | None:
    """Return where what belongs to a key is kept; ``None`` if nothing can be kept."""
    parent = folder(device)
    return parent and parent / f"{stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.nbc"


def read(path: Path) -> bytes | None:
    """Return what was written; ``None`` if there is no such file, or it is not whole."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data[_DIGEST:] if hashlib.sha256(data[_DIGEST:]).digest() == data[:_DIGEST] else None


def write(path: Path, data: bytes) -> None:
    """Put a file in its place at once; one warning if it cannot be, and no file."""
    temporary = path.with_name(f"{path.name}.tmp.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)  # another process may have cleared the cache
        temporary.write_bytes(hashlib.sha256(data).digest() + data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if not path.exists():
            _warn(error)


@contextmanager
def watch(report: Callable[[str | None], None]) -> Iterator[None]:
    """Call ``report(name)`` before a kernel is compiled, because no process has kept it, and ``report(None)`` after."""
    _watchers.append(report)
    try:
        yield
    finally:
        _watchers.remove(report)


def tell(name: str | None) -> None:
    """Tell those who watch that this kernel is compiled now, or, with ``None``, that it has been."""
    for report in tuple(_watchers):
        report(name)


def _warn(error: OSError) -> None:
    warnings.warn(
        f"nbconv cannot keep compiled kernels in {location()} ({error.strerror or error}), and will compile them anew "
        f"in every process, which takes seconds; set NBCONV_CACHE_DIR to a directory that can be written",
        CacheWarning,
        stacklevel=2,
    )
