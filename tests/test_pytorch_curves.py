"""The same weights, batches and optimiser settings give PyTorch's loss curve."""

import json

import numpy as np
import pytest
from curves import OPTIMIZERS, RECORDED, batches, weights

import nbconv as nc
from nbconv.data.digits import digits
from nbconv.engine.registry import DEVICES

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
"""Relative difference of every loss of the first 100 steps."""


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_loss_curve(name, dtype, device):
    kind, options, clip = OPTIMIZERS[name]
    model = nc.Sequential(
        nc.Conv2d(8, 3, padding="same"), nc.BatchNorm(), nc.ReLU(), nc.MaxPool2d(2), nc.Flatten(), nc.Linear(10),
        input_shape=(1, 8, 8), device=device, dtype=dtype,
    )  # fmt: skip
    model.load_state_dict(weights())
    model.compile(getattr(nc, kind)(**options, clip_norm=clip), "cross_entropy", ["accuracy"])
    (x, y), _ = digits()
    losses = [model.train_on_batch(xb, yb)["loss"] for xb, yb in batches(x, y)]
    recorded = json.loads(RECORDED.read_text())[dtype][name]
    np.testing.assert_allclose(losses, recorded["losses"], rtol=TOLERANCE[dtype])
    np.testing.assert_allclose(model.state_dict()["1.running_var"], recorded["running_var"], rtol=TOLERANCE[dtype])
