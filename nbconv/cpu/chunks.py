"""How work is split among threads.

Chunks depend on shapes only, never on the number of threads, and what chunks add up is combined in their order: the
result is the same to the last bit from run to run and for any number of threads.
"""

from __future__ import annotations

from numba import uint64

from .compile import helper, serial

GRAIN = 8192
"""Elements per chunk: microseconds of work, and little enough to stay in a core's first cache."""

SERIAL_BELOW = 65536
"""Elements read or written once, below which waking the other threads takes longer than they save."""


def build(kernel, work: int):
    """Return the build of a kernel for ``work`` elements: one thread's if they are few, all threads' otherwise.

    A binder chooses once. The choice depends on shapes only, like the chunks.
    """
    return serial(kernel) if work < SERIAL_BELOW else kernel


def flat(array):
    """View a contiguous array as one row: element-wise kernels then need no build per number of axes."""
    return array.reshape(-1)


def rows(array):
    """View a contiguous array as (rows, last axis)."""
    return array.reshape(-1, array.shape[-1])


@helper
def chunk_count(size, grain):
    """How many chunks of ``grain`` cover ``size``; at least one."""
    return max(1, (size + grain - 1) // grain)


@helper
def chunk_range(chunk, size, grain):
    """The elements of one chunk: ``chunk_range(1, 10, 8)`` is ``range(8, 10)``.

    The indices are unsigned: Numba would look at every signed one for being negative, and no loop would be vectorised.
    """
    start = chunk * grain
    return range(uint64(start), uint64(min(size, start + grain)))
