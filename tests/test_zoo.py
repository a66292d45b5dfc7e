"""Nets with names have the shapes and sizes that they promise."""

import numpy as np
import pytest

from nbconv.inspect.summary import summarize
from nbconv.zoo import digits_net


@pytest.mark.parametrize("data_format, shape", [("NCHW", (1, 8, 8)), ("NHWC", (8, 8, 1))])
def test_digits_net(data_format, shape):
    model = digits_net(device="reference", seed=0, data_format=data_format)
    assert model.predict(np.zeros((3, *shape), np.float32)).shape == (3, 10)
    assert summarize(model.graph).parameters == 21_578
