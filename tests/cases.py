"""Every op's cases: the one list that the kernel tests and the benchmarks read. Tolerances are here too, as data."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nbconv import (
    MSE,
    SGD,
    Accuracy,
    Adam,
    AdamW,
    Add,
    AvgPool1d,
    AvgPool2d,
    BatchNorm,
    BCEWithLogits,
    BinaryAccuracy,
    Concat,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    CrossEntropy,
    Dropout,
    Dropout2d,
    Flatten,
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    GroupNorm,
    Hinge,
    InstanceNorm,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MaxPool1d,
    MaxPool2d,
    Normalize,
    Pad2d,
    RandomCrop,
    RandomHorizontalFlip,
    ReLU,
    RMSProp,
    Sigmoid,
    Softmax,
    Tanh,
    Upsample,
)
from nbconv.ops.advance import Advance
from nbconv.ops.base import Op, Shape
from nbconv.ops.guard import Guard, Snapshot
from nbconv.ops.optimizer import Optimizer
from nbconv.ops.regularizer import L2
from nbconv.ops.stage import Gather, OutOfRange

DTYPES = ("float32", "float64")


def _spoil(x, rng, *values):
    """Put each of ``values`` in about a tenth of the places."""
    kind = rng.integers(0, 10, x.shape)
    return np.select([kind == i for i in range(len(values))], values, x)


SATURATING = (1e3, -1e3, 30.0, -30.0, 1e-20, -1e-20)
VALUES = {
    "normal": lambda x, rng: x,
    "ties": lambda x, rng: rng.integers(-1, 2, x.shape),
    "nan": lambda x, rng: _spoil(x, rng, np.nan, np.nan),
    "special": lambda x, rng: _spoil(x, rng, np.nan, np.inf, -np.inf, 0.0, -0.0),
    "saturating": lambda x, rng: _spoil(x, rng, *SATURATING),
    "mostly -inf": lambda x, rng: np.where(rng.random(x.shape) < 0.7, -np.inf, x),
    "-inf": lambda x, rng: np.full_like(x, -np.inf),
    "large": lambda x, rng: 1e4 * x,
    "offset": lambda x, rng: 1e3 + x,
    "tiny spread": lambda x, rng: 100 + 1e-2 * x,
    "bad sample": lambda x, rng: np.where(np.arange(x.size).reshape(x.shape) == x.size // len(x) + 1, np.nan, x),
    "infinite sample": lambda x, rng: np.where(np.arange(x.size).reshape(x.shape) == 0, np.inf, x),
    "bad channel": lambda x, rng: np.where(np.arange(x.size).reshape(x.shape) == x.shape[-1], np.nan, x),
    "equal rows": lambda x, rng: np.broadcast_to(x[:1], x.shape),
    "bytes": lambda x, rng: rng.integers(0, 256, x.shape).astype(np.uint8),
}
"""What the inputs hold: from standard normal numbers to something harder.

With "ties", parameters and gradients are small integers too, so that sums of products are exact.
"""


ROWS = 5
"""How many rows are gathered."""


class Case(NamedTuple):
    """An op, the shape of its (first) input, channels last, and what is in it."""

    op: Op
    x: Shape
    values: str = "normal"
    steps: int = 1
    seed: int = 0

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of all inputs: labels are one per row, all others as large as the first but for their channels.

        Rows to be gathered are a few.
        """
        if isinstance(self.op, Concat):
            return tuple((*self.x[:-1], channels) for channels in self.op.channels)
        others = {"labels": self.x[:-1], "rows": (ROWS,)}
        return tuple(others.get(name, self.x) for name in self.op.inputs)

    @property
    def differentiable(self) -> bool:
        """Whether backward has something to compute: bytes have no gradient."""
        return self.op.differentiable and self.values != "bytes"

    def out_dtype(self, dtype: str) -> str:
        """The dtype of the output where floating-point numbers have this one."""
        read = ("uint8" if self.values == "bytes" else "float" for _ in self.shapes)
        made = self.op.result_dtype(*read)
        return dtype if made == "float" else made

    def operands(self, dtype: str) -> dict[str, np.ndarray]:
        """Inputs, parameters and state; the optimisers' state, which forward moves, starts as zeros."""
        op, rng = self.op, np.random.default_rng(self.seed)
        arrays = {
            name: self._input(name, rng, shape) for name, shape in zip(op.input_names(), self.shapes, strict=True)
        }
        arrays |= {name: self._normal(rng, shape) for name, shape in op.param_shapes(*self.shapes).items()}
        arrays |= {name: rng.uniform(0.5, 1.5, shape) for name, shape in op.state_shapes(*self.shapes).items()}
        if isinstance(op, Optimizer):
            arrays |= {name: np.zeros(self.x) for name in op.saved_shapes(*self.shapes)}
        kept = *op.integer_inputs, *(name for name, a in arrays.items() if a.dtype == np.uint8)
        return {name: a if name in kept else a.astype(dtype) for name, a in arrays.items()}

    def at_step(self, step: int, dtype: str) -> dict[str, np.ndarray]:
        """What differs from step to step, counted from 1: seed and step, learning rate and gradient."""
        arrays = {}
        if "rng" in self.op.context:
            arrays["rng"] = np.array([self.seed, step, 7])
        if "hyper" in self.op.context:
            arrays["hyper"] = np.array([getattr(self.op, "lr", 1.0) / step, step])
            arrays["grad"] = self._input("grad", np.random.default_rng(step), self.x).astype(dtype)
        return arrays

    def dy(self, dtype: str) -> np.ndarray:
        """The gradient that comes back to this op."""
        dy = self._normal(np.random.default_rng(1), self.op.out_shape(*self.shapes))
        return dy.astype(self.out_dtype(dtype))

    def _normal(self, rng, shape) -> np.ndarray:
        x = rng.standard_normal(shape)
        return x if self.values != "ties" else np.round(2 * x)

    def _input(self, name, rng, shape) -> np.ndarray:
        if name == "labels":
            return rng.integers(0, self.x[-1], shape)
        if name == "rows":
            return rng.integers(0, self.x[0], shape)
        if name == "target":
            return rng.integers(0, 2, shape) if self.values == "ties" else rng.random(shape)
        x = rng.standard_normal(shape)
        return x if name == "param" else VALUES[self.values](x, rng)

    def __str__(self):
        extra = [self.values] * (self.values != "normal") + [f"{self.steps} steps"] * (self.steps > 1)
        return "-".join([repr(self.op), "x".join(map(str, self.x)), *extra])


MIXED_POOL = MaxPool2d((3, 2), stride=(2, 1), padding=(1, 0))

