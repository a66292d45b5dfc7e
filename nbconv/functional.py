"""Each op as a function of arrays, forward and backward, with PyTorch's names and order of arguments.

Images are (N, C, H, W), or (N, H, W, C) with ``data_format="NHWC"``; convolution weights are (K, C / groups, KH, KW),
those of ``linear`` (out, in). All arrays of a call are float32 or all float64, and so is the result. A function
``..._backward`` takes the gradient of the result first and returns the gradients of the operands. Bad shapes and
options raise ``ShapeError``, ``OptionError`` or ``DataError`` before anything is computed.

    y = conv2d(x, weight, bias, padding=1)                      # (2, 3, 8, 8), (16, 3, 3, 3), (16,) -> (2, 16, 8, 8)
    dx, dweight, dbias = conv2d_backward(dy, x, weight, padding=1)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .data.checks import as_array, check_labels
from .data.layout import channels_last, from_channels_last
from .engine.bind import bind_backward, bind_forward, bind_prepare, gradient_names
from .engine.graph import DATA_FORMATS
from .engine.registry import Device, open_device, prepared_shapes, scratch_shapes
from .errors import DataError, OptionError, ShapeError
from .ops.activation import ReLU
from .ops.base import Op
from .ops.conv import Conv2d
from .ops.dropout import Dropout
from .ops.linear import Linear
from .ops.loss import CrossEntropy
from .ops.merge import Add
from .ops.metric import Accuracy
from .ops.norm import BatchNorm
from .ops.options import LARGEST_SEED, flag, integer
from .ops.pool import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from .ops.reshape import Flatten


def conv2d(
    x,
    weight,
    bias=None,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    padding_mode="zeros",
    device="cpu",
    data_format="NCHW",
    algorithm="auto",
):
    """Cross-correlate images with filters: (N, C, H, W), (K, C / groups, KH, KW), (K,) give (N, K, H', W').

    See ``nbconv.Conv2d`` for the options.
    """
    op = _conv(weight, bias is not None, stride, padding, dilation, groups, padding_mode, algorithm)
    return _Call(op, device, data_format, x=x, weight=weight, bias=bias).forward()


def conv2d_backward(
    dy,
    x,
    weight,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    padding_mode="zeros",
    device="cpu",
    data_format="NCHW",
    algorithm="auto",
):
    """Return (dx, dweight, dbias) of ``conv2d``."""
    op = _conv(weight, True, stride, padding, dilation, groups, padding_mode, algorithm)
    return _Call(op, device, data_format, x=x, weight=weight, bias=_zero_bias(weight)).backward(dy)


def linear(x, weight, bias=None, device="cpu"):
    """Multiply by a matrix and add a bias: (N, in), (out, in), (out,) give (N, out)."""
    op = Linear(_rows(weight, 2), bias=bias is not None)
    return _Call(op, device, x=x, weight=weight, bias=bias).forward()


def linear_backward(dy, x, weight, device="cpu"):
    """Return (dx, dweight, dbias) of ``linear``."""
    return _Call(Linear(_rows(weight, 2)), device, x=x, weight=weight, bias=_zero_bias(weight)).backward(dy)


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, device="cpu", data_format="NCHW"):
    """Take the maximum of each window: (N, C, H, W) gives (N, C, H', W'). See ``nbconv.MaxPool2d``."""
    return _Call(MaxPool2d(kernel_size, stride, padding, dilation, ceil_mode), device, data_format, x=x).forward()


def max_pool2d_backward(
    dy, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, device="cpu", data_format="NCHW"
):
    """Return dx of ``max_pool2d``: each window's gradient goes to its winner."""
    return _Call(MaxPool2d(kernel_size, stride, padding, dilation, ceil_mode), device, data_format, x=x).backward(dy)


