"""Whose turn it is to use a GPU: one Python thread after the other."""

from __future__ import annotations

from threading import RLock

from cuda.bindings import driver as api

_current = api.cuCtxGetCurrent


class Turn:
    """``with turn:`` is one Python thread's right to use a GPU, with the GPU's context current.

    A context that somebody else made current in this thread is current again afterwards.
    """

    def __init__(self, context):
        self._context, self._number = context, int(context)
        self._lock = RLock()
        self._depth = 0  # of turns within this one
        self._pushed: list[int] = []  # at which of them another context was put aside

    def __enter__(self):
        self._lock.acquire()
        self._depth += 1
        if int(_current()[1]) != self._number:
            self._make_current()

    def __exit__(self, *error):
        if self._pushed and self._pushed[-1] == self._depth:
            self._pushed.pop()
            api.cuCtxPopCurrent()
        self._depth -= 1
        self._lock.release()

    def _make_current(self):
        if not self.provide():
            api.cuCtxPushCurrent(self._context)
            self._pushed.append(self._depth)

    def provide(self) -> bool:
        """Make the context current in a thread that has none, which is enough to wait; return whether it is now."""
        current = int(_current()[1])
        if not current:
            api.cuCtxSetCurrent(self._context)
        return current in (0, self._number)
