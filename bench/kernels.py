"""Convolution kernels one by one: milliseconds, GFLOP/s, and beside each the distance from float64."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from math import exp, log

import numpy as np

from nbconv.engine.bind import bind_backward, bind_forward, bind_prepare
from nbconv.engine.registry import Device, open_device, prepared_shapes, scratch_shapes
from nbconv.errors import OptionError

from . import rivals
from .shapes import ConvShape
from .timing import Timing, compare

DIRECTIONS = ("forward", "input_grad", "weight_grad")
AGAINST = ("torch", "reference")


@dataclass(frozen=True)
class Row:
    """One kernel on one shape; times are medians unless the name says otherwise."""

    op: str
    shape: dict
    direction: str
    ms: float
    least_ms: float
    first_ms: float
    gflops: float
    residual: float
    rivals: dict[str, float]

    @property
    def ratio(self) -> float | None:
        """The time of the fastest rival over ours."""
        return min(self.rivals.values()) / self.ms if self.rivals else None

    def as_dict(self) -> dict:
        """As in the JSON file: rivals as ``torch_ms`` and so on, the fastest of each kind."""
        plain = asdict(self)
        best: dict[str, float] = {}
        for name, ms in plain.pop("rivals").items():
            key = f"{name.split()[0]}_ms"
            best[key] = min(ms, best.get(key, ms))
        return {**plain, **best, "ratio": self.ratio}


class Bound:
    """A convolution and its gradients on a device, bound to arrays of its own.

    ``Bound(shape, open_device("cpu"), "float32", threads=2).call("forward")()``. A call does all that a training step
    pays: what depends on the weights is prepared anew before every forward.
    """

    def __init__(self, shape: ConvShape, device: Device, dtype: str, threads: int | None):
        self.op = shape.op()
        self.device = device
        self.dtype = dtype
        self.threads = threads
        self.x_shape = (shape.N, shape.H, shape.W, shape.C)
        rng = np.random.default_rng(0)
        arrays = {
            "x": rng.standard_normal(self.x_shape, np.float32),
            "weight": rng.standard_normal(self.op.param_shapes(self.x_shape)["weight"], np.float32),
            "dy": rng.standard_normal(self.op.out_shape(self.x_shape), np.float32),
        }
        put = device.memory.put
        self.arrays = {name: put(array.astype(dtype)) for name, array in arrays.items()}
        for name, like in ("out", "dy"), ("dx", "x"), ("dweight", "weight"):
            self.arrays[name] = put(np.full(arrays[like].shape, np.nan, dtype))

    def call(self, direction: str) -> Callable[[], None]:
        """The zero-argument call that computes one direction, and waits for it."""
        run = self.device.memory.sequence(self._calls(direction), self.threads)

        def call():
            run()
            self.device.memory.synchronize()

        return call

    def result(self, direction: str) -> np.ndarray:
        """What a call of this direction has computed, in float64."""
        return self.device.memory.get(self.arrays[RESULT[direction]]).astype(np.float64)

    def canonical(self) -> dict[str, np.ndarray]:
        """x, weight and dy in PyTorch's order of axes."""
        get = self.device.memory.get
        axes = {"x": (0, 3, 1, 2), "dy": (0, 3, 1, 2), "weight": self.op.canonical_axes["weight"]}
        return {name: np.ascontiguousarray(get(self.arrays[name]).transpose(a)) for name, a in axes.items()}

    def _calls(self, direction: str) -> list[Callable[[], None]]:
        forward, backward = scratch_shapes(self.op, self.device, self.dtype, self.x_shape)
        if direction != "forward":
            gradients = {"out": self.arrays["dy"], GRADIENT[direction]: self.arrays[RESULT[direction]]}
            return [bind_backward(self.op, self.device, self.arrays, gradients, self._allocate(backward))]
        scratch = self._allocate(prepared_shapes(self.op, self.device, self.dtype, self.x_shape) | forward)
        prepare = bind_prepare(self.op, self.device, self.arrays, scratch)
        return [*([prepare] if prepare else []), bind_forward(self.op, self.device, self.arrays, scratch)]

    def _allocate(self, buffers) -> dict:
        return {name: self.device.memory.empty(buffer.shape, buffer.dtype) for name, buffer in buffers.items()}


RESULT = {"forward": "out", "input_grad": "dx", "weight_grad": "dweight"}
GRADIENT = {"input_grad": "x", "weight_grad": "weight"}


def measure(
    shapes: Iterable[ConvShape],
    device: str,
    against: str | None = None,
    threads: int | None = None,
    seconds: float = 0.5,
) -> Iterator[Row]:
    """Yield a row per shape and direction as soon as it is measured, each kernel for about ``seconds``.

    ``next(measure([shape], "cpu", against="torch")).ratio``. Raises ``OptionError`` for an unknown rival, or one that
    is not installed.
    """
    if against not in (None, *AGAINST):
        raise OptionError(f"--against must be one of {', '.join(AGAINST)}, got {against!r}")
    if against == "torch" and find_spec("torch") is None:
        raise OptionError("--against torch needs PyTorch, which is not installed; pip install torch, or leave it out")
    opened = open_device(device)
    exact_device = open_device("reference")
    for shape in shapes:
        ours = Bound(shape, opened, "float32", threads)
        exact = Bound(shape, exact_device, "float64", None)
        for direction in DIRECTIONS:
            calls = {"nbconv": ours.call(direction), **_rivals(against, shape, direction, ours, threads)}
            timings = compare(calls, seconds)
            exact.call(direction)()
            residual = relative_error(ours.result(direction), exact.result(direction))
            yield _row(shape, direction, timings, ours.op.flops(ours.x_shape), residual)


def relative_error(got: np.ndarray, exact: np.ndarray) -> float:
    """norm(got - exact) / norm(exact)."""
    return float(np.linalg.norm(got - exact) / np.linalg.norm(exact))


def geometric_means(rows: Iterable[Row]) -> dict[str, float]:
    """The geometric mean of the ratios, by direction."""
    logs: dict[str, list[float]] = {}
    for row in rows:
        if row.ratio is not None:
            logs.setdefault(row.direction, []).append(log(row.ratio))
    return {direction: exp(sum(values) / len(values)) for direction, values in logs.items()}


def _rivals(against, shape: ConvShape, direction: str, ours: Bound, threads) -> dict[str, Callable]:
    if against == "torch":
        return rivals.torch_calls(shape, direction, ours.canonical(), threads)
    if against == "reference":
        return {"reference": Bound(shape, open_device("reference"), "float32", threads).call(direction)}
    return {}


def _row(shape: ConvShape, direction: str, timings: dict[str, Timing], flops: int, residual: float) -> Row:
    ours = timings.pop("nbconv")
    return Row(
        op="conv2d",
        shape=shape.as_dict(),
        direction=direction,
        ms=ours.median,
        least_ms=ours.least,
        first_ms=ours.first,
        gflops=flops / ours.median / 1e6,
        residual=residual,
        rivals={name: timing.median for name, timing in timings.items()},
    )
