"""Run a case on a device: what the kernel tests and the benchmarks share.

    bound = Bound(case, "cpu", "float32")
    results = bound.forward()       # {"out": ..., what is saved for backward, what is updated in place}
    gradients = bound.backward()    # {"x": ..., "weight": ...}

Whatever a kernel writes or uses as scratch is poisoned before each call: an element that nobody wrote is seen.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from cases import Case

from nbconv.engine.bind import bind_backward, bind_forward, bind_prepare, gradient_names
from nbconv.engine.registry import open_device, prepared_shapes, scratch_shapes
from nbconv.ops.base import Op
from nbconv.ops.optimizer import Optimizer


class Bound:
    """A case, its arrays on a device, and its bound calls."""

    def __init__(
        self, case: Case, device: str, dtype: str, *, rounded_to: str | None = None, given: Mapping | None = None
    ):
        """``rounded_to``: the dtype that inputs are rounded to, if it is not that of the computation.

        ``given``: arrays by name, ``dy`` among them, to be used instead of the case's.
        """
        self.case, self.op, self.dtype = case, case.op, dtype
        self.given = {} if given is None else {name: np.asarray(value) for name, value in given.items()}
        self.device = open_device(device)
        self.memory = self.device.memory
        self.rounded_to = rounded_to or dtype
        op, shapes = case.op, case.shapes
        saved = {} if isinstance(op, Optimizer) else self._allocate(op.saved_shapes(*shapes))
        self.results = {"out": self.memory.empty(op.out_shape(*shapes), case.out_dtype(dtype)), **saved}
        self.operands = {name: self.memory.put(value) for name, value in self._given(case.steps).items()}
        self.updated = {name: self.operands[name] for name in self._updated_names()}
        self.scratch = [self._allocate(buffers) for buffers in scratch_shapes(op, self.device, dtype, *shapes)]
        self.prepared = self._allocate(prepared_shapes(op, self.device, dtype, *shapes))

    @property
    def arrays(self) -> dict:
        """All operands and results, by the names of the op's class."""
        return self.operands | self.results

    def forward(self, threads: int | None = None, calls: int = 1) -> dict[str, np.ndarray]:
        """Bind once, run the case's steps ``calls`` times from the start, return the last run's results."""
        scratch = self.scratch[0] | self.prepared
        prepare = bind_prepare(self.op, self.device, self.arrays, scratch)
        forward = bind_forward(self.op, self.device, self.arrays, scratch)
        run = self.memory.sequence([prepare, forward] if prepare else [forward], threads)
        for _ in range(calls):
            for step in range(1, self.case.steps + 1):
                self._write(self.operands, self._given(step), only=None if step == 1 else self._step_names(step))
                self._poison({**self.results, **scratch})
                run()
        return self._get(self.results | self.updated)

    def backward(self, wanted=None, threads: int | None = None, calls: int = 1) -> dict[str, np.ndarray]:
        """Bind once, run ``calls`` times on the results of forward, return the wanted gradients: all, if not named."""
        dy = self.memory.put(self._round(self.given.get("dy", self.case.dy(self.rounded_to))))
        names = [n for n in gradient_names(self.op) if n in self.operands and (wanted is None or n in wanted)]
        gradients = {name: self.memory.empty(self.operands[name].shape, self.dtype) for name in names}
        backward = bind_backward(self.op, self.device, self.arrays, {"out": dy, **gradients}, self.scratch[1])
        run = self.memory.sequence([backward], threads)
        for _ in range(calls):
            self._poison({**gradients, **self.scratch[1]})
            run()
        return self._get(gradients)

    def adopt(self, results: dict[str, np.ndarray]) -> None:
        """Take another device's results of forward as those that backward reads."""
        self._write(self.results, results, only=self.results)

    def _given(self, step: int) -> dict[str, np.ndarray]:
        dtype = self.rounded_to
        arrays = self.case.operands(dtype) | self.case.at_step(step, dtype)
        arrays |= {name: value for name, value in self.given.items() if name in arrays}
        return {name: self._round(array) for name, array in arrays.items()}

    def _round(self, array):
        return array.astype(self.dtype) if array.dtype == self.rounded_to else array

    def _step_names(self, step: int):
        return self.case.at_step(step, self.dtype)

    def _updated_names(self):
        kept = self.op.saved_shapes(*self.case.shapes) if isinstance(self.op, Optimizer) else self.op.state
        return (*self.op.updates, *kept)

    def _allocate(self, buffers) -> dict:
        return {
            name: self.memory.empty(shape, self.dtype if dtype == "float" else dtype)
            for name, (shape, dtype) in buffers.items()
        }

    def _poison(self, arrays) -> None:
        for array in arrays.values():
            poison = np.nan if np.dtype(array.dtype).kind == "f" else 101
            self.memory.write(array, np.full(array.shape, poison, array.dtype))

    def _write(self, targets, values, only) -> None:
        for name in values if only is None else only:
            self.memory.write(targets[name], values[name])

    def _get(self, arrays) -> dict[str, np.ndarray]:
        self.memory.synchronize()
        return {name: self.memory.get(array) for name, array in arrays.items()}


def on_reference(op: Op, x, **given) -> Bound:
    """An op on the reference, in float64, with these operands: ``on_reference(ReLU(), [[-1.0, 2.0]]).forward()``."""
    x = np.asarray(x)
    name = op.input_names()[0]
    return Bound(Case(op, x.shape), "reference", "float64", given={name: x, **given})


def exact(case: Case, dtype: str) -> Bound:
    """The reference in float64 on inputs rounded to ``dtype``: what kernels are measured against."""
    return Bound(case, "reference", "float64", rounded_to=dtype)


def bits(arrays: dict[str, np.ndarray]) -> dict[str, bytes]:
    """Arrays as bytes, to be compared to the last bit, NaN included."""
    return {name: array.tobytes() for name, array in arrays.items()}
