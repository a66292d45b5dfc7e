"""Gradients against differences of function values, in float64."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf, isfinite
from typing import Any

import numpy as np

from ..engine.registry import Device
from ..errors import DataError
from ..ops.base import Op, Shape
from ..ops.options import integer, number
from .table import table
from .trial import Net, Operand, Trial, subject_of

ROUNDING = 64 * np.finfo(np.float64).eps
"""What a value of the function may be wrong by, relative to its terms."""


@dataclass(frozen=True)
class Element:
    """One derivative: as backward computes it and as differences say."""

    index: tuple[int, ...] | None
    """Of the element, in the array's shape; ``None`` for the derivative along a random direction of the whole array."""
    analytic: float
    numeric: float
    verdict: str
    """"ok", "kink" (no derivative here, or none in reach: not judged) or "wrong"."""
    excess: float
    """The difference of the two, in units of what is allowed."""

    @property
    def error(self) -> float:
        """The difference relative to the larger of the two."""
        largest = max(abs(self.analytic), abs(self.numeric))
        return abs(self.analytic - self.numeric) / largest if largest else 0.0


@dataclass(frozen=True)
class GradCheckRow:
    """An input or a parameter: how many of its elements were tried, and the worst of them."""

    name: str
    shape: Shape
    checked: int
    kinks: int
    wrong: int
    worst: Element | None
    """``None`` where all that was tried are kinks."""


@dataclass(frozen=True)
class GradCheck:
    """The result of ``gradcheck``: ``print`` shows a table, ``bool`` says whether all gradients agree."""

    rows: tuple[GradCheckRow, ...]
    device: str
    step: float
    rtol: float

    @property
    def passed(self) -> bool:
        """Whether no element is wrong and some are right. Kinks are not judged; where all are kinks, nothing passed."""
        return not any(row.wrong for row in self.rows) and self._judged > 0

    @property
    def _judged(self) -> int:
        return sum(row.checked - row.kinks for row in self.rows)

    def __bool__(self):
        return self.passed

    def as_dict(self) -> dict:
        """All of it as plain data."""
        return {**asdict(self), "passed": self.passed}

    def __str__(self):
        head = (
            "array",
            "shape",
            "tried",
            "kinks",
            "wrong",
            "worst at",
            "backward",
            "differences",
            "error",
            "of allowed",
        )
        lines = [table(head, [_cells(row) for row in self.rows], right=(2, 3, 4, 6, 7, 8, 9))]
        tried, wrong, kinks = (sum(getattr(row, name) for row in self.rows) for name in ("checked", "wrong", "kinks"))
        if not self._judged:
            verdict = f"nothing could be judged, as all {kinks} derivatives are at kinks; choose another x"
        else:
            verdict = f"{wrong} of {tried} derivatives are wrong" if wrong else f"{self._judged} derivatives agree"
            verdict += f", {kinks} at kinks are not judged" if kinks else ""
        lines.append(f"{verdict}: device {self.device}, float64, step {self.step:g}, rtol {self.rtol:g}")
        return "\n".join(lines)

    __repr__ = __str__


def gradcheck(
    model_or_layer: Net | Op,
    x: Any,
    y: Any = None,
    *,
    loss: Op | None = None,
    device: str | Device | None = None,
    step: float = 1e-6,
    rtol: float = 1e-6,
    samples: int | None = 64,
    seed: int = 0,
    data_format: str | None = None,
) -> GradCheck:
    """Compare every kind of gradient with central differences, in float64.

    ``print(gradcheck(nbconv.Conv2d(4, 3, padding=1), x))`` with x (2, 3, 8, 8) tries the gradients of x, weight and
    bias; ``assert gradcheck(model, x, y)`` those of a model's loss.

    Parameters
    ----------
    model_or_layer : Model, Layer or loss
        A model is copied to float64, whatever its dtype, and keeps its arrays; it acts as in training (batch
        statistics, and dropout with one mask). A layer or a loss alone gets random parameters.
    x : array, or a tuple of arrays for several inputs
        A batch, as the model takes it. For a layer, (N, C, H, W) or (N, C).
    y : array, optional
        Labels or targets: then the function is the loss, without the model's L2 penalty. Without them it is a random
        combination of all outputs.
    loss : Op, optional
        Instead of the one the model was compiled with.
    device : str, optional
        Whose backward is tried; by default the model's, and "cpu" for a layer.
    step, rtol : float
        Half of the distance of the two values that are compared (times the size of an element larger than 1), and the
        relative error that is allowed.
    samples : int or None
        How many elements of an array are tried, chosen by ``seed``; ``None`` tries all. A larger array is also tried
        as a whole, along one random direction.
    data_format : "NCHW" or "NHWC"
        Of a layer's images.

    Returns
    -------
    GradCheck
        Per array the worst element with its index, and how many are wrong or lie at a kink.

    Raises
    ------
    OptionError, DataError, ShapeError
        For what is no model, layer or loss with a gradient; for x or a result that is not finite.

    Notes
    -----
    The numeric value is <dy, f(p + h) - f(p - h)> / 2h. It agrees if it differs by no more than rtol times the larger
    of the two, plus rounding (64 eps * norm(dy * f) / h). Where it does not, backward runs again on either side of the
    element's value, h or 2h away. If it agrees with differences there, on both sides, the element lies at a kink (ReLU
    at 0, equal values in a max-pool), or nearer than h to one: there is no derivative to compare with. Else it is
    wrong. Values so large that their differences drown in rounding make right gradients look wrong: scale x.
    """
    step, rtol = number(step, "step", above=0), number(rtol, "rtol", above=0)
    samples = None if samples is None else integer(samples, "samples")
    trial = Trial(subject_of(model_or_layer, x, data_format), x, y, loss=loss, device=device, seed=seed)
    operands = trial.operands()
    if not operands:
        raise DataError("there is no gradient to compare: x is uint8, and nothing is learned; pass x.astype(float)")
    center = _finite(trial, trial.results())
    trial.plan.backward()
    gradients = zip(operands, trial.gradients(), strict=True)
    rng = np.random.default_rng(seed)
    rows = [_check(trial, operand, gradient, center, step, rtol, samples, rng) for operand, gradient in gradients]
    return GradCheck(tuple(rows), str(trial.device), step, rtol)


