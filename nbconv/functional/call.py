"""One op, its operands and a device: what each function of this package is made of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data.checks import as_array
from ..data.layout import channels_last, from_channels_last
from ..engine.bind import bind_backward, bind_forward, bind_prepare, gradient_names
from ..engine.graph import DATA_FORMATS
from ..engine.registry import Device, open_device, prepared_shapes, scratch_shapes
from ..errors import DataError, ShapeError
from ..ops.base import Op
from ..ops.options import choice

DTYPES = ("float32", "float64")


class Call:
    """One op with its operands on a device, in the layout inside.

    ``dtype`` is that of floating-point numbers where no operand has any: those made of bytes.
    """

    def __init__(self, op: Op, device: str | Device, data_format: str = "NCHW", dtype: str = "float32", /, **operands):
        choice(data_format, "data_format", DATA_FORMATS)
        self.op, self.device, self.data_format = op, open_device(device), data_format
        hosts = {name: host_array(value, name) for name, value in operands.items() if value is not None}
        self._bytes = [name for name in op.inputs if op.takes_bytes and hosts[name].dtype == np.uint8]
        floats = {n: a for n, a in hosts.items() if n not in (*op.integer_inputs, *op.context, *self._bytes)}
        self.dtype = _dtype(floats) if floats else choice(dtype, "dtype", DTYPES)
        empty = [name for name, array in hosts.items() if not array.size]
        if empty:
            raise DataError(f"{empty[0]} is empty: it has shape {hosts[empty[0]].shape}")
        hosts = {name: self._inside(name, array) for name, array in hosts.items()}
        self.shapes = [hosts[name].shape for name in op.input_names()]
        out = op.out_shape(*self.shapes)
        op.check_batch(*self.shapes)
        _check_shapes(op, {**op.param_shapes(*self.shapes), **op.state_shapes(*self.shapes)}, hosts)
        memory = self.device.memory
        self.arrays = {name: memory.put(np.ascontiguousarray(array)) for name, array in hosts.items()}
        made = op.result_dtype(*("uint8" if name in self._bytes else "float" for name in op.input_names()))
        self.arrays["out"] = memory.empty(out, self.dtype if made == "float" else made)
        for name, (shape, dtype) in op.saved_shapes(*self.shapes).items():
            self.arrays[name] = memory.empty(shape, self.dtype if dtype == "float" else dtype)

    def forward(self) -> np.ndarray:
        scratch, _ = scratch_shapes(self.op, self.device, self.dtype, *self.shapes)
        work = self._allocate({**scratch, **prepared_shapes(self.op, self.device, self.dtype, *self.shapes)})
        prepare = bind_prepare(self.op, self.device, self.arrays, work)
        forward = bind_forward(self.op, self.device, self.arrays, work)
        self.device.memory.sequence([call for call in (prepare, forward) if call])()
        return self.read("out")

    def backward(self, dy):
        if self._bytes:
            raise DataError(f"{self._bytes[0]} is uint8, which has no gradient; pass it as floating-point numbers")
        dy = host_array(dy, "dy")
        out = self.arrays["out"]
        shape = from_channels_last(np.empty(out.shape, bool), self.data_format).shape
        if dy.shape != shape or dy.dtype != out.dtype:
            raise ShapeError(f"dy must be {out.dtype} of shape {shape}, like the result, got {dy.dtype} {dy.shape}")
        dy = channels_last(dy, self.data_format)
        self.forward()
        memory = self.device.memory
        names = [name for name in gradient_names(self.op) if name in self.arrays]
        gradients = {name: memory.empty(self.arrays[name].shape, self.dtype) for name in names}
        _, scratch = scratch_shapes(self.op, self.device, self.dtype, *self.shapes)
        given = {**gradients, "out": memory.put(np.ascontiguousarray(dy))}
        call = bind_backward(self.op, self.device, self.arrays, given, self._allocate(scratch))
        memory.sequence([call])()
        results = [
            self._canonical(name, memory.get(gradients[name])) if name in gradients else None
            for name in gradient_names(self.op)
        ]
        return results[0] if len(results) == 1 else tuple(results)

    def read(self, name: str) -> np.ndarray:
        """A copy on the host, in the caller's layout."""
        return self._canonical(name, self.device.memory.get(self.arrays[name]))

    def _allocate(self, buffers: Mapping) -> dict:
        return {name: self.device.memory.empty(shape, dtype) for name, (shape, dtype) in buffers.items()}

    def _inside(self, name: str, array: np.ndarray) -> np.ndarray:
        if name in self.op.canonical_axes:
            return array.transpose(np.argsort(self.op.axes_outside(name, array.ndim)))
        return channels_last(array, self.data_format) if self._is_value(name) else array

    def _canonical(self, name: str, array: np.ndarray) -> np.ndarray:
        if name in self.op.canonical_axes:
            return np.ascontiguousarray(array.transpose(self.op.axes_outside(name, array.ndim)))
        return np.ascontiguousarray(from_channels_last(array, self.data_format) if self._is_value(name) else array)

    def _is_value(self, name: str) -> bool:
        """Whether an array has samples and channels: labels have no channels, parameters no samples."""
        return name == "out" or (name in self.op.input_names() and name not in self.op.integer_inputs)


def host_array(values, name: str) -> np.ndarray:
    """An array in this machine's byte order, the only one that kernels know."""
    array = as_array(values, name)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _dtype(arrays: Mapping[str, np.ndarray]) -> str:
    dtypes = {name: array.dtype.name for name, array in arrays.items()}
    if set(dtypes.values()) not in ({"float32"}, {"float64"}):
        listed = ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items())
        raise DataError(f"all arrays must be float32, or all float64, got {listed}; convert with x.astype(np.float32)")
    return next(iter(dtypes.values()))


def _check_shapes(op: Op, wanted: Mapping, given: Mapping[str, np.ndarray]) -> None:
    for name, shape in wanted.items():
        if given[name].shape != shape:
            got, need = ([s[a] for a in op.axes_outside(name, len(s))] for s in (given[name].shape, shape))
            raise ShapeError(f"{name} has shape {tuple(got)}, but {op!r} on this input needs {tuple(need)}")


def output_channels(weight, ndim: int) -> int:
    shape = host_array(weight, "weight").shape
    if len(shape) != ndim:
        sizes = {2: "out, in", 3: "out_channels, in_channels / groups, width"}
        wanted = sizes.get(ndim, "out_channels, in_channels / groups, height, width")
        raise ShapeError(f"weight must have shape ({wanted}), got {shape}")
    return shape[0]


def zero_bias(weight) -> np.ndarray:
    weight = host_array(weight, "weight")
    return np.zeros(weight.shape[0], weight.dtype)
