"""A device against the reference, layer by layer, on a batch of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..engine.bind import bind_backward, bind_forward
from ..engine.plan import Observed
from ..engine.registry import Device, open_device
from ..ops.base import Op
from .table import table
from .trial import Net, Subject, Trial, subject_of

ALLOWED = 32
"""How many times what one rounding of each operand does to a result its error may be."""


@dataclass(frozen=True)
class VerifyRow:
    """An array that a layer made: how far it is from the reference's."""

    layer: str
    direction: str
    array: str
    error: float
    """norm(got - want) / norm(want), or the norm itself where the reference has zeros only."""
    largest: float
    """The largest absolute difference."""
    allowed: float
    """What ``error`` may be."""
    mismatches: int
    """Elements that are NaN or infinite on one side only, or another infinity; winners of a pool that did not win."""
    passed: bool


@dataclass(frozen=True)
class Verification:
    """The result of ``verify``: ``print`` shows a table, ``bool`` says whether every layer passed."""

    rows: tuple[VerifyRow, ...]
    whole: dict[str, float]
    """The error of the "output" (or the "loss") and of all "gradients" of the whole net, against one in float64."""
    device: str
    dtype: str

    @property
    def passed(self) -> bool:
        """Whether every layer is as exact as its operands allow. The whole net is not judged."""
        return all(row.passed for row in self.rows)

    def __bool__(self):
        return self.passed

    def as_dict(self) -> dict:
        """All of it as plain data."""
        return {**asdict(self), "passed": self.passed}

    def __str__(self):
        head = ("layer", "direction", "array", "error", "allowed", "largest", "not finite", "")
        lines = [table(head, [_cells(row) for row in self.rows], right=(3, 4, 5, 6))]
        failed = sum(not row.passed for row in self.rows)
        verdict = f"{failed} of {len(self.rows)} arrays are wrong" if failed else f"{len(self.rows)} arrays agree"
        lines.append(f"{verdict}: device {self.device}, {self.dtype}, against the reference in float64")
        whole = ", ".join(f"{name} {error:.1e}" for name, error in self.whole.items())
        lines.append(f"error of the whole net, where rounding adds up: {whole}")
        return "\n".join(lines)

    __repr__ = __str__


def verify(
    model: Net | Op,
    x: Any,
    y: Any = None,
    device: str | Device | None = None,
    *,
    loss: Op | None = None,
    seed: int = 0,
    data_format: str | None = None,
) -> Verification:
    """Run one batch forward and backward on a device, and each of its layers on the reference, too.

    ``print(verify(model, x, y))`` is a table with a row per array: outputs, gradients of inputs and of parameters.

    Parameters
    ----------
    model : Model, Layer or loss
        A model is copied, with its dtype and fusions, and acts as in training. A layer alone gets random parameters,
        and computes in x's dtype.
    x, y : arrays
        A batch, and its labels. Without labels, random gradients come back to the outputs.
    device : str, optional
        What is verified; by default the model's, and "cpu" for a layer.
    loss, seed, data_format
        As for ``gradcheck``.

    Returns
    -------
    Verification
        Its rows are in the order of computation: the first that failed is where to look.

    Raises
    ------
    OptionError, DataError, ShapeError, DeviceError
        For what is no model or layer, and for data that it cannot take.

    Notes
    -----
    The reference computes each layer in float64, from the operands that the layer had on the device: errors of one
    layer are not blamed on the next, and no ReLU or maximum is decided otherwise because of rounding. An array passes
    if NaN and infinities are in the same places, and norm(got - want) is no more than 32 times the larger of
    eps * norm(want) and what the result moves by if each operand is changed by its rounding (a factor 1 + eps or
    1 - eps at random), and the same for the largest element. So sums that cancel are allowed what their terms cost. The
    winner of a window of a fused max-pool may be another one that is less by no more than 32 eps of the largest value.
    """
    subject = subject_of(model, x, data_format)
    if isinstance(model, Op):
        subject = replace(subject, dtype=_dtype_of(x))
    trial = Trial(subject, x, y, loss=loss, device=device, dtype=subject.dtype, seed=seed)
    eps = float(np.finfo(subject.dtype).eps)
    rows = [row for seen in trial.plan.observe() for row in _rows(trial, seen, eps, seed)]
    return Verification(tuple(rows), _whole(trial, subject, x, y, loss, seed), str(trial.device), subject.dtype)


def _rows(trial: Trial, seen: Observed, eps: float, seed: int) -> Iterator[VerifyRow]:
    """Compare everything that a step wrote."""
    rng = np.random.default_rng((seed, seen.node))
    operands = {name: _exact(array) for name, array in seen.read.items()}
    moved = {name: _rounded(array, eps, rng) for name, array in operands.items()}
    want, other = (_on_reference(seen, given) for given in (operands, moved))
    layer = _label(trial, seen)
    direction = "backward" if seen.direction == "sum" else seen.direction
    same = True
    if "argmax" in want:
        same = seen.written["argmax"] == want["argmax"]
        wrong = int(_lost(seen, operands, eps, ~same).sum())
        yield VerifyRow(layer, direction, "argmax", 0.0, 0.0, 0.0, wrong, not wrong)
    for name, got in seen.written.items():
        if name == "argmax":
            continue
        keep = same if name == "winners" else True
        title = f"d{name}" if seen.direction == "backward" else name
        rounding = eps if got.dtype.kind == "f" else 0.0
        yield VerifyRow(layer, direction, title, *_compare(_exact(got), want[name], other[name], rounding, keep))