def _check(trial: Trial, operand: Operand, gradient, center, step, rtol, samples, rng) -> GradCheckRow:
    size = gradient.size
    chosen = (
        np.arange(size) if samples is None or samples >= size else np.sort(rng.choice(size, samples, replace=False))
    )
    judge = _Judge(trial, center, rtol)
    host = trial.memory.get(operand.array).reshape(-1)
    elements = []
    for place in map(int, chosen):
        line = _Element(trial, operand, place, host[place])
        elements.append(judge(operand.index(place), line, gradient.flat[place], step * max(1.0, abs(host[place]))))
    if len(chosen) < size:
        direction = rng.standard_normal(size)
        direction /= np.linalg.norm(direction)
        whole = _Direction(trial, operand, direction, host)
        elements.append(judge(None, whole, gradient.reshape(-1) @ direction, step))
    judged = [element for element in elements if element.verdict != "kink"]
    return GradCheckRow(
        operand.name,
        operand.shape,
        len(elements),
        len(elements) - len(judged),
        sum(element.verdict == "wrong" for element in judged),
        max(judged, key=lambda element: element.excess, default=None),
    )


class _Element:
    """One element of an operand, which moves, and its derivative."""

    def __init__(self, trial: Trial, operand: Operand, place: int, value: float):
        self._write, self._get, self._value = trial.memory.write, trial.memory.get, value
        self._array, self._gradient = (a.reshape(-1)[place : place + 1] for a in (operand.array, operand.gradient))

    def move(self, distance: float) -> None:
        self._write(self._array, np.array([self._value + distance]))

    def derivative(self) -> float:
        return float(self._get(self._gradient)[0])


class _Direction:
    """A whole operand, which moves along a direction, and its derivative along that."""

    def __init__(self, trial: Trial, operand: Operand, direction: np.ndarray, values: np.ndarray):
        self._write, self._get, self._values, self._along = trial.memory.write, trial.memory.get, values, direction
        self._array, self._gradient = operand.array.reshape(-1), operand.gradient.reshape(-1)

    def move(self, distance: float) -> None:
        self._write(self._array, self._values + distance * self._along)

    def derivative(self) -> float:
        return float(self._get(self._gradient) @ self._along)


class _Judge:
    """Decides whether a derivative is right, given a line to move along."""

    def __init__(self, trial: Trial, center: list[np.ndarray], rtol: float):
        self._trial, self._rtol = trial, rtol
        self._terms = sum(float(np.linalg.norm(dy * out)) for dy, out in zip(trial.dy, center, strict=True))

    def __call__(self, index, line: _Element | _Direction, analytic: float, step: float) -> Element:
        analytic, numeric = float(analytic), self._slope(line, 0.0, step)
        excess = self._excess(analytic, numeric, step)
        verdict = "ok" if excess <= 1 else "wrong"
        if verdict == "wrong" and isfinite(analytic) and self._right_on(line, step) and self._right_on(line, -step):
            verdict = "kink"
        line.move(0.0)
        return Element(index, analytic, numeric, verdict, excess)

    def _right_on(self, line: _Element | _Direction, step: float) -> bool:
        """Whether backward agrees with differences beside the place, once or twice as far as ``step`` goes."""
        for distance in step, 2 * step:
            line.move(distance)
            self._trial.results()
            self._trial.plan.backward()
            analytic, half = line.derivative(), abs(step) / 2
            if self._excess(analytic, self._slope(line, distance, half), half) <= 1:
                return True
        return False

    def _slope(self, line: _Element | _Direction, place: float, step: float) -> float:
        line.move(place + step)
        above = self._trial.results()
        line.move(place - step)
        below = self._trial.results()
        return sum(float(np.sum(dy * (a - b))) for dy, a, b in zip(self._trial.dy, above, below, strict=True)) / (
            2 * step
        )

    def _excess(self, analytic: float, numeric: float, step: float) -> float:
        difference = abs(analytic - numeric)
        if not isfinite(difference):
            return inf
        allowed = self._rtol * max(abs(analytic), abs(numeric)) + ROUNDING * self._terms / step
        return difference / allowed if difference else 0.0


def _finite(trial: Trial, results: list[np.ndarray]) -> list[np.ndarray]:
    if not all(np.isfinite(result).all() for result in results):
        where = trial.plan.first_nonfinite() or "the result"
        raise DataError(f"gradients can be compared where values are finite, but {where} is not; choose another x")
    return results


def _cells(row: GradCheckRow) -> tuple[str, ...]:
    shape = "x".join(map(str, row.shape))
    counts = (str(row.checked), str(row.kinks), str(row.wrong))
    if row.worst is None:
        return (row.name, shape, *counts, "", "", "", "", "")
    worst = row.worst
    index = "a direction" if worst.index is None else str(list(worst.index))
    numbers = f"{worst.analytic:.8g}", f"{worst.numeric:.8g}", f"{worst.error:.1e}", f"{worst.excess:.2g}"
    return (row.name, shape, *counts, index, *numbers)
