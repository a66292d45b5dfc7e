"""Machine code that is kept between runs: a file per kernel, types of its arguments, and kind of GPU.

A file is one line of JSON, what it is for and the name to find the kernel by, and then the cubin.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from ..io import kernel_files


class Cubin(NamedTuple):
    """Machine code for one kind of GPU."""

    name: str
    """What the kernel is called in it."""
    code: bytes


def load(stem: str, key: str) -> Cubin | None:
    """Return what was kept under a key, or ``None``."""
    path = kernel_files.place("cuda", stem, key)
    data = kernel_files.read(path) if path else None
    if data is None:
        return None
    head, _, code = data.partition(b"\n")
    kept, name = json.loads(head)
    return Cubin(name, code) if kept == key else None


def keep(stem: str, key: str, cubin: Cubin) -> None:
    """Keep a cubin for the processes to come; ``stem`` is the readable part of its file's name."""
    path = kernel_files.place("cuda", stem, key)
    if path:
        kernel_files.write(path, json.dumps([key, cubin.name]).encode() + b"\n" + cubin.code)
