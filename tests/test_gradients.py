"""The reference's gradients: central differences for every differentiable case, and the adjoint identity."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from cases import CASES, CONV, CONV_TRANSPOSE, SEQUENCE, Case
from running import Bound

from nbconv.engine.bind import gradient_names

STEP = 1e-6
SMOOTH = [c for c in CASES if c.op.differentiable and c.values == "normal" and prod(c.x) < 5000]
LINEAR_CONVS = [
    c
    for c in (*CONV, *CONV_TRANSPOSE, *(c for c in SEQUENCE if "weight" in c.op.params))
    if c.values == "normal" and not c.op.activation and not getattr(c.op, "pool", None) and prod(c.x) < 5000
]


def reference(case, **given):
    return Bound(case, "reference", "float64", given=given)


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_central_differences(case):
    """Along a random direction, and along single elements, <dy, forward> grows as the gradient says."""
    bound = reference(case)
    dy, operands, out = case.dy("float64"), case.operands("float64"), bound.forward()["out"]
    finite = np.isfinite(out)  # the maximum of nothing is not
    rounding = 1e-15 * np.linalg.norm(dy[finite] * out[finite]) / STEP
    rng = np.random.default_rng(5)
    for name, gradient in bound.backward().items():
        directions = [rng.standard_normal(gradient.shape)]
        directions += [_unit(gradient.shape, rng.integers(gradient.size)) for _ in range(3)]
        for direction in directions:
            up, down = (
                reference(case, **{name: operands[name] + sign * STEP * direction}).forward()["out"][finite]
                for sign in (1, -1)
            )
            slope = np.sum(dy[finite] * (up - down)) / (2 * STEP)
            assert slope == pytest.approx(np.sum(gradient * direction), rel=1e-7, abs=rounding), name


def _unit(shape, index):
    direction = np.zeros(shape)
    direction.flat[index] = 1
    return direction


@pytest.mark.parametrize("case", LINEAR_CONVS, ids=str)
def test_convolution_and_its_gradients_are_adjoint(case):
    """<conv(x), dy> = <x, dx> = <weight, dweight>: exact, unlike differences, up to rounding."""
    case = Case(replace(case.op, bias=False), case.x)
    bound = reference(case)
    forward = np.sum(bound.forward()["out"] * case.dy("float64"))
    gradients, operands = bound.backward(), case.operands("float64")
    for name in gradient_names(case.op)[:2]:
        products = gradients[name] * operands[name]
        assert np.sum(products) == pytest.approx(forward, abs=1e-13 * np.abs(products).sum()), name
