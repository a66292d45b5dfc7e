"""The same weights, batches, losses and optimiser settings give PyTorch's loss curve."""

import json

import numpy as np
import pytest
from curves import LOSSES, OPTIMIZERS, RECORDED, batches, targets, weights
from devices import DEVICES

import nbconv as nc
from nbconv.data.digits import digits

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
"""Relative difference of every loss of the first 100 steps."""

on_every_device = pytest.mark.parametrize("device", DEVICES)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def net(dtype, device):
    model = nc.Sequential(
        nc.Conv2d(8, 3, padding="same"), nc.BatchNorm(), nc.ReLU(), nc.MaxPool2d(2), nc.Flatten(), nc.Linear(10),
        input_shape=(1, 8, 8), device=device, dtype=dtype,
    )  # fmt: skip
    model.load_state_dict(weights())
    return model


def optimizer(name):
    kind, options, clip = OPTIMIZERS[name]
    return getattr(nc, kind)(**options, clip_norm=clip)


def check(model, dtype, name, targets_of=lambda y: y):
    (x, y), _ = digits()
    losses = [model.train_on_batch(xb, targets_of(yb))["loss"] for xb, yb in batches(x, y)]
    recorded = json.loads(RECORDED.read_text())[dtype][name]
    np.testing.assert_allclose(losses, recorded["losses"], rtol=TOLERANCE[dtype])
    np.testing.assert_allclose(model.state_dict()["1.running_var"], recorded["running_var"], rtol=TOLERANCE[dtype])


@on_every_device
@both_dtypes
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_loss_curve(name, dtype, device):
    model = net(dtype, device)
    model.compile(optimizer(name), "cross_entropy", ["accuracy"])
    check(model, dtype, name)


@on_every_device
@both_dtypes
@pytest.mark.parametrize("name", LOSSES)
def test_loss_curve_of_another_loss(name, dtype, device):
    kind, _, options = LOSSES[name]
    loss, model = getattr(nc, kind)(**options), net(dtype, device)
    model.compile(optimizer("momentum, clipped"), loss)
    check(model, dtype, name, targets if "target" in loss.inputs else lambda y: y)
