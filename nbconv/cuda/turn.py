"""Whose turn it is to use a GPU: one Python thread after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

from cuda.bindings import driver as api

_current = api.cuCtxGetCurrent


class Turn:
    """``with turn:`` is one Python thread's right to use a GPU, with the GPU's context current.

    Afterwards that context is current that was before: where somebody else allocates is not decided here. Without one,
    that would be the first GPU: its context may stay, and need not be put in and out at each turn.
    """

    def __init__(self, context, *, is_first: bool):
        self._context, self._number, self._stays = context, int(context), is_first
        self._lock = RLock()
        self._depth = 0  # of turns within this one
        self._pushed: list[int] = []  # at which of them another context, or none, was put aside

    def __enter__(self):
        self._lock.acquire()
        self._depth += 1
        current = int(_current()[1])
        if current != self._number and self._push() and (current or not self._stays):
            self._pushed.append(self._depth)

    def __exit__(self, *error):
        if self._pushed and self._pushed[-1] == self._depth:
            self._pushed.pop()
            api.cuCtxPopCurrent()
        self._depth -= 1
        self._lock.release()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let a thread that has no context have one in between: enough to wait, which needs no turn."""
        pushed = not int(_current()[1]) and self._push()
        try:
            yield
        finally:
            if pushed:
                api.cuCtxPopCurrent()

    def _push(self) -> bool:
        (status,) = api.cuCtxPushCurrent(self._context)
        return not status  # what needs the context says what is wrong