def avg_pool2d(
    x,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
    device="cpu",
    data_format="NCHW",
):
    """Take the mean of each window: (N, C, H, W) gives (N, C, H', W'). See ``nbconv.AvgPool2d``."""
    op = AvgPool2d(kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _Call(op, device, data_format, x=x).forward()


def avg_pool2d_backward(
    dy,
    x,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
    device="cpu",
    data_format="NCHW",
):
    """Return dx of ``avg_pool2d``: each window's gradient is spread over its pixels."""
    op = AvgPool2d(kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _Call(op, device, data_format, x=x).backward(dy)


def global_avg_pool2d(x, device="cpu", data_format="NCHW"):
    """Take the mean of each channel: (N, C, H, W) gives (N, C)."""
    return _Call(GlobalAvgPool2d(), device, data_format, x=x).forward()


def global_avg_pool2d_backward(dy, x, device="cpu", data_format="NCHW"):
    """Return dx of ``global_avg_pool2d``."""
    return _Call(GlobalAvgPool2d(), device, data_format, x=x).backward(dy)


def relu(x, device="cpu", data_format="NCHW"):
    """Replace negative values by zero; any (N, C, H, W) or (N, C)."""
    return _Call(ReLU(), device, data_format, x=x).forward()


def relu_backward(dy, x, device="cpu", data_format="NCHW"):
    """Return dx of ``relu``: dy where x is positive (or NaN)."""
    return _Call(ReLU(), device, data_format, x=x).backward(dy)


def flatten(x, device="cpu", data_format="NCHW"):
    """Make one row of each sample, in the order channel, row, column: (N, C, H, W) gives (N, C * H * W)."""
    return _Call(Flatten(), device, data_format, x=x).forward()


def flatten_backward(dy, x, device="cpu", data_format="NCHW"):
    """Return dx of ``flatten``."""
    return _Call(Flatten(), device, data_format, x=x).backward(dy)


def add(x, other, device="cpu", data_format="NCHW"):
    """Add two arrays of the same shape."""
    return _Call(Add(), device, data_format, x=x, other=other).forward()


def add_backward(dy, x, other, device="cpu", data_format="NCHW"):
    """Return (dx, dother) of ``add``: twice dy."""
    return _Call(Add(), device, data_format, x=x, other=other).backward(dy)


def batch_norm(
    x,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    device="cpu",
    data_format="NCHW",
):
    """Normalise each channel of (N, C, H, W) or (N, C); in training, the running statistics move in place.

    ``running_mean``, ``running_var``, ``weight`` and ``bias`` are (C,). In training the running statistics may be
    ``None``. See ``nbconv.BatchNorm``.
    """
    if flag(training, "training"):
        _check_writeable(running_mean, "running_mean")
        _check_writeable(running_var, "running_var")
    call = _norm(x, running_mean, running_var, weight, bias, training, momentum, eps, device, data_format)
    result = call.forward()
    if training:
        for host, name in (running_mean, "running_mean"), (running_var, "running_var"):
            if host is not None:
                host[...] = call.read(name)
    return result


def batch_norm_backward(
    dy,
    x,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    device="cpu",
    data_format="NCHW",
):
    """Return (dx, dweight, dbias) of ``batch_norm``; the running statistics stay as they are."""
    return _norm(x, running_mean, running_var, weight, bias, training, momentum, eps, device, data_format).backward(dy)


def dropout(x, p=0.5, training=True, seed=0, step=0, device="cpu", data_format="NCHW"):
    """Set values to zero with probability ``p``, scale the others; ``seed`` and ``step`` decide which."""
    return _dropout(x, p, training, seed, step, device, data_format).forward()


def dropout_backward(dy, x, p=0.5, training=True, seed=0, step=0, device="cpu", data_format="NCHW"):
    """Return dx of ``dropout`` with the same ``seed`` and ``step``."""
    return _dropout(x, p, training, seed, step, device, data_format).backward(dy)


def cross_entropy(x, target, device="cpu", data_format="NCHW"):
    """Return the mean of -log softmax(x)[target] as a float: logits (N, C) and integer labels (N,)."""
    return float(_classes(CrossEntropy(), x, target, device, data_format).forward()[0])


def cross_entropy_backward(dy, x, target, device="cpu", data_format="NCHW"):
    """Return dx of ``cross_entropy``; ``dy`` is the number that the loss is multiplied by."""
    return _classes(CrossEntropy(), x, target, device, data_format).backward(np.full(1, dy, np.float64))


def accuracy(x, target, device="cpu", data_format="NCHW"):
    """Return the share of rows whose largest logit is the target's, as a float."""
    return float(_classes(Accuracy(), x, target, device, data_format).forward()[0])


class _Call:
    """One op with its operands on a device, in the layout inside."""

    def __init__(self, op: Op, device: str | Device, data_format: str = "NCHW", **operands):
        if data_format not in DATA_FORMATS:
            raise OptionError(f"data_format must be one of {DATA_FORMATS}, got {data_format!r}")
        self.op, self.device, self.data_format = op, open_device(device), data_format
        hosts = {name: _array(value, name) for name, value in operands.items() if value is not None}
        self.dtype = _dtype({n: a for n, a in hosts.items() if n not in (*op.integer_inputs, *op.context)})
        empty = [name for name, array in hosts.items() if not array.size]
        if empty:
            raise DataError(f"{empty[0]} is empty: it has shape {hosts[empty[0]].shape}")
        hosts = {name: self._inside(name, array) for name, array in hosts.items()}
        self.shapes = [hosts[name].shape for name in op.inputs]
        out = op.out_shape(*self.shapes)
        op.check_batch(*self.shapes)
        _check_shapes(op, {**op.param_shapes(*self.shapes), **op.state_shapes(*self.shapes)}, hosts)
        memory = self.device.memory
        self.arrays = {name: memory.put(np.ascontiguousarray(array)) for name, array in hosts.items()}
        self.arrays["out"] = memory.empty(out, op.out_dtype or self.dtype)
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
        dy = _array(dy, "dy")
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
            return array.transpose(np.argsort(self.op.canonical_axes[name]))
        return channels_last(array, self.data_format) if name in self.op.inputs else array

    def _canonical(self, name: str, array: np.ndarray) -> np.ndarray:
        if name in self.op.canonical_axes:
            return np.ascontiguousarray(array.transpose(self.op.canonical_axes[name]))
        return self._outside(array)

    def _outside(self, array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(from_channels_last(array, self.data_format))


def _array(values, name: str) -> np.ndarray:
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
            axes = op.canonical_axes.get(name, range(len(shape)))
            got, need = ([s[a] for a in axes] for s in (given[name].shape, shape))
            raise ShapeError(f"{name} has shape {tuple(got)}, but {op!r} on this input needs {tuple(need)}")


def _rows(weight, ndim: int) -> int:
    shape = _array(weight, "weight").shape
    if len(shape) != ndim:
        wanted = "(out_channels, in_channels / groups, height, width)" if ndim == 4 else "(out, in)"
        raise ShapeError(f"weight must have shape {wanted}, got {shape}")
    return shape[0]


def _zero_bias(weight) -> np.ndarray:
    weight = _array(weight, "weight")
    return np.zeros(weight.shape[0], weight.dtype)


def _conv(weight, bias: bool, stride, padding, dilation, groups, padding_mode, algorithm) -> Conv2d:
    filters, size = _rows(weight, 4), np.shape(weight)[2:]
    return Conv2d(filters, size, stride, padding, dilation, groups, bias, padding_mode, algorithm=algorithm)


def _norm(x, running_mean, running_var, weight, bias, training, momentum, eps, device, data_format) -> _Call:
    if (weight is None) != (bias is None):
        raise OptionError("weight and bias come together: pass both or neither")
    if (running_mean is None) != (running_var is None):
        raise OptionError("running_mean and running_var come together: pass both or neither")
    op = BatchNorm(eps, momentum, affine=weight is not None, training=training)
    if running_mean is None:
        if not op.training:
            raise OptionError("with training=False, running_mean and running_var are needed: pass both, of shape (C,)")
        running_mean, running_var = _first_statistics(x, data_format)
    state = {"running_mean": running_mean, "running_var": running_var}
    return _Call(op, device, data_format, x=x, weight=weight, bias=bias, **state)


def _first_statistics(x, data_format: str) -> tuple[np.ndarray, np.ndarray]:
    """A running mean and variance to begin with, for whoever keeps none."""
    x = _array(x, "x")
    channels = channels_last(x, data_format).shape[-1:]
    return np.zeros(channels, x.dtype), np.ones(channels, x.dtype)


def _check_writeable(array, name: str) -> None:
    """Raise ``DataError`` unless this is ``None`` or an array that can be updated in place."""
    if array is not None and not (isinstance(array, np.ndarray) and array.flags.writeable):
        kind = "a read-only array" if isinstance(array, np.ndarray) else type(array).__name__
        raise DataError(
            f"{name} is updated in place in training: it must be a NumPy array that can be written to, got {kind}; "
            f"pass a copy made with np.array({name}), or None"
        )


def _dropout(x, p, training, seed, step, device, data_format) -> _Call:
    seed = integer(seed, "seed", least=0, most=LARGEST_SEED)
    rng = np.array([seed, integer(step, "step", least=0, most=LARGEST_SEED), 0], np.int64)
    return _Call(Dropout(p, training=training), device, data_format, x=x, rng=rng)


def _classes(op: Op, x, target, device, data_format) -> _Call:
    logits = _array(x, "x")
    if logits.ndim not in (2, 4):
        raise ShapeError(f"logits must be (N, C), or images (N, C, H, W), got {logits.shape}")
    last = channels_last(logits, data_format)
    labels = _array(target, "target")
    if labels.shape != last.shape[:-1] and last.ndim == 4:
        raise ShapeError(f"target must have shape {last.shape[:-1]}, one label per pixel, got {labels.shape}")
    flat = check_labels(
        labels.reshape(-1) if last.ndim == 4 else labels, last.shape[-1], last[..., 0].size, name="target"
    )
    return _Call(op, device, data_format, x=logits, labels=flat.reshape(last.shape[:-1]))
