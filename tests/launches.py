"""What the cuda device launches for the cases, found without a GPU: kernels, and the types they are compiled for.

Binders look at nothing but shapes and dtypes. So they are called with arrays that have nothing else.
"""

from __future__ import annotations

from contextlib import suppress
from math import prod
from types import SimpleNamespace

import numpy as np
from cases import CASES, DTYPES
from running import Bound

from nbconv import cuda
from nbconv.cuda.arguments import types_of
from nbconv.engine.registry import Device
from nbconv.errors import UnsupportedOp


class Outline:
    """A C-contiguous array without elements."""

    def __init__(self, shape, dtype):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.ndim, self.size = len(self.shape), prod(self.shape)
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        assert isinstance(rows, slice) and rows.step in (None, 1), "a stretch of the first axis is contiguous"
        return Outline((len(range(*rows.indices(len(self)))), *self.shape[1:]), self.dtype)

    def reshape(self, *shape):
        """The same number of elements; one length may be -1."""
        shape = shape[0] if isinstance(shape[0], tuple) else shape
        shape = tuple(self.size // -prod(shape) if length == -1 else length for length in shape)
        assert prod(shape) == self.size
        return Outline(shape, self.dtype)

    def view(self, dtype):
        """The same bytes."""
        last = self.shape[-1] * self.dtype.itemsize // np.dtype(dtype).itemsize
        return Outline((*self.shape[:-1], last), dtype)

    __iter__ = None


class Recorder:
    """A device that keeps what it is to launch."""

    def __init__(self):
        self.launches = []

    def unit(self, index):
        return self

    def empty(self, shape, dtype):
        return Outline(shape, dtype)

    def put(self, array):
        return Outline(np.shape(array), np.asarray(array).dtype)

    def write(self, target, array):
        pass

    def get(self, array):
        pass

    def synchronize(self):
        pass

    def sequence(self, calls, threads=None):
        for call in calls:
            if isinstance(call, list):
                self.sequence(call)
            else:
                self.launches.append(call)
        return lambda: None


def launches(case, dtype):
    """Everything that a case launches, forward and backward."""
    recorder = Recorder()
    tables = {name: getattr(cuda, name) for name in ("KERNELS", "SCRATCH", "PREPARE")}
    bound = Bound(case, Device("cuda", 0, SimpleNamespace(**tables, device=recorder)), dtype)
    with suppress(UnsupportedOp):  # an algorithm that this device does not have
        bound.forward()
        if case.op.differentiable:
            bound.backward()
    return recorder.launches


def specialisations():
    """By dtype: every kernel with the types of its arguments, by how it is written; a later dtype has what is new."""
    found, seen = {}, set()
    for dtype in DTYPES:
        cases = [case for case in CASES if type(case.op) in cuda.KERNELS]
        new = {written(x): (x.kernel, types_of(x.arguments)) for case in cases for x in launches(case, dtype)}
        found[dtype] = {name: new[name] for name in sorted(new.keys() - seen)}
        seen |= set(new)
    return found


def written(launch):
    """A kernel and its types, short: ``"activation._relu(float32[:], float32[:])"``."""
    module = launch.kernel.function.__module__.rpartition(".")[2]
    return f"{module}.{launch.kernel.name}({', '.join(map(_short, types_of(launch.arguments)))})"


def _short(kind):
    return f"{kind.dtype}[{','.join(':' * kind.ndim)}]" if hasattr(kind, "ndim") else str(kind)
