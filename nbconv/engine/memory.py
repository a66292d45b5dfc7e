"""Who may lie where: buffers with lifetimes are laid out in one arena. Plain records; no arrays, no kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector register."""


class Block(NamedTuple):
    """A buffer of ``nbytes`` that is in use from step ``first`` to step ``last``, both included."""

    nbytes: int
    first: int
    last: int


class Layout(NamedTuple):
    """Where each block starts, in bytes, and how large the arena must be."""

    offsets: tuple[int, ...]
    nbytes: int


def aligned(nbytes: int) -> int:
    """Round up to a multiple of the alignment: ``aligned(65) == 128``."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def lay_out(blocks: Sequence[Block]) -> Layout:
    """Place blocks so that those whose lifetimes meet never share a byte.

    Greedy by size: the largest first, each in the lowest gap that is free during its lifetime (Pisarchyk & Lee,
    "Efficient memory management for deep neural net inference", 2020).
    """
    placed: list[tuple[int, int, Block]] = []
    offsets = [0] * len(blocks)
    for index in sorted(range(len(blocks)), key=lambda i: (-blocks[i].nbytes, i)):
        block = blocks[index]
        size = aligned(block.nbytes)
        offset = 0
        for start, end, other in sorted(placed):
            alive_together = other.first <= block.last and block.first <= other.last
            if alive_together and start < offset + size:
                offset = max(offset, end)
        placed.append((offset, offset + size, block))
        offsets[index] = offset
    return Layout(tuple(offsets), max((end for _, end, _ in placed), default=0))