CONV = [
    Case(Conv2d(8, 3), (2, 7, 9, 3)),
    Case(Conv2d(1, 1), (1, 1, 1, 1)),
    Case(Conv2d(5, 3, padding=1), (1, 1, 1, 3)),  # the kernel is larger than the image
    Case(Conv2d(4, (5, 7), padding=(2, 3)), (2, 2, 3, 2)),
    Case(Conv2d(10, (1, 3)), (3, 4, 8, 1)),
    Case(Conv2d(16, (3, 1)), (1, 8, 4, 17)),
    Case(Conv2d(31, 3, padding=1), (2, 9, 11, 33)),
    Case(Conv2d(40, 3, padding=1, bias=False), (1, 13, 6, 16)),
    Case(Conv2d(70, 1), (2, 5, 7, 17)),
    Case(Conv2d(16, 1, stride=2), (2, 7, 9, 8)),
    Case(Conv2d(17, 2), (2, 6, 5, 3)),
    Case(Conv2d(33, 5, padding=2), (2, 11, 10, 3)),
    Case(Conv2d(8, 7, stride=2, padding=3), (1, 17, 15, 3)),
    Case(Conv2d(12, 4, stride=4), (2, 16, 12, 5)),
    # strides, also larger than the kernel
    Case(Conv2d(6, 3, stride=(2, 3), padding=1), (2, 10, 11, 4)),
    Case(Conv2d(6, 3, stride=(3, 1), padding=(0, 1)), (2, 11, 7, 4)),
    Case(Conv2d(9, 3, stride=2, padding=1), (2, 14, 14, 16)),
    Case(Conv2d(5, 2, stride=3), (2, 9, 10, 3)),
    Case(Conv2d(16, 1, stride=(3, 2), bias=False), (1, 8, 7, 16)),
    Case(Conv2d(3, (1, 2), stride=(3, 4), padding=(1, 0)), (1, 6, 9, 5)),
    # padding
    Case(Conv2d(4, 3, padding="valid"), (1, 5, 6, 2)),
    Case(Conv2d(4, 3, padding="same"), (1, 5, 6, 2)),
    Case(Conv2d(4, (2, 4), padding="same"), (2, 5, 6, 3)),
    Case(Conv2d(4, 3, stride=2, padding="same"), (2, 7, 8, 3)),
    Case(Conv2d(4, (5, 2), stride=(3, 2), padding="same", dilation=(1, 2)), (2, 10, 7, 3)),
    Case(Conv2d(8, 3, padding=(0, 1, 2, 0)), (2, 6, 5, 4)),
    Case(Conv2d(16, 3, padding=(2, 0, 0, 2)), (2, 8, 8, 16)),
    Case(Conv2d(4, 3, padding=4), (2, 5, 4, 3)),  # the outer windows see border alone
    Case(Conv2d(16, 1, padding=1), (1, 4, 5, 16)),
    Case(Conv2d(4, 2, stride=2, padding=(3, 4)), (1, 5, 6, 3)),
    # dilation
    Case(Conv2d(8, 3, dilation=2), (2, 9, 8, 3)),
    Case(Conv2d(7, 3, dilation=(2, 3), padding=(2, 3)), (2, 8, 9, 5)),
    Case(Conv2d(16, (2, 3), stride=(2, 1), dilation=(3, 2), padding=1), (1, 11, 10, 16)),
    # groups
    Case(Conv2d(6, 3, padding=1, groups=2), (2, 6, 7, 4)),
    Case(Conv2d(15, 3, groups=3), (1, 7, 5, 9)),
    Case(Conv2d(32, 3, padding=1, groups=2), (2, 8, 8, 32)),
    Case(Conv2d(6, (2, 3), stride=2, dilation=(1, 2), groups=3, padding=(1, 2)), (2, 9, 8, 6)),
    Case(Conv2d(12, 1, groups=4), (2, 3, 5, 8)),
    # depthwise
    Case(Conv2d(5, 3, padding=1, groups=5), (2, 6, 7, 5)),
    Case(Conv2d(32, 3, padding=1, groups=32), (2, 9, 8, 32)),
    Case(Conv2d(17, 5, stride=2, padding=2, groups=17), (2, 9, 8, 17)),
    Case(Conv2d(16, (3, 2), dilation=(2, 1), groups=16, bias=False), (1, 8, 7, 16)),
    Case(Conv2d(12, 3, padding=1, groups=4), (2, 6, 7, 4)),  # three filters per channel
    Case(Conv2d(32, 3, stride=2, groups=16), (1, 9, 9, 16)),
    # circular
    Case(Conv2d(6, 3, padding=1, padding_mode="circular"), (2, 5, 7, 3)),
    Case(Conv2d(16, 3, padding=1, padding_mode="circular"), (2, 8, 8, 16)),
    Case(Conv2d(4, (3, 5), padding=(1, 2), padding_mode="circular", stride=2), (2, 6, 9, 2)),
    Case(Conv2d(4, 3, padding=(2, 1, 0, 3), padding_mode="circular", dilation=2), (1, 7, 6, 3)),
    Case(Conv2d(4, 3, padding=(5, 3, 2, 4), padding_mode="circular", stride=(2, 3)), (1, 5, 4, 2)),
    Case(Conv2d(4, 3, padding=1, padding_mode="circular", groups=2), (2, 4, 5, 4)),
    Case(Conv2d(5, 3, padding=1, padding_mode="circular", groups=5, bias=False), (2, 4, 3, 5)),
    Case(Conv2d(3, 3, padding="same", padding_mode="circular", activation="relu", pool=MaxPool2d(2)), (1, 6, 5, 3)),
    Case(Conv2d(3, 3, padding=1, padding_mode="circular"), (1, 1, 2, 2)),
    # fused
    Case(Conv2d(8, 3, padding=1, activation="relu"), (2, 7, 9, 3)),
    Case(Conv2d(16, 3, padding=1, activation="relu", bias=False), (1, 10, 8, 16)),
    Case(Conv2d(6, 1, activation="relu"), (2, 4, 5, 17)),
    Case(Conv2d(8, 5, stride=2, activation="relu"), (2, 11, 9, 3)),
    Case(Conv2d(6, 3, groups=2, activation="relu"), (2, 6, 5, 4)),
    Case(Conv2d(8, 3, padding=1, groups=8, activation="relu"), (2, 6, 5, 8)),
    Case(Conv2d(8, 3, padding=1, activation="relu", pool=MaxPool2d(2)), (2, 8, 10, 3)),
    Case(Conv2d(16, 3, padding=1, activation="relu", pool=MaxPool2d(2)), (2, 12, 8, 16)),
    Case(Conv2d(10, 3, activation="relu", pool=MaxPool2d(2)), (1, 7, 9, 1)),  # the last row and column are not seen
    Case(Conv2d(16, 5, padding=2, activation="relu", pool=MaxPool2d(2)), (2, 14, 14, 8)),
    Case(Conv2d(8, 3, padding=1, pool=MaxPool2d(2)), (2, 6, 6, 4)),
    Case(Conv2d(8, 3, padding=1, bias=False, pool=MaxPool2d(3, stride=2, padding=1)), (2, 7, 8, 4)),
    Case(Conv2d(8, 3, padding=1, activation="relu", pool=MaxPool2d(3, stride=2)), (2, 9, 8, 3)),
    Case(Conv2d(17, 3, activation="relu", pool=MaxPool2d(3, stride=2, padding=1)), (1, 10, 9, 5)),
    Case(Conv2d(5, 2, activation="relu", pool=MIXED_POOL), (2, 8, 7, 3)),
    Case(Conv2d(8, 3, activation="relu", pool=MaxPool2d(2, ceil_mode=True)), (2, 9, 7, 3)),
    Case(Conv2d(8, 1, activation="relu", pool=MaxPool2d(2, dilation=2, padding=1)), (1, 6, 7, 3)),
    Case(Conv2d(4, 1, activation="relu", pool=MaxPool2d(17, stride=1)), (1, 18, 17, 2)),  # an int32 argmax
    Case(Conv2d(6, 3, stride=2, groups=2, activation="relu", pool=MaxPool2d(2)), (2, 13, 11, 4)),
    Case(Conv2d(8, 3, padding=1, groups=8, activation="relu", pool=MaxPool2d(2)), (2, 8, 6, 8)),
    Case(Conv2d(6, 2, activation="relu"), (2, 6, 5, 3), "nan"),
    # full
    Case(Conv2d(4, (3, 2), padding="full"), (2, 4, 5, 3)),
    Case(Conv2d(5, (2, 3), stride=(2, 1), padding="full", dilation=(3, 2), groups=5), (1, 2, 6, 5)),
    Case(Conv2d(3, 3, padding="full", padding_mode="circular"), (2, 4, 2, 2)),
    # true convolution
    Case(Conv2d(6, (2, 3), padding=(1, 0), flip=True), (2, 5, 6, 4)),
    Case(Conv2d(9, 3, stride=2, padding=1, flip=True, groups=3, activation="relu"), (2, 8, 7, 6)),
    Case(Conv2d(17, (3, 4), padding="full", flip=True, groups=17, bias=False), (1, 4, 5, 17)),  # depthwise
    Case(Conv2d(8, (3, 2), padding=(1, 2), padding_mode="circular", flip=True, pool=MaxPool2d(2)), (2, 6, 5, 3)),
    # enough work for several threads
    Case(Conv2d(8, 3, padding=1), (4, 28, 28, 1)),
    Case(Conv2d(32, 3, padding=1, activation="relu", pool=MaxPool2d(2)), (3, 32, 32, 16)),
    Case(Conv2d(40, 3, padding=1), (2, 17, 23, 20)),
    Case(Conv2d(64, 1, bias=False), (2, 28, 28, 32)),
    Case(Conv2d(24, 3, stride=2, padding=1), (3, 29, 31, 12)),
    Case(Conv2d(16, 5, padding=2, groups=2), (2, 24, 24, 8)),
    Case(Conv2d(48, 3, padding=1, groups=48), (3, 24, 25, 48)),
    Case(Conv2d(20, 3, stride=2, padding=1, groups=20, activation="relu"), (3, 33, 37, 20)),
    Case(Conv2d(17, (5, 7), padding=(2, 3), groups=17), (2, 19, 26, 17)),
    Case(Conv2d(33, (3, 4), dilation=(2, 3), padding=(2, 5), groups=33), (2, 17, 29, 33)),
    Case(Conv2d(5, 12, padding=6, groups=5), (1, 16, 18, 5)),  # sums of more taps than one chain
    Case(Conv2d(3, 3, padding=(2, 0, 1, 2)), (3, 37, 41, 20)),  # few filters: lanes are pixels
    Case(Conv2d(10, (3, 2), padding=1, groups=2, activation="relu"), (2, 40, 33, 12)),
    Case(Conv2d(8, 3, padding=1, activation="relu", pool=MaxPool2d(2)), (3, 17, 19, 1)),  # pooled in planes
    Case(Conv2d(8, 5, padding=2, activation="relu", pool=MaxPool2d(2)), (2, 70, 67, 1)),
    Case(Conv2d(16, 3, padding=1, pool=MaxPool2d(2)), (2, 37, 35, 3), "nan"),
    Case(Conv2d(8, (1, 17), bias=False, pool=MaxPool2d(2)), (2, 5, 50, 17), "special"),
    Case(Conv2d(4, (3, 2), activation="relu", pool=MaxPool2d(3)), (2, 15, 18, 2), "ties"),
    Case(Conv2d(2, 2, pool=MaxPool2d(2)), (2, 36, 34, 1), "ties"),
    Case(Conv2d(1, 3, padding=1, pool=MaxPool2d(2)), (2, 17, 41, 1), "nan"),
    Case(Conv2d(2, 3, padding=1, activation="relu", pool=MaxPool2d(2)), (3, 18, 41, 1)),  # no row is left out
    Case(Conv2d(2, (3, 2), padding=(1, 2), dilation=(1, 2), bias=False, pool=MaxPool2d(2)), (1, 30, 9, 17), "special"),
    Case(Conv2d(1, (3, 2), activation="relu", pool=MaxPool2d(3)), (2, 14, 18, 2), "ties"),
    Case(Conv2d(24, 4, stride=(2, 3), padding=1), (3, 38, 39, 7)),
    Case(Conv2d(6, 3, dilation=9, padding=9), (2, 20, 21, 17)),  # windows reach far
    Case(Conv2d(16, 3, padding=1, padding_mode="circular"), (2, 30, 30, 16)),
    Case(Conv2d(2, (3, 1), padding=(1, 0)), (3, 211, 2, 2)),  # gradients of weights: sums over many short rows
]
FLIPPED = [case for case in CONV if case.op.flip and case not in CONV[::3]]
WINOGRAD = [
    Case(Conv2d(32, 3, padding=1), (2, 13, 11, 17), "special"),
    Case(Conv2d(8, 3, padding=1, bias=False), (2, 13, 11, 3), "nan"),
    Case(Conv2d(16, 5, padding=2, activation="relu", pool=MaxPool2d(2)), (1, 9, 10, 8), "special"),
    Case(Conv2d(6, 3, padding=1, padding_mode="circular", groups=2), (2, 6, 5, 4), "special"),
    Case(Conv2d(33, 5, padding=2), (2, 11, 10, 33)),
    Case(Conv2d(32, 3, padding=1), (8, 4, 4, 48)),  # F(2x2, 3x3) and tiles of several images in a strip
    Case(Conv2d(40, 3, padding=1, bias=False), (3, 6, 6, 40)),
    Case(Conv2d(64, 3, padding=1, activation="relu", pool=MaxPool2d(3, stride=2, padding=1)), (2, 30, 26, 32)),
    Case(Conv2d(70, 3, padding=1, groups=2), (2, 18, 21, 34)),
    Case(Conv2d(32, 3, padding=1, flip=True), (2, 13, 11, 17), "special"),
    *(case for case in CONV if case.op.has_winograd),
]
CONV = [
    case._replace(op=replace(case.op, algorithm=algorithm))
    for algorithm, cases in (("direct", CONV), ("winograd", WINOGRAD), ("im2col", [*CONV[::3], *FLIPPED]))
    for case in cases
]
CONV_TRANSPOSE = [
    Case(ConvTranspose2d(3, 3), (2, 4, 5, 6)),
    Case(ConvTranspose2d(1, 1), (1, 1, 1, 1)),
    Case(ConvTranspose2d(17, 4, stride=2, padding=1), (2, 5, 3, 8)),
    Case(ConvTranspose2d(5, (3, 2), stride=(2, 3), padding=(1, 0), output_padding=(1, 2)), (1, 4, 3, 3)),
    Case(ConvTranspose2d(4, 2, stride=3, output_padding=1, bias=False), (2, 3, 4, 5)),  # some pixels nothing reaches
    Case(ConvTranspose2d(4, 2, stride=3, output_padding=1, activation="relu"), (2, 3, 4, 5)),
    Case(ConvTranspose2d(6, 3, stride=2, padding=(0, 1, 2, 1), dilation=(1, 2), groups=2), (2, 4, 5, 4)),
    Case(ConvTranspose2d(5, 3, stride=2, padding=1, output_padding=1, groups=5), (2, 4, 5, 5)),  # depthwise
    Case(ConvTranspose2d(6, 3, padding=4, activation="relu"), (1, 8, 9, 3)),  # more is cut off than windows reach
    Case(ConvTranspose2d(3, 3, padding=1), (2, 6, 5, 4), "special"),
    Case(ConvTranspose2d(24, 3, padding=1, activation="relu", algorithm="direct"), (2, 13, 12, 20)),
    Case(ConvTranspose2d(24, 3, padding=1, activation="relu", algorithm="winograd"), (2, 13, 12, 20), "special"),
    Case(ConvTranspose2d(8, 5, padding=2, groups=2, algorithm="winograd"), (1, 7, 9, 6)),
    Case(ConvTranspose2d(16, 4, stride=2, padding=1, activation="relu"), (3, 17, 15, 12)),
]
SEQUENCE = [
    Case(Conv1d(8, 3), (2, 9, 3)),
    Case(Conv1d(1, 1), (1, 1, 1)),
    Case(Conv1d(17, 5, stride=2, padding=2), (3, 14, 4)),
    Case(Conv1d(4, 3, padding=(2, 0), dilation=2, bias=False), (2, 11, 17)),  # causal, but for the last
    Case(Conv1d(5, 4, padding="same", stride=3, activation="relu"), (1, 10, 2)),
    Case(Conv1d(6, 3, padding="full", dilation=2, groups=2, flip=True), (2, 5, 4)),
    Case(Conv1d(17, 4, padding=1, groups=17, flip=True), (2, 8, 17)),
    Case(Conv1d(4, 5, padding="same", padding_mode="circular", flip=True), (2, 7, 3)),
    Case(Conv1d(6, 3, padding=1, activation="relu", pool=MaxPool1d(2)), (2, 11, 3)),
    Case(Conv1d(6, 3, pool=MaxPool1d(3, stride=2, padding=1, ceil_mode=True)), (1, 12, 5)),
    Case(Conv1d(9, 4, stride=2, padding=3, flip=True, algorithm="im2col"), (2, 9, 5)),
    Case(Conv1d(3, 3, padding=1), (2, 8, 4), "special"),
    Case(Conv1d(32, 7, padding=3, activation="relu"), (4, 300, 16)),
    Case(Conv1d(3, 5, padding=1), (2, 600, 2)),  # and over few long ones
    Case(MaxPool1d(2), (2, 9, 3)),
    Case(MaxPool1d(3, stride=2, padding=1, ceil_mode=True), (1, 8, 17), "ties"),
    Case(MaxPool1d(2, stride=1, dilation=2), (2, 6, 3), "nan"),
    Case(AvgPool1d(2), (2, 9, 3)),
    Case(AvgPool1d(3, stride=2, padding=(0, 1), ceil_mode=True, count_include_pad=False), (1, 8, 17)),
    Case(GlobalAvgPool1d(), (2, 9, 3)),
    Case(GlobalAvgPool1d(), (1, 1, 1)),
    Case(ReLU(), (2, 5, 7)),
    Case(Add(activation="relu"), (2, 5, 7)),
    Case(BatchNorm(activation="relu"), (3, 5, 7)),
    Case(Flatten(), (2, 5, 7)),
    Case(Dropout(0.3), (2, 5, 7)),
    Case(CrossEntropy(), (2, 5, 7)),
]
RESIZE = [
    Case(Pad2d(1), (2, 5, 3, 7)),
    Case(Pad2d(0, "reflect"), (1, 1, 1, 1)),
    Case(Pad2d((0, 3, 2, 1)), (2, 4, 5, 3), "special"),
    Case(Pad2d((2, 1, 3, 0), "reflect"), (2, 3, 4, 3)),
    Case(Pad2d((1, 0), "reflect"), (2, 3, 1, 17), "nan"),
    Case(Pad2d(5, "edge"), (2, 3, 2, 4)),  # more border than image
    Case(Pad2d((0, 4, 1, 2), "edge"), (1, 1, 1, 3)),
    Case(Pad2d((3, 2, 1, 4), "circular"), (2, 3, 4, 3)),
    Case(Pad2d(2, "circular"), (1, 2, 2, 1), "ties"),
    Case(Pad2d(3, "reflect"), (3, 40, 37, 8)),
    Case(Upsample(2), (2, 3, 4, 5)),
    Case(Upsample(1), (1, 1, 1, 1)),
    Case(Upsample((3, 1)), (2, 5, 4, 17)),
    Case(Upsample((1, 5)), (1, 3, 2, 1), "special"),
    Case(Upsample(2), (3, 20, 23, 12)),
]
LINEAR = [
    Case(Linear(10), (8, 64)),
    Case(Linear(1), (1, 1)),
    Case(Linear(10), (1, 17)),
    Case(Linear(1), (5, 33)),
    Case(Linear(7), (5, 1)),
    Case(Linear(31, bias=False), (9, 70)),
    Case(Linear(40, activation="relu"), (13, 19)),
    Case(Linear(5, bias=False, activation="relu"), (3, 8)),
    Case(Linear(3, activation="relu"), (4, 6), "nan"),
    Case(Linear(130), (3, 257)),
    Case(Linear(70, activation="relu"), (8, 300)),
    Case(Linear(2100), (2, 5)),
    Case(Linear(10), (64, 1152)),
    Case(Linear(130), (70, 257)),
]
MAX_POOL = [
    Case(MaxPool2d(2), (2, 8, 6, 4)),
    Case(MaxPool2d(2), (1, 7, 5, 3)),  # ragged: the last row and column are not covered
    Case(MaxPool2d(1), (1, 1, 1, 1)),
    Case(MaxPool2d(3, stride=2, padding=1), (2, 7, 9, 17)),  # overlapping
    Case(MaxPool2d((3, 2), stride=(1, 3), padding=(1, 0)), (2, 5, 8, 1), "ties"),
    Case(MaxPool2d(3, stride=1, padding=1), (1, 4, 4, 2), "nan"),
    Case(MaxPool2d(3, stride=2, padding=1), (1, 4, 5, 2), "-inf"),  # the border must not win
    Case(MaxPool2d(3, stride=2, padding=1), (2, 6, 5, 3), "special"),
    Case(MaxPool2d(2, ceil_mode=True), (2, 7, 5, 3)),
    Case(MaxPool2d(3, stride=2, padding=1, ceil_mode=True), (2, 6, 8, 3), "ties"),
    Case(MaxPool2d(2, stride=3, ceil_mode=True), (1, 8, 9, 5)),
    Case(MaxPool2d(3, stride=2, padding="same"), (2, 7, 8, 3)),
    Case(MaxPool2d((4, 3), stride=(3, 2), padding=(2, 1, 0, 1)), (2, 9, 8, 3)),
    Case(MaxPool2d(2, stride=1, dilation=2), (2, 6, 7, 3), "ties"),
    Case(MaxPool2d((2, 3), stride=2, padding=(1, 2), dilation=(2, 3), ceil_mode=True), (2, 8, 9, 3)),
    Case(MaxPool2d(2, stride=1, padding=1, dilation=2), (1, 1, 5, 3)),  # no tap of a window need see the image
    Case(MaxPool2d(17, stride=1), (1, 18, 19, 2)),  # an int32 argmax
    Case(MaxPool2d(3, stride=1, padding=1), (2, 19, 18, 8), "ties"),
    Case(MaxPool2d(3, stride=2, padding=1), (2, 13, 12, 36)),
    Case(MaxPool2d(3, stride=2), (3, 20, 21, 12), "nan"),
    Case(MaxPool2d((2, 5), stride=(3, 2), padding=(0, 2)), (2, 14, 13, 16), "ties"),
    Case(MaxPool2d(4, stride=2, padding=2), (1, 12, 9, 7)),
    Case(MaxPool2d(2), (1, 9, 8, 8), "nan"),
    Case(MaxPool2d(2), (4, 32, 32, 33)),
    Case(MaxPool2d(3, stride=2, padding=1), (3, 33, 31, 24), "ties"),
]
AVG_POOL = [
    Case(AvgPool2d(2), (2, 8, 6, 4)),
    Case(AvgPool2d(2), (1, 7, 5, 3)),
    Case(AvgPool2d(1), (1, 1, 1, 1)),
    Case(AvgPool2d(3, stride=2, padding=1), (2, 7, 9, 17)),
    Case(AvgPool2d(3, stride=2, padding=1, count_include_pad=False), (2, 7, 9, 17)),
    Case(AvgPool2d((3, 2), stride=(1, 3), padding=(1, 0), divisor_override=5), (2, 5, 8, 1)),
    Case(AvgPool2d(2, ceil_mode=True), (2, 7, 5, 3)),
    Case(AvgPool2d(3, stride=2, padding=1, ceil_mode=True), (2, 6, 8, 3)),
    Case(AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False), (2, 6, 8, 3)),
    Case(AvgPool2d(4, stride=3, padding=(0, 2, 1, 0), ceil_mode=True), (2, 9, 8, 3)),
    Case(AvgPool2d((3, 4), stride=2, padding="same"), (2, 7, 8, 3)),
    Case(AvgPool2d((3, 4), stride=2, padding="same", count_include_pad=False), (2, 7, 8, 3)),
    Case(AvgPool2d(2, stride=3), (1, 8, 9, 5)),
    Case(AvgPool2d(3, stride=1, padding=1), (1, 5, 6, 2), "special"),
    Case(AvgPool2d(3, stride=2, padding=1), (3, 33, 31, 24)),
    Case(GlobalAvgPool2d(), (2, 7, 5, 3)),
    Case(GlobalAvgPool2d(), (1, 1, 1, 1)),
    Case(GlobalAvgPool2d(), (3, 4, 1, 300)),
    Case(GlobalAvgPool2d(), (2, 6, 5, 4), "special"),
    Case(GlobalAvgPool2d(), (4, 40, 41, 17)),
]
GLOBAL_MAX_POOL = [
    Case(GlobalMaxPool2d(), (2, 7, 5, 3)),
    Case(GlobalMaxPool2d(), (1, 1, 1, 1)),
    Case(GlobalMaxPool2d(), (3, 4, 1, 300)),
    Case(GlobalMaxPool2d(), (2, 5, 6, 4), "ties"),
    Case(GlobalMaxPool2d(), (2, 6, 5, 4), "special"),
    Case(GlobalMaxPool2d(), (1, 3, 4, 2), "-inf"),
    Case(GlobalMaxPool2d(), (4, 40, 41, 17), "ties"),  # an int32 argmax
]
BATCH_NORM = [
    Case(BatchNorm(), (4, 5, 6, 3)),
    Case(BatchNorm(), (3, 1)),
    Case(BatchNorm(), (9, 17)),
    Case(BatchNorm(), (5, 3, 2, 1)),
    Case(BatchNorm(), (1, 6, 7, 33)),
    Case(BatchNorm(eps=1e-3, momentum=0.3), (5, 4, 3, 4), steps=3),
    Case(BatchNorm(momentum=0.0), (6, 4)),
    Case(BatchNorm(momentum=1.0), (6, 4)),
    Case(BatchNorm(affine=False), (4, 3, 5, 3)),
    Case(BatchNorm(activation="relu"), (4, 5, 3, 5)),
    Case(BatchNorm(affine=False, activation="relu"), (7, 6)),
    Case(BatchNorm(training=False), (4, 3, 5, 3)),
    Case(BatchNorm(training=False), (1, 7)),
    Case(BatchNorm(training=False, affine=False, activation="relu"), (2, 3, 4, 5)),
    Case(BatchNorm(), (8, 5, 6, 3), "offset"),
    Case(BatchNorm(training=False), (8, 5, 6, 3), "offset"),
    Case(BatchNorm(), (64, 3), "tiny spread"),
    Case(BatchNorm(), (6, 4, 3, 7), "bad channel"),
    Case(BatchNorm(activation="relu"), (6, 4, 3, 7), "bad channel"),
    Case(BatchNorm(), (4, 3, 3, 2), "equal rows"),
    Case(BatchNorm(activation="relu"), (8, 48, 48, 8)),
    Case(BatchNorm(), (8, 48, 48, 8), "offset"),
    Case(BatchNorm(affine=False), (4000, 67)),
    Case(BatchNorm(), (9, 11, 7, 36)),
    Case(BatchNorm(), (2, 33, 31, 300), "offset"),
    Case(BatchNorm(activation="relu"), (3, 5, 7, 1), "ties"),
    Case(BatchNorm(training=False, activation="relu"), (5, 3, 9, 17), "special"),
    # pooled
    Case(BatchNorm(activation="relu", pool=MaxPool2d(2)), (2, 8, 6, 4)),
    Case(BatchNorm(activation="relu", pool=MaxPool2d(2)), (3, 7, 9, 17)),  # the last row and column are not seen
    Case(BatchNorm(activation="relu", pool=MaxPool2d(2)), (2, 2, 2, 1)),
    Case(BatchNorm(activation="relu", pool=MaxPool2d(1)), (4, 1, 1, 5)),
    Case(BatchNorm(pool=MaxPool2d(2)), (2, 6, 6, 8)),
    Case(BatchNorm(affine=False, activation="relu", pool=MaxPool2d(2)), (1, 6, 7, 33)),
    Case(BatchNorm(activation="relu", pool=MaxPool2d(3, stride=2, padding=1)), (2, 9, 8, 16)),
    Case(BatchNorm(activation="relu", pool=MaxPool2d(3, stride=1, padding=1)), (2, 5, 6, 3)),
    Case(BatchNorm(activation="relu", pool=MIXED_POOL), (2, 8, 7, 20)),
    Case(BatchNorm(activation="relu", pool=MaxPool2d(2, ceil_mode=True)), (2, 9, 7, 3)),
    Case(BatchNorm(activation="relu", pool=MaxPool2d(3, stride=2, padding="same")), (2, 7, 8, 3)),
    Case(BatchNorm(activation="relu", pool=MaxPool2d(17, stride=1)), (1, 18, 17, 2)),  # an int32 argmax
    Case(BatchNorm(activation="relu", pool=MaxPool2d(2)), (4, 6, 4, 7), "bad channel"),
    Case(BatchNorm(activation="relu", pool=MaxPool2d(3, stride=2)), (4, 7, 7, 3), "offset"),
    Case(BatchNorm(affine=False, pool=MaxPool2d(2)), (4, 6, 4, 3), "equal rows"),  # windows of equal values
    Case(BatchNorm(training=False, activation="relu", pool=MaxPool2d(2)), (1, 6, 8, 5)),
    Case(BatchNorm(training=False, pool=MaxPool2d(3, stride=2, padding=1)), (2, 7, 6, 4), "special"),
    Case(BatchNorm(activation="relu", pool=MaxPool2d(2)), (3, 32, 30, 24)),
    Case(BatchNorm(activation="relu", pool=MaxPool2d(3, stride=2, padding=1)), (3, 33, 31, 20)),
]
GROUP_NORM = [
    Case(LayerNorm(), (4, 17)),
    Case(LayerNorm(eps=1.0), (1, 2)),
    Case(LayerNorm(), (3, 1, 1, 5)),
    Case(LayerNorm(), (2, 5, 3, 7)),
    Case(LayerNorm(eps=1e-3), (3, 7, 4, 1)),
    Case(LayerNorm(affine=False), (2, 4, 6, 3)),
    Case(LayerNorm(affine=False), (5, 33)),
    Case(LayerNorm(), (6, 64), "offset"),
    Case(LayerNorm(), (3, 5, 4, 3), "tiny spread"),
    Case(LayerNorm(), (4, 9), "bad sample"),
    Case(LayerNorm(), (3, 40), "infinite sample"),
    Case(LayerNorm(), (64, 1030)),  # columns and samples in pieces
    Case(LayerNorm(), (1500, 67)),
    Case(LayerNorm(), (2, 33, 31, 40), "offset"),
    Case(GroupNorm(2), (3, 5, 4, 6)),
    Case(GroupNorm(1), (2, 3, 7, 5)),
    Case(GroupNorm(5), (2, 6, 5, 5)),  # as many groups as channels
    Case(GroupNorm(3, affine=False), (2, 3, 2, 51)),
    Case(GroupNorm(1, affine=False), (2, 5, 3, 4)),
    Case(GroupNorm(4, eps=1e-3), (1, 7, 9, 12)),
    Case(GroupNorm(2), (2, 1, 1, 34)),
    Case(GroupNorm(3), (5, 12)),
    Case(GroupNorm(17, eps=1.0), (3, 34), "offset"),
    Case(GroupNorm(2), (2, 1, 3, 2)),
    Case(GroupNorm(2), (4, 5, 6, 4), "offset"),
    Case(GroupNorm(2), (2, 9, 8, 6), "tiny spread"),
    Case(GroupNorm(2), (3, 4, 5, 4), "bad sample"),
    Case(GroupNorm(2), (3, 4, 5, 4), "infinite sample"),
    Case(GroupNorm(4), (3, 3, 2, 300)),
    Case(GroupNorm(8), (40, 9, 11, 24)),  # several samples per chunk
    Case(GroupNorm(3), (2, 67, 64, 18), "offset"),  # samples that all threads share
    Case(InstanceNorm(), (2, 5, 4, 3)),
    Case(InstanceNorm(eps=1.0), (1, 1, 2, 1)),
    Case(InstanceNorm(affine=True), (3, 4, 3, 17)),
    Case(InstanceNorm(eps=1e-3, affine=True), (1, 6, 7, 33)),
    Case(InstanceNorm(), (4, 5, 6, 3), "offset"),
    Case(InstanceNorm(affine=True), (3, 3, 5, 4), "bad sample"),
    Case(InstanceNorm(), (36, 13, 15, 16)),
    Case(InstanceNorm(affine=True), (1, 130, 129, 8)),
]
ELEMENTWISE = [
    Case(ReLU(), (2, 5, 3, 7)),
    Case(ReLU(), (1, 1)),
    Case(ReLU(), (3, 37), "special"),
    Case(ReLU(), (4, 4, 5, 3), "ties"),
    Case(ReLU(), (4, 63, 61, 9)),
    Case(Add(), (2, 5, 3, 7)),
    Case(Add(), (3, 37), "special"),
    Case(Add(), (4, 63, 61, 9)),
    Case(Add(activation="relu"), (2, 5, 3, 7)),
    Case(Add(activation="relu"), (1, 1)),
    Case(Add(activation="relu"), (3, 37), "special"),
    Case(Add(activation="relu"), (4, 63, 61, 9), "ties"),
    Case(LeakyReLU(), (2, 5, 3, 7)),
    Case(LeakyReLU(0.0), (1, 1)),
    Case(LeakyReLU(0.2), (3, 37), "special"),
    Case(LeakyReLU(0.25), (4, 4, 5, 3), "ties"),
    Case(LeakyReLU(1.5), (4, 63, 61, 9)),
    Case(Sigmoid(), (2, 5, 3, 7)),
    Case(Sigmoid(), (1, 1)),
    Case(Sigmoid(), (3, 37), "special"),
    Case(Sigmoid(), (5, 17), "saturating"),
    Case(Sigmoid(), (4, 63, 61, 9)),
    Case(Tanh(), (2, 5, 3, 7)),
    Case(Tanh(), (1, 1)),
    Case(Tanh(), (3, 37), "special"),
    Case(Tanh(), (5, 17), "saturating"),
    Case(Tanh(), (4, 63, 61, 9)),
    Case(Concat(channels=(7, 7)), (2, 5, 3, 7)),
    Case(Concat(channels=(1, 1)), (1, 1, 1, 1)),
    Case(Concat(channels=(3, 16, 1, 33)), (2, 3, 5, 3)),
    Case(Concat(channels=(17, 4)), (5, 17), "special"),
    Case(Concat(channels=(24, 70, 5)), (4, 31, 33, 24)),
    Case(Concat(channels=(1, 16384)), (9, 1)),
    Case(Flatten(), (2, 5, 3, 7)),
    Case(Flatten(), (1, 1, 1, 1)),
    Case(Flatten(), (3, 11)),
    Case(Flatten(), (2, 4, 5, 1), "special"),
    Case(Flatten(), (1, 1, 6, 17)),
    Case(Flatten(), (5, 33, 31, 24)),
    Case(Dropout(), (2, 5, 3, 7)),
    Case(Dropout(0.0), (3, 10), "special"),
    Case(Dropout(0.3), (1, 1), steps=3),
    Case(Dropout(0.3), (3, 5, 7, 3), steps=2),  # no multiple of four
    Case(Dropout(1.0), (3, 11)),
    Case(Dropout(1.0), (3, 11), "special"),  # dropped is zero, whatever it was
    Case(Dropout(0.5, training=False), (3, 11), "special"),
    Case(Dropout(0.3), (4, 9), seed=2**32 + 5),
    Case(Dropout(0.5), (2, 2, 3, 3), seed=2**62 + 12345),
    Case(Dropout(0.3), (4, 63, 61, 9)),
    Case(Dropout2d(), (3, 5, 4, 7)),
    Case(Dropout2d(0.0), (2, 3, 2, 5), "special"),
    Case(Dropout2d(0.3), (1, 1, 1, 1), steps=3),
    Case(Dropout2d(0.3), (5, 3, 2, 17), steps=2),
    Case(Dropout2d(0.3), (7, 9)),
    Case(Dropout2d(1.0), (2, 3, 2, 5), "special"),
    Case(Dropout2d(0.5), (4, 3, 2, 6), "special"),  # dropped is zero, whatever it was
    Case(Dropout2d(0.5, training=False), (2, 3, 4, 5), "special"),
    Case(Dropout2d(0.5), (3, 37, 41, 24), seed=2**62 + 12345),
]
AUGMENT = [
    Case(Normalize(), (2, 5, 3, 7)),
    Case(Normalize(0.4, 0.25), (1, 1, 1, 1), "bytes"),
    Case(Normalize((0.49, 0.48, 0.45), (0.25, 0.24, 0.26)), (3, 7, 5, 3), "bytes"),
    Case(Normalize((0.49, 0.48, 0.45), 0.25, scale=1.0), (3, 7, 5, 3), "special"),
    Case(Normalize(0.5, tuple(range(1, 18)), scale=2.0), (1, 3, 5, 17)),
    Case(Normalize(0.1, 3.0, scale=0.5), (7, 1500)),  # a pixel is longer than a line
    Case(Normalize(0.1, 0.3), (2, 9, 4), "bytes"),
    Case(Normalize(0.5, (0.2, 0.3, 0.4)), (4, 63, 61, 3), "bytes"),
    Case(RandomHorizontalFlip(), (5, 3, 4, 3), "bytes"),
    Case(RandomHorizontalFlip(), (1, 1, 1, 1)),
    Case(RandomHorizontalFlip(), (3, 2, 5, 17), "special"),
    Case(RandomHorizontalFlip(), (7, 5, 6, 1), "bytes", steps=3),
    Case(RandomHorizontalFlip(), (4, 63, 61, 8)),
    Case(RandomHorizontalFlip(0.0), (2, 3, 4, 3), "special"),
    Case(RandomHorizontalFlip(1.0), (2, 3, 5, 2)),
    Case(RandomHorizontalFlip(1.0, training=False), (2, 3, 5, 2), "bytes"),
    Case(RandomHorizontalFlip(), (9, 2, 3, 2), "bytes", seed=2**62 + 12345),
    Case(RandomCrop(padding=2), (5, 3, 4, 3), "bytes"),
    Case(RandomCrop(padding=2), (1, 1, 1, 1)),
    Case(RandomCrop(padding=2), (3, 4, 5, 17), "special", steps=2),
    Case(RandomCrop(padding=2), (7, 5, 6, 1), "bytes", steps=3),
    Case(RandomCrop(padding=2), (40, 31, 33, 3), "bytes"),
    Case(RandomCrop(padding=2), (4, 63, 61, 8)),
    Case(RandomCrop(), (2, 3, 4, 3), "special"),
    Case(RandomCrop((3, 4), padding=(0, 5)), (6, 5, 2, 3)),  # a window may see border alone
    Case(RandomCrop(3), (6, 7, 5, 2), "bytes"),
    Case(RandomCrop(3), (2, 4, 3, 5)),
    Case(RandomCrop((4, 2), training=False), (2, 7, 5, 2), "bytes"),
    Case(RandomCrop((4, 2), training=False), (3, 7, 4, 2)),
    Case(RandomCrop(6, padding=2, training=False), (2, 5, 3, 3)),  # larger than the image
    Case(RandomCrop(padding=3), (9, 2, 3, 2), seed=2**62 + 12345),
]
SOFTMAX = [
    Case(op(), x, *values)
    for op in (Softmax, LogSoftmax)
    for x, *values in (
        ((8, 10),),
        ((1, 1),),
        ((5, 1), "special"),
        ((70, 2),),
        ((2, 5, 7, 3),),
        ((37, 4), "special"),
        ((40, 4), "mostly -inf"),
        ((9, 17), "mostly -inf"),
        ((37, 9), "special"),
        ((20, 24),),
        ((6, 17), "large"),
        ((6, 5), "offset"),
        ((6, 5), "nan"),
        ((19, 3), "-inf"),
        ((5, 33), "-inf"),
        ((40, 3), "ties"),
        ((2, 3, 5, 17), "special"),
        ((300, 1000),),
        ((4, 60, 61, 7),),
        ((4, 60, 61, 3),),
    )
]
LOSS = [
    Case(CrossEntropy(), (8, 10)),
    Case(CrossEntropy(), (1, 2)),
    Case(CrossEntropy(), (5, 1)),
    Case(CrossEntropy(), (7, 2)),
    Case(CrossEntropy(), (6, 17), "large"),
    Case(CrossEntropy(), (6, 5), "offset"),
    Case(CrossEntropy(), (6, 5), "nan"),
    Case(CrossEntropy(), (4, 3), "-inf"),
    Case(CrossEntropy(), (2, 3, 5, 4)),
    Case(CrossEntropy(), (300, 1000)),
    Case(CrossEntropy(), (4, 60, 61, 7)),
    Case(CrossEntropy(label_smoothing=0.1), (8, 10)),
    Case(CrossEntropy(label_smoothing=1.0), (3, 1)),
    Case(CrossEntropy(label_smoothing=0.3), (6, 17), "large"),
    Case(CrossEntropy(label_smoothing=0.3), (6, 5), "nan"),
    Case(CrossEntropy(weight=(0.5, 2.0, 1.0)), (7, 3)),
    Case(CrossEntropy(weight=(1.0, 0.0)), (9, 2)),
    Case(CrossEntropy(weight=(0.0, 0.0, 3.0, 0.0)), (1, 4), "large"),  # the label has weight 0: no loss
    Case(CrossEntropy(label_smoothing=0.2, weight=(0.5, 2.0, 1.0, 0.0, 0.1)), (2, 3, 4, 5)),
    Case(CrossEntropy(label_smoothing=0.1, weight=(0.1, 1.5, 2.0, 0.5, 1.0, 3.0, 0.3)), (4, 60, 61, 7)),
    Case(Hinge(), (8, 10)),
    Case(Hinge(), (5, 1)),  # no other class
    Case(Hinge(), (7, 2)),
    Case(Hinge(0.25), (6, 17), "large"),
    Case(Hinge(), (40, 5), "ties"),  # margins of zero push nobody
    Case(Hinge(), (6, 5), "nan"),
    Case(Hinge(), (40, 4), "special"),
    Case(Hinge(), (4, 3), "-inf"),
    Case(Hinge(2.0), (2, 3, 5, 4)),
    Case(Hinge(), (4, 60, 61, 7)),
    Case(MSE(), (8, 10)),
    Case(MSE(), (1, 1)),
    Case(MSE(), (3, 2, 5, 17)),
    Case(MSE(), (6, 5), "offset"),
    Case(MSE(), (6, 5), "ties"),
    Case(MSE(), (6, 5), "nan"),
    Case(MSE(), (4, 3), "-inf"),
    Case(MSE(), (4, 60, 61, 7)),
    Case(BCEWithLogits(), (8, 10)),
    Case(BCEWithLogits(), (1, 1)),
    Case(BCEWithLogits(), (3, 2, 5, 17)),
    Case(BCEWithLogits(), (6, 17), "large"),
    Case(BCEWithLogits(), (6, 5), "ties"),  # targets of 0 and 1
    Case(BCEWithLogits(), (6, 5), "nan"),
    Case(BCEWithLogits(), (4, 3), "-inf"),
    Case(BCEWithLogits(), (4, 60, 61, 7)),
    Case(Accuracy(), (8, 10)),
    Case(Accuracy(), (1, 1)),
    Case(Accuracy(), (40, 3), "ties"),
    Case(Accuracy(), (40, 3), "nan"),
    Case(Accuracy(), (40, 3), "-inf"),
    Case(Accuracy(), (40, 4), "special"),
    Case(Accuracy(), (2, 3, 5, 4)),
    Case(Accuracy(), (4, 60, 61, 7)),
    Case(BinaryAccuracy(), (8, 1)),
    Case(BinaryAccuracy(), (40, 3), "ties"),
    Case(BinaryAccuracy(), (40, 4), "special"),
    Case(BinaryAccuracy(), (4, 60, 61, 7)),
]
OPTIMIZER = [
    Case(SGD(0.1), (1,)),
    Case(SGD(0.1), (37,), steps=3),
    Case(SGD(0.1, momentum=0.9), (37,), steps=4),
    Case(SGD(0.1, momentum=0.9, weight_decay=0.01), (37,), steps=3),
    Case(SGD(0.1, weight_decay=0.01), (37,), steps=3),
    Case(SGD(0.1, momentum=0.9, weight_decay=0.01, nesterov=True), (37,), steps=3),
    Case(SGD(0.1, momentum=0.9, clip_norm=0.5), (37,), steps=3),
    Case(SGD(0.1, momentum=0.9, clip_norm=1e3), (37,), steps=3),
    Case(SGD(0.1, momentum=0.9), (37,), "nan", steps=2),
    Case(SGD(0.1, clip_norm=1.0), (37,), "special"),
    Case(SGD(0.1, momentum=0.9, nesterov=True, clip_norm=1.0), (150_001,), steps=2),
    Case(Adam(0.01), (1,)),
    Case(Adam(0.01), (37,), steps=4),
    Case(Adam(0.01, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1), (37,), steps=3),
    Case(Adam(0.01, betas=(0.0, 0.9)), (37,), steps=3),
    Case(Adam(0.01, clip_norm=0.5), (37,), steps=3),
    Case(Adam(0.01, clip_norm=1e3), (37,), steps=3),
    Case(Adam(0.01), (37,), "nan", steps=2),
    Case(Adam(0.01, clip_norm=2.0), (150_001,), steps=2),
    Case(AdamW(0.01), (37,), steps=4),
    Case(AdamW(0.01, weight_decay=0.2, clip_norm=0.5), (37,), steps=3),
    Case(AdamW(0.01), (37,), "-inf", steps=2),
    Case(AdamW(0.01, weight_decay=0.2), (150_001,), steps=2),
    Case(RMSProp(0.01), (1,)),
    Case(RMSProp(0.01), (37,), steps=4),
    Case(RMSProp(0.01, alpha=0.9, eps=1e-3, weight_decay=0.1), (37,), steps=3),
    Case(RMSProp(0.01, momentum=0.9, clip_norm=0.5), (37,), steps=3),
    Case(RMSProp(0.01, alpha=0.5, centered=True), (37,), steps=3),
    Case(RMSProp(0.01, momentum=0.9), (37,), "nan", steps=2),
    Case(RMSProp(0.01, momentum=0.5, centered=True, clip_norm=2.0), (150_001,), steps=2),
    Case(L2(0.1), (1,)),
    Case(L2(0.25), (37,), steps=2),
    Case(L2(0.0), (37,)),
    Case(L2(2.0), (37,), "special"),
    Case(L2(0.1), (150_001,)),
]
GUARD = [
    Case(Snapshot(), (1,)),
    Case(Snapshot(), (301,)),
    Case(Guard(), (1,)),
    Case(Guard(), (301,)),
    Case(Guard(), (301,), "-inf"),
    Case(Guard(), (301,), "infinite sample"),
]
ADVANCE = [
    Case(Advance(), (3,)),
    Case(Advance(4), (5,), "special", steps=6),
    Case(Advance(3), (301,)),
]
STAGE = [
    Case(Gather(), (3, 4)),
    Case(Gather(), (7,)),
    Case(Gather(), (2, 5, 3, 17)),
    Case(Gather(channels_first=True), (7, 3, 5, 4), "special"),
    Case(Gather(channels_first=True), (1, 17, 6)),
    Case(Gather(channels_first=True), (6, 4)),
    Case(Gather(channels_first=True), (5, 3, 4, 2), "bytes"),
    Case(OutOfRange(), (4, 3)),
    Case(OutOfRange(-1.0, 1.0), (301,)),
    Case(OutOfRange(0.0, 100.0), (4, 3, 5), "bytes"),
    Case(OutOfRange(-3.0, 3.0), (7, 3, 5), "special"),
    Case(OutOfRange(-1e300, 1e300), (5, 60), "nan"),
]
CASES = [
    *CONV,
    *CONV_TRANSPOSE,
    *SEQUENCE,
    *RESIZE,
    *LINEAR,
    *MAX_POOL,
    *AVG_POOL,
    *GLOBAL_MAX_POOL,
    *BATCH_NORM,
    *GROUP_NORM,
    *ELEMENTWISE,
    *AUGMENT,
    *SOFTMAX,
    *LOSS,
    *OPTIMIZER,
    *GUARD,
    *ADVANCE,
    *STAGE,
]

