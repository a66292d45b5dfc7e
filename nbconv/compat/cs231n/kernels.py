"""Kernels on the caller's arrays, with working memory that is kept from call to call.

What costs most of a short call is to find out what is to be done, and to allocate. Both are done once for each op,
dtype and shapes, and kept in a pool of bounded size. A call takes its working memory out of the pool and puts it back,
so that two threads never share any; results are always new arrays.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

import numpy as np

from ...engine.bind import gradient_names
from ...engine.registry import kernels, prepare, prepared_shapes, scratch_shapes
from ...ops.base import Op
from .arrays import device_named

MOST_BYTES = 1 << 26
"""Working memory that is kept while no call uses it."""

MOST_KEPT = 256
"""Entries that are kept, at most: those without working memory count, too."""


class Kernel:
    """An op on a device for inputs of certain shapes: what is allocated for a call, and what may be used again.

    Arrays are named as on the op's class and lie as they do inside: channels last.
    """

    def __init__(self, op: Op, dtype: str, device: str, shapes):
        self.op, self.dtype = op, dtype
        opened = device_named(device)
        self._device, memory = opened, opened.memory
        self._empty, self._sequence = memory.empty, memory.sequence
        self._forward, self._backward = kernels(type(op), opened)
        results = {"out": (op.out_shape(*shapes), op.out_dtype or dtype), **op.saved_shapes(*shapes)}
        self._results = {name: (s, dtype if kind == "float" else kind) for name, (s, kind) in results.items()}
        self._wanted = {**op.param_shapes(*shapes), **op.state_shapes(*shapes)}
        prepared = prepared_shapes(op, opened, dtype, *shapes)
        forward, backward = scratch_shapes(op, opened, dtype, *shapes)
        self._scratch = self._allocate({**forward, **prepared})
        self._backward_scratch = self._allocate(backward)
        self._operands = (*op.inputs, *op.params, *op.state, *op.context)
        self._saved = ("out", *op.saved)
        self._reads = op.backward_reads
        self._read = set(op.reads_in_backward())
        kept = (*self._scratch.values(), *self._backward_scratch.values())
        self.nbytes = sum(array.nbytes for array in kept)

    def forward(self, arrays: dict) -> dict:
        """Return the operands with all that forward computes beside them: ``out`` and what is saved.

        State that an op saves from step to step, such as an optimiser's, is given among ``arrays``, and changed there.
        """
        op, wanted = self.op, self._wanted
        assert all(arrays[name].shape == shape for name, shape in wanted.items()), (op, wanted)
        missing = {name: buffer for name, buffer in self._results.items() if name not in arrays}
        arrays = {**arrays, **self._allocate(missing)}
        scratch = {"scratch": self._scratch} if op.uses_scratch else {}
        params = {name: arrays.get(name) for name in op.params}
        calls = [self._forward(op, *map(arrays.get, self._operands), **_pick(arrays, self._saved), **scratch)]
        first = prepare(op, self._device, params, self._scratch)
        self._sequence([first, *calls] if first else calls)()
        return arrays

    def backward(self, arrays: dict, dy: np.ndarray, wanted) -> dict:
        """Return the gradients of the operands that are ``wanted``, by name; ``arrays`` are those of forward."""
        gradients = {name: self._empty(arrays[name].shape, self.dtype) for name in wanted}
        operands = [arrays.get(name) if name in self._read else None for name in self._reads]
        scratch = {"scratch": self._backward_scratch} if self.op.uses_scratch else {}
        results = {f"d{name}": gradients.get(name) for name in gradient_names(self.op)}
        self._sequence([self._backward(self.op, dy, *operands, **results, **scratch)])()
        return gradients

    def _allocate(self, buffers) -> dict:
        return {name: self._empty(shape, dtype) for name, (shape, dtype) in buffers.items()}


def _pick(arrays: dict, names) -> dict:
    return {name: arrays.get(name) for name in names}


class Pool:
    """Kernels nobody uses at the moment, most recently used last; the oldest go when they take too much memory."""

    def __init__(self, most_bytes: int = MOST_BYTES, most_kept: int = MOST_KEPT):
        self._most_bytes, self._most_kept = most_bytes, most_kept
        self._idle: OrderedDict[tuple, list[Kernel]] = OrderedDict()
        self._lock = Lock()
        self.nbytes, self.kept = 0, 0

    def take(self, key: tuple) -> Kernel | None:
        """Return a kernel that is now the caller's alone, or ``None``."""
        with self._lock:
            idle = self._idle.get(key)
            if not idle:
                return None
            kernel = idle.pop()
            if not idle:
                del self._idle[key]
            self.nbytes -= kernel.nbytes
            self.kept -= 1
            return kernel

    def give(self, key: tuple, kernel: Kernel) -> None:
        """Keep a kernel for the next call."""
        with self._lock:
            self._idle.setdefault(key, []).append(kernel)
            self._idle.move_to_end(key)
            self.nbytes += kernel.nbytes
            self.kept += 1
            while self.nbytes > self._most_bytes or self.kept > self._most_kept:
                oldest = next(iter(self._idle))
                gone = self._idle[oldest].pop(0)
                if not self._idle[oldest]:
                    del self._idle[oldest]
                self.nbytes -= gone.nbytes
                self.kept -= 1


POOL = Pool()


def forward(op: Op, device: str, **arrays) -> dict:
    """Run an op on arrays as they lie inside; return them with ``out`` and what is saved, all new arrays."""
    key, kernel = _kernel(op, device, arrays)
    try:
        return kernel.forward(arrays)
    finally:
        POOL.give(key, kernel)


def backward(op: Op, device: str, dy: np.ndarray, wanted, **arrays) -> dict:
    """Return the gradients ``wanted`` by name, new arrays; ``arrays`` are those of ``forward``, as far as read."""
    key, kernel = _kernel(op, device, arrays)
    try:
        return kernel.backward(arrays, dy, wanted)
    finally:
        POOL.give(key, kernel)


def _kernel(op: Op, device: str, arrays: dict) -> tuple[tuple, Kernel]:
    shapes = [arrays[name].shape for name in op.inputs]
    dtype = arrays[op.inputs[0]].dtype
    key = op, dtype, device, *shapes
    return key, POOL.take(key) or Kernel(op, dtype.name, device, shapes)
