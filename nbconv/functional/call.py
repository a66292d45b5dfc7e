"""One op, its operands and a device: what each function of this package is made of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data.checks import as_array
from ..data.layout import channels_last, from_channels_last
from ..engine.bind import bind_backward, bind_forward, bind_prepare, gradient_names
from ..engine.graph import DATA_FORMATS
from ..engine.registry import Device, open_device, prepared_shapes, scratch_shapes
from ..engine.resident import Resident, to_channels_first
from ..errors import DataError, ShapeError
from ..ops.base import Op
from ..ops.options import choice
from ..tensor import Tensor, resident

DTYPES = ("float32", "float64")


class Call:
    """One op with its operands on a device, in the layout inside.

    ``dtype`` is that of floating-point numbers where no operand has any: those made of bytes.
    """

    def __init__(self, op: Op, device: str | Device, data_format: str = "NCHW", dtype: str = "float32", /, **operands):
        choice(data_format, "data_format", DATA_FORMATS)
        self.op, self.device, self.data_format = op, open_device(device), data_format
        given = {name: value for name, value in operands.items() if value is not None}
        resident = {name: held for name, value in given.items() if (held := self._held(name, value)) is not None}
        self.on_device = any(map(self._is_value, resident))
        """Whether the caller has his values on the device, and gets results there."""
        arrays = {
            name: like(value, name) if name in resident else host_array(value, name) for name, value in given.items()
        }
        self._bytes = [name for name in op.inputs if op.takes_bytes and arrays[name].dtype == np.uint8]
        floats = {n: a for n, a in arrays.items() if n not in (*op.integer_inputs, *op.context, *self._bytes)}
        self.dtype = _dtype(floats) if floats else choice(dtype, "dtype", DTYPES)
        empty = [name for name, array in arrays.items() if not array.size]
        if empty:
            raise DataError(f"{empty[0]} is empty: it has shape {arrays[empty[0]].shape}")
        arrays = {name: self._inside(name, array) for name, array in arrays.items()}
        self.shapes = [arrays[name].shape for name in op.input_names()]
        out = op.out_shape(*self.shapes)
        op.check_batch(*self.shapes)
        _check_shapes(op, {**op.param_shapes(*self.shapes), **op.state_shapes(*self.shapes)}, arrays)
        memory = self.device.memory
        self.arrays = {
            name: self._staged(name, resident[name]) if name in resident else memory.put(np.ascontiguousarray(array))
            for name, array in arrays.items()
        }
        made = op.result_dtype(*("uint8" if name in self._bytes else "float" for name in op.input_names()))
        self.arrays["out"] = memory.empty(out, self.dtype if made == "float" else made)
        for name, (shape, dtype) in op.saved_shapes(*self.shapes).items():
            self.arrays[name] = memory.empty(shape, self.dtype if dtype == "float" else dtype)

    def forward(self) -> np.ndarray | Tensor:
        scratch, _ = scratch_shapes(self.op, self.device, self.dtype, *self.shapes)
        work = self._allocate({**scratch, **prepared_shapes(self.op, self.device, self.dtype, *self.shapes)})
        prepare = bind_prepare(self.op, self.device, self.arrays, work)
        forward = bind_forward(self.op, self.device, self.arrays, work)
        self.device.memory.sequence([call for call in (prepare, forward) if call])()
        return self.read("out")

    def backward(self, dy):
        if self._bytes:
            raise DataError(f"{self._bytes[0]} is uint8, which has no gradient; pass it as floating-point numbers")
        held = self._held("dy", dy)
        given = like(dy, "dy")
        out = self.arrays["out"]
        shape = from_channels_last(np.empty(out.shape, bool), self.data_format).shape
        if given.shape != shape or given.dtype != out.dtype:
            raise ShapeError(
                f"dy must be {out.dtype} of shape {shape}, like the result, got {given.dtype} {given.shape}"
            )
        memory = self.device.memory
        if held is not None:
            dy = self._staged("out", held)
        else:
            dy = memory.put(np.ascontiguousarray(channels_last(host_array(dy, "dy"), self.data_format)))
        self.forward()
        names = [name for name in gradient_names(self.op) if name in self.arrays]
        gradients = {name: memory.empty(self.arrays[name].shape, self.dtype) for name in names}
        _, scratch = scratch_shapes(self.op, self.device, self.dtype, *self.shapes)
        call = bind_backward(self.op, self.device, self.arrays, {**gradients, "out": dy}, self._allocate(scratch))
        memory.sequence([call])()
        results = [
            self._result(name, gradients[name]) if name in gradients else None for name in gradient_names(self.op)
        ]
        return results[0] if len(results) == 1 else tuple(results)

    def read(self, name: str) -> np.ndarray | Tensor:
        """A copy in the caller's layout, on the host, or on the device if the caller's values are there."""
        return self._result(name, self.arrays[name])

    def _result(self, name: str, array) -> np.ndarray | Tensor:
        if not self.on_device:
            return self._canonical(name, self.device.memory.get(array))
        if not self._is_value(name):
            return Tensor(self._canonical(name, self.device.memory.get(array)), self.device)
        is_image = array.ndim in (3, 4) and self.data_format == "NCHW"
        return Tensor.of(to_channels_first(array, self.device) if is_image else array, self.device)

    def _held(self, name: str, value) -> Resident | None:
        """An operand that lies on the device."""
        images = self.data_format == "NCHW" and (name == "dy" or self._is_value(name))
        return resident(value, self.device, name, channels_first=images, chosen=True)

    def _staged(self, name: str, held: Resident):
        """The same in an array of its own, in the layout inside."""
        if self._is_value(name) or name in self.op.integer_inputs:
            kept = "int64" if name in self.op.integer_inputs else "uint8"
            return held.whole(kept if name in (*self.op.integer_inputs, *self._bytes) else self.dtype)
        host = self._inside(name, self.device.memory.get(held.array))  # parameters are small
        return self.device.memory.put(np.ascontiguousarray(host))

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


def like(values, name: str) -> np.ndarray:
    """An array with the shape and dtype of ``values``, which may lie on a GPU: then its numbers mean nothing."""
    if isinstance(values, Tensor):
        return np.broadcast_to(np.zeros((), values.dtype), values.shape)
    if hasattr(values, "__cuda_array_interface__"):
        return np.broadcast_to(np.zeros((), values.__cuda_array_interface__["typestr"]), tuple(values.shape))
    return host_array(values, name)


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
    shape = like(weight, "weight").shape
    if len(shape) != ndim:
        sizes = {2: "out, in", 3: "out_channels, in_channels / groups, width"}
        wanted = sizes.get(ndim, "out_channels, in_channels / groups, height, width")
        raise ShapeError(f"weight must have shape ({wanted}), got {shape}")
    return shape[0]


def zero_bias(weight) -> np.ndarray:
    weight = like(weight, "weight")
    return np.zeros(weight.shape[0], weight.dtype)