EXACT = {"float32": 0.0, "float64": 0.0}
TOLERANCE = {
    Conv2d: {"float32": 1e-6, "float64": 5e-15},  # about eps * sqrt(terms), of two sums in float64
    ConvTranspose2d: {"float32": 1e-6, "float64": 5e-15},
    Conv1d: {"float32": 1e-6, "float64": 5e-15},
    Linear: {"float32": 1e-6, "float64": 5e-15},
    MaxPool2d: {"float32": 2e-7, "float64": 5e-16},  # backward adds where windows overlap
    AvgPool2d: {"float32": 3e-7, "float64": 5e-16},
    GlobalAvgPool2d: {"float32": 1e-7, "float64": 2e-15},
    MaxPool1d: {"float32": 2e-7, "float64": 5e-16},
    AvgPool1d: {"float32": 3e-7, "float64": 5e-16},
    GlobalAvgPool1d: {"float32": 2e-7, "float64": 2e-15},  # 1 / length is rounded, and the product
    Pad2d: {"float32": 2e-7, "float64": 5e-16},  # backward adds copies
    Upsample: {"float32": 2e-7, "float64": 5e-16},
    GlobalMaxPool2d: EXACT,
    BatchNorm: {"float32": 1e-6, "float64": 5e-15},
    LayerNorm: {"float32": 1e-6, "float64": 5e-15},
    GroupNorm: {"float32": 1e-6, "float64": 5e-15},
    InstanceNorm: {"float32": 1e-6, "float64": 5e-15},
    ReLU: EXACT,
    LeakyReLU: {"float32": 1e-7, "float64": 2e-16},  # the slope is rounded, and the product
    Sigmoid: {"float32": 2e-7, "float64": 5e-16},
    Tanh: {"float32": 2e-7, "float64": 5e-16},
    Softmax: {"float32": 4e-7, "float64": 1e-15},
    LogSoftmax: {"float32": 3e-7, "float64": 1e-15},
    Add: EXACT,
    Concat: EXACT,
    Flatten: EXACT,
    Dropout: {"float32": 2e-7, "float64": 5e-16},  # the scale is rounded, and the product
    Dropout2d: {"float32": 2e-7, "float64": 5e-16},
    Normalize: {"float32": 3e-7, "float64": 5e-16},  # scale, mean and std are rounded, too
    RandomHorizontalFlip: EXACT,
    RandomCrop: EXACT,
    CrossEntropy: {"float32": 1e-6, "float64": 2e-15},
    Hinge: {"float32": 1e-7, "float64": 5e-16},
    MSE: {"float32": 2e-7, "float64": 1e-15},
    BCEWithLogits: {"float32": 3e-7, "float64": 1e-15},
    Accuracy: EXACT,
    BinaryAccuracy: EXACT,
    SGD: {"float32": 2e-7, "float64": 5e-16},
    Adam: {"float32": 3e-7, "float64": 1e-15},
    AdamW: {"float32": 3e-7, "float64": 1e-15},
    RMSProp: {"float32": 3e-7, "float64": 1e-15},
    L2: {"float32": 2e-7, "float64": 1e-15},
    Snapshot: EXACT,
    Guard: EXACT,
    Advance: EXACT,
    Gather: EXACT,
    OutOfRange: EXACT,
}
"""The largest allowed distance from the reference run in float64 on the same rounded inputs.

It bounds norm(got - want) / norm(want), and max(abs(got - want)) relative to the largest number wanted.
"""

WINOGRAD_TOLERANCE = {"float32": 3e-6, "float64": 1e-14}
"""Winograd's algorithm adds up numbers that are larger than its results, and loses a digit or less."""

CONDITION = {"offset": 1e3, "tiny spread": 1e4}
"""How much larger the inputs are than the differences between them, on which the result depends."""


def tolerance(case: Case, dtype: str) -> float:
    """What ``distance`` may be: differences of large numbers cost digits, but of float64, in either dtype."""
    is_winograd = getattr(case.op, "algorithm", None) == "winograd"
    largest = (WINOGRAD_TOLERANCE if is_winograd else TOLERANCE[type(case.op)])[dtype]
    return largest + 1e-15 * CONDITION.get(case.values, 0)