def _on_reference(seen: Observed, operands: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the reference writes in this step, given its operands."""
    device, op = open_device("reference"), seen.op
    arrays = {name: array.copy() for name, array in operands.items()}
    if seen.direction == "backward":
        gradients = {name: np.empty(array.shape) for name, array in seen.written.items()}
        bind_backward(op, device, arrays, {**gradients, "out": arrays.pop("dy")}, {})()
        return gradients
    results = {name: np.empty(array.shape, _exact(array[:0]).dtype) for name, array in seen.written.items()}
    results |= {name: arrays[name] for name in op.state if name in arrays}
    bind_forward(op, device, arrays | results, {})()
    return results


def _compare(got, want, other, eps: float, keep) -> tuple[float, float, float, int, bool]:
    """Error, largest difference, allowed error, mismatches, and whether that is good enough."""
    finite = np.isfinite(want)
    matches = (np.isfinite(got) == finite) & (finite | (got == want) | (np.isnan(got) & np.isnan(want)))
    valid = finite & np.isfinite(got) & np.isfinite(other) & keep
    a, b, c = (array[valid].astype(np.float64) for array in (got, want, other))
    norms = np.linalg.norm, lambda v: np.abs(v).max(initial=0.0)
    (error, largest), (scale, most), (moved, most_moved) = ([norm(v) for norm in norms] for v in (a - b, b, c - b))
    allowed = ALLOWED * max(eps * scale, moved)
    passed = bool(error <= allowed and largest <= ALLOWED * max(eps * most, most_moved) and matches.all())
    unit = scale or 1.0
    return float(error / unit), float(largest), float(allowed / unit), int((~matches).sum()), passed


def _lost(seen: Observed, operands, eps: float, differs: np.ndarray) -> np.ndarray:
    """Where the device's winner of a window is less than the reference's by more than rounding; all, if not fused."""
    op: Any = seen.op
    pool = getattr(op, "pool", None)
    if pool is None or not differs.any():
        return differs[differs]
    before = replace(op, pool=None)
    shape = before.out_shape(*seen.shapes)
    full = Observed(seen.node, before, "forward", seen.shapes, seen.read, _blank(before, seen, shape))
    values = _on_reference(full, operands)["out"]
    n, i, j, k = np.nonzero(differs)
    row, column = np.divmod(seen.written["argmax"][n, i, j, k].astype(int), pool.kernel_size[1])
    top, _, left, _ = pool.pads(shape)
    h = i * pool.stride[0] + row * pool.dilation[0] - top
    w = j * pool.stride[1] + column * pool.dilation[1] - left
    inside = (h >= 0) & (h < shape[1]) & (w >= 0) & (w < shape[2])
    chosen = values[n, np.where(inside, h, 0), np.where(inside, w, 0), k]
    best = _exact(seen.written["out"])[n, i, j, k]
    return ~inside | ~(np.abs(best - chosen) <= ALLOWED * eps * np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _blank(op: Op, seen: Observed, shape) -> dict[str, np.ndarray]:
    """Arrays like those that an op's forward writes."""
    saved = {name: np.empty(buffer.shape, np.float64) for name, buffer in op.saved_shapes(*seen.shapes).items()}
    return {"out": np.empty(shape), **saved, **{name: seen.read[name] for name in op.state if name in seen.read}}


def _whole(trial: Trial, subject: Subject, x, y, loss, seed) -> dict[str, float]:
    """The errors of a net on the device against the same net on the reference in float64."""
    subject = replace(subject, arrays=dict(trial.parameters.items()))
    exact = Trial(subject, x, y, loss=loss, device="reference", dtype="float64", seed=seed)
    trial.seed_gradients()
    results = _distance(trial.results(), exact.results())
    trial.plan.backward()
    exact.plan.backward()
    return {"output" if y is None else "loss": results, "gradients": _distance(trial.gradients(), exact.gradients())}


def _distance(got: Sequence[np.ndarray], want: Sequence[np.ndarray]) -> float:
    """norm(got - want) / norm(want) of all arrays as one, where both are finite."""
    a, b = (np.concatenate([np.zeros(0), *map(np.ravel, arrays)]) for arrays in (got, want))
    both = np.isfinite(a) & np.isfinite(b)
    scale = float(np.linalg.norm(b[both]))
    return float(np.linalg.norm(a[both] - b[both])) / (scale or 1.0)


def _exact(array: np.ndarray) -> np.ndarray:
    """Floats as float64."""
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _rounded(array: np.ndarray, eps: float, rng: np.random.Generator) -> np.ndarray:
    return array * rng.choice((1 - eps, 1 + eps), array.shape) if array.dtype.kind == "f" else array


def _label(trial: Trial, seen: Observed) -> str:
    where = trial.plan.graph.describe(seen.node)
    if seen.direction == "sum":
        return f"gradients at {where}"
    fused = [getattr(seen.op, "activation", None), "max pool" if getattr(seen.op, "pool", None) else None]
    return " + ".join([where, *filter(None, fused)])


def _dtype_of(x: Any) -> str:
    """That of the first array, where it is float32, else float64."""
    first = x[0] if isinstance(x, (tuple, list)) else x
    return "float32" if getattr(first, "dtype", None) == np.float32 else "float64"


def _cells(row: VerifyRow) -> tuple[str, ...]:
    numbers = (f"{row.error:.1e}", f"{row.allowed:.1e}", f"{row.largest:.1e}")
    numbers = ("", "", "") if row.array == "argmax" else numbers
    return (row.layer, row.direction, row.array, *numbers, str(row.mismatches), "ok" if row.passed else "WRONG")
