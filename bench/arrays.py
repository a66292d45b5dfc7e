"""An op on a device with arrays of its own: what a rival computes on, and what float64 says about it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nbconv.engine.bind import bind_backward, bind_forward, bind_prepare, gradient_names
from nbconv.engine.registry import Device, prepared_shapes, scratch_shapes

from .cases import Case

Arrays = dict[str, np.ndarray]


def values(case: Case) -> Arrays:
    """Operands, and ``dy``, as NumPy arrays, channels last: normal numbers, labels, running variances round 1."""
    rng = np.random.default_rng(0)
    op, inputs = case.op, case.inputs
    arrays: Arrays = {}
    for name, shape in zip(op.inputs, inputs, strict=True):
        labels = name in op.integer_inputs
        arrays[name] = rng.integers(0, inputs[0][-1], shape) if labels else rng.standard_normal(shape, np.float32)
    for name, shape in op.param_shapes(*inputs).items():
        arrays[name] = rng.standard_normal(shape, np.float32)
    for name, shape in op.state_shapes(*inputs).items():
        arrays[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
    arrays["dy"] = rng.standard_normal(op.out_shape(*inputs), np.float32)
    return arrays


class Bound:
    """An op bound to arrays on a device: ``Bound(case, values(case), device, "float32").call("forward")()``.

    A call does all that a training step pays: what depends on the parameters is prepared anew before every forward.
    Backward needs what forward has left: call that first.
    """

    def __init__(self, case: Case, host: Arrays, device: Device, dtype: str, threads: int | None = None):
        self.case, self.op, self.dtype, self.threads = case, case.op, dtype, threads
        self._device, self._memory = device, device.memory
        op, inputs = case.op, case.inputs
        self.arrays = {name: self._put(array) for name, array in host.items() if name != "dy"}
        self.arrays |= {
            name: self._filled(0, b.shape, dtype if b.dtype == "float" else b.dtype)
            for name, b in op.saved_shapes(*inputs).items()
        }
        self.arrays["out"] = self._filled(np.nan, op.out_shape(*inputs), op.out_dtype or dtype)
        if "hyper" in op.context:
            self.arrays["hyper"] = self._memory.put(np.array([op.lr, 1.0]))
        if "rng" in op.context:
            self.arrays["rng"] = self._memory.put(np.array([0, 1, 7]))
        self.gradients = {
            name: self._filled(np.nan, self.arrays[name].shape, dtype)
            for name in gradient_names(op)
            if name in self.arrays
        }
        self.dy = self._memory.put(host["dy"].astype(op.out_dtype or dtype))

    def call(self, direction: str, wait: bool = True) -> Callable[[], None]:
        """The zero-argument call that computes one direction, and waits for it; or on a GPU only launches it."""
        run = self._memory.sequence(self._calls(direction), self.threads)
        if not wait:
            return run

        def call():
            run()
            self._memory.synchronize()

        return call

    def results(self, direction: str) -> list[np.ndarray]:
        """What a call of this direction has computed, in float64."""
        if direction == "forward":
            wanted = [self.arrays["param" if "param" in self.arrays else "out"]]
        else:
            wanted = list(self._wanted(direction).values())
        return [self._memory.get(array).astype(np.float64) for array in wanted]

    def nbytes(self, direction: str) -> int:
        """The fewest bytes that must be read and written."""
        if direction == "forward":
            return self.op.elements_moved(*self.case.inputs) * np.dtype(self.dtype).itemsize
        reads = set(self.op.reads_in_backward()) & self.arrays.keys()
        unread = {"input_grad": self.op.inputs, "weight_grad": self.op.params}.get(direction, ())
        moved = [self.dy, *(self.arrays[n] for n in reads - set(unread)), *self._wanted(direction).values()]
        return sum(array.nbytes for array in moved)

    def _wanted(self, direction: str) -> dict:
        return {name: self.gradients[name] for name in self.case.gradients(direction) if name in self.gradients}

    def _calls(self, direction: str) -> list[Callable[[], None]]:
        op, device, arrays = self.op, self._device, self.arrays
        forward, backward = scratch_shapes(op, device, self.dtype, *self.case.inputs)
        if direction != "forward":
            gradients = {"out": self.dy, **self._wanted(direction)}
            return [bind_backward(op, device, arrays, gradients, self._allocate(backward))]
        prepared = prepared_shapes(op, device, self.dtype, *self.case.inputs)
        scratch = self._allocate({**prepared, **forward})
        prepare = bind_prepare(op, device, arrays, scratch)
        return [*([prepare] if prepare else []), bind_forward(op, device, arrays, scratch)]

    def _allocate(self, buffers) -> dict:
        return {name: self._memory.empty(buffer.shape, buffer.dtype) for name, buffer in buffers.items()}

    def _filled(self, value, shape, dtype):
        array = self._memory.empty(shape, dtype)
        self._memory.fill(array, value)
        return array

    def _put(self, array: np.ndarray):
        return self._memory.put(array if array.dtype.kind == "i" else array.astype(self.dtype))


def residuals(got: list[np.ndarray], exact: list[np.ndarray]) -> tuple[float, float]:
    """norm(got - exact) / norm(exact), and max |got - exact| / max |exact|; of several arrays, the largest."""
    pairs = list(zip(got, exact, strict=True))
    norms = [np.linalg.norm(g - e) / (np.linalg.norm(e) or 1) for g, e in pairs]
    largest = [np.abs(g - e).max() / (np.abs(e).max() or 1) for g, e in pairs]
    return float(np.max(norms)), float(np.max(largest))  # NaN, which stands for what was not written, survives
