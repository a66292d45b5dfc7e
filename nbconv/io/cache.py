"""Where compiled kernels are kept between runs: what is there, and how to be rid of it.

``print(nbconv.cache.info())`` shows it, ``nbconv.cache.clear()`` empties it; so do ``nbconv cache info`` and ``clear``.

Kernels lie in a folder per device and version: machine code made from other sources or by another compiler is never
looked at. When a new version makes its folder, folders that no process has opened for ``UNUSED_DAYS`` days are deleted.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from contextlib import suppress
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import platformdirs

UNUSED_DAYS = 30
"""Days without use after which another version's kernels are deleted, once a new version comes."""

COMPILERS = {
    "cpu": ("numba", "llvmlite"),
    "cuda": (
        "numba",
        "llvmlite",
        "numba-cuda",
        "nvidia-nvvm",
        "nvidia-nvjitlink",
        "nvidia-cuda-nvcc-cu12",  # has NVVM
        "nvidia-nvjitlink-cu12",
    ),
}
"""By device: the packages that make its machine code, those that are not installed among them."""

_FOLDER = re.compile(rf"({'|'.join(COMPILERS)})-[0-9a-f]{{16}}")
_FILE = re.compile(r".+\.nb[ic](\.tmp\..+)?")
_PACKAGE = Path(__file__).parents[1]


class Version(NamedTuple):
    """The kernels of one device, of one version of nbconv and its compiler."""

    path: Path
    current: bool
    """Whether it is the version that runs now."""
    kernels: int
    nbytes: int
    used: datetime
    """When a process last opened it."""

    @property
    def size(self) -> str:
        """Number and size, to be read: ``"11 kernels, 0.8 MB"``."""
        return f"{self.kernels} kernel{'' if self.kernels == 1 else 's'}, {_megabytes(self.nbytes)}"


class CacheInfo(NamedTuple):
    """Where kernels are kept, and the versions there are, the current ones first."""

    location: Path
    versions: tuple[Version, ...]

    @property
    def nbytes(self) -> int:
        """The size of all versions together."""
        return sum(v.nbytes for v in self.versions)

    def __str__(self):
        lines = [f"{self.location}: {_megabytes(self.nbytes)}"]
        for v in self.versions:
            kind = "this version" if v.current else "another version"
            lines.append(f"  {v.path.name}  {kind:<15}  {v.size:>20}  used {v.used:%Y-%m-%d}")
        return "\n".join(lines if self.versions else [*lines, "  no kernels"])


def location() -> Path:
    """Return the directory of all versions: ``NBCONV_CACHE_DIR`` if that is set, else in the user's cache directory."""
    return Path(os.environ.get("NBCONV_CACHE_DIR") or platformdirs.user_cache_dir("nbconv", appauthor=False))


def current(device: str = "cpu") -> Path:
    """Return the folder of this version's kernels, which need not exist: its name is a hash of sources and compiler."""
    compilers = " ".join(f"{name} {_installed(name)}" for name in COMPILERS[device])
    digest = hashlib.sha256(compilers.encode())
    for source in sorted((_PACKAGE / device).glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return location() / f"{device}-{digest.hexdigest()[:16]}"


def open_current(device: str = "cpu") -> Path:
    """Return the folder of this version's kernels, made if needed; raises ``OSError`` if it cannot be written.

    This counts as its use. Where it had to be made, versions long unused are deleted.
    """
    folder = current(device)
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()
    os.utime(folder)
    if new:
        oldest = time.time() - UNUSED_DAYS * 24 * 3600
        for other in _folders():
            if other != folder and other.stat().st_mtime < oldest:
                _delete(other)
    return folder


def info() -> CacheInfo:
    """Return which versions' kernels there are, how many, of which size, and when they were last used.

    For example, ``sum(v.kernels for v in nbconv.cache.info().versions)``.
    """
    mine = {current(device) for device in COMPILERS}
    versions = [_version(folder, folder in mine) for folder in _folders()]
    return CacheInfo(location(), tuple(sorted(versions, key=lambda v: (not v.current, -v.used.timestamp()))))


def clear(old: bool = False) -> CacheInfo:
    """Delete the kernels of all versions, or with ``old=True`` of all but this one; return what was deleted.

    Processes that run keep the kernels they have loaded. Nothing but kernels is deleted: a folder in which anything
    else lies stays, with that.
    """
    before = info()
    chosen = tuple(v for v in before.versions if not (old and v.current))
    for v in chosen:
        _delete(v.path)
    return CacheInfo(before.location, chosen)


def _installed(package: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(package)
    return None


def _folders() -> list[Path]:
    """The folders of versions; a link to a folder elsewhere is none."""
    with suppress(OSError):
        return [p for p in location().iterdir() if _FOLDER.fullmatch(p.name) and p.is_dir() and not p.is_symlink()]
    return []


def _files(folder: Path) -> list[Path]:
    """The kernels of a version, and what writing one may have left."""
    return [p for p in folder.rglob("*") if _FILE.fullmatch(p.name) and p.is_file() and not p.is_symlink()]


def _version(folder: Path, is_current: bool) -> Version:
    sizes = {p.name: p.stat().st_size for p in _files(folder)}
    kernels = sum(name.endswith(".nbc") for name in sizes)
    used = datetime.fromtimestamp(folder.stat().st_mtime)
    return Version(folder, is_current, kernels, sum(sizes.values()), used)


def _delete(folder: Path) -> None:
    """Delete a version's files, then what is empty of its folders; another process may be doing the same."""
    for file in _files(folder):
        with suppress(OSError):
            file.unlink()
    inner = sorted((p for p in folder.rglob("*") if p.is_dir() and not p.is_symlink()), reverse=True)
    for directory in (*inner, folder):
        with suppress(OSError):
            directory.rmdir()


def _megabytes(nbytes: int) -> str:
    return f"{nbytes / 1e6:.1f} MB"
