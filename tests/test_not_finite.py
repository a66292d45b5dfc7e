"""Infinities and NaN in weights and gradients: they are where the reference has them, whatever computes the result."""

import numpy as np
import pytest
from cases import Case
from checking import distance
from running import Bound

from nbconv import BatchNorm, Conv1d, Conv2d, ConvTranspose2d, MaxPool2d
from nbconv.engine.bind import gradient_names

CASES = [
    Case(Conv2d(8, 3, algorithm="direct"), (1, 8, 8, 4)),
    Case(Conv2d(16, 3, padding=1, algorithm="winograd"), (2, 9, 7, 16)),
    Case(Conv2d(16, 3, padding=1, algorithm="im2col"), (2, 9, 7, 16)),
    Case(Conv2d(3, 2), (1, 8, 8, 33)),
    Case(Conv2d(6, (3, 2), stride=(2, 1), padding=(2, 1, 0, 1), dilation=(1, 2), groups=2), (2, 9, 8, 4)),
    Case(Conv2d(5, 3, padding=1, padding_mode="circular"), (2, 6, 5, 3)),
    Case(Conv2d(5, 3, padding="full", flip=True), (2, 6, 5, 3)),
    Case(Conv2d(17, 3, padding=1, groups=17), (2, 6, 5, 17)),
    Case(Conv2d(17, 5, stride=2, padding=2, groups=17, activation="relu"), (2, 9, 8, 17)),
    Case(Conv2d(8, 3, padding=1, groups=8, flip=True), (2, 4, 5, 8)),
    Case(Conv1d(8, 3, padding=1, groups=8), (2, 9, 8)),
    Case(Conv2d(2, 3, padding=1, activation="relu", pool=MaxPool2d(2)), (2, 6, 5, 3)),
    Case(Conv2d(2, 3, flip=True, pool=MaxPool2d(2)), (2, 7, 6, 3)),  # the pool leaves out a row
    Case(ConvTranspose2d(6, 3, stride=2, padding=1, activation="relu"), (2, 5, 4, 3)),
    Case(ConvTranspose2d(8, 3, padding=1, groups=8), (2, 5, 4, 8)),
    Case(BatchNorm(), (2, 5, 5, 4)),
    Case(BatchNorm(activation="relu", pool=MaxPool2d(2)), (3, 6, 5, 17)),
    Case(BatchNorm(training=False), (2, 5, 5, 4)),
]
SPOILT = {"inf": np.inf, "-inf": -np.inf, "nan": np.nan}


PLACES = {"weight": 0, "dy": 0, "x": -1}
"""Whose number is not finite, at the corner of an image or a filter: of x the last, which a pool may leave out."""


def spoilt(array, name, value):
    """A copy with a number that is not finite."""
    array = array.copy()
    array.flat[PLACES[name]] = value
    return array


@pytest.mark.parametrize("value", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_not_finite_numbers_are_where_the_reference_has_them(case, name, value):
    operands = case.operands("float64") | {"dy": case.dy("float64")}
    given = {name: spoilt(operands[name], name, value)}
    bounds = [Bound(case, device, "float64", given=given) for device in ("cpu", "reference")]
    results = [bound.forward() for bound in bounds]
    bounds[1].adopt(results[0])
    gradients = [bound.backward() for bound in bounds]
    for got, want in (results, gradients):
        for key in want:
            assert distance(got[key], want[key]) <= 1e-12, key
    assert set(gradients[0]) <= set(gradient_names(case.op))
