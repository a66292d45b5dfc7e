"""A net that trains: what a step asks of the GPU."""

import gc

import numpy as np
import pytest
from standin import control
from standin.test_memory import Foreign

import nbconv as nc

FIELDS = 4 + 3
"""Parameters of machine code before the data pointer of an array with one axis, and up to the next array."""

RNG = np.random.default_rng(0)
SAMPLES = RNG.random((320, 1, 8, 8), "float32")
LABELS = RNG.integers(0, 10, 320)


@pytest.fixture
def net(gpu):
    """A net that has trained for a few steps, so that everything is compiled, captured and allocated."""
    control.pretend("guard_guard", 5 * FIELDS + 4, 1.0)  # its last array is the verdict on a step: it was a good one
    layers = [nc.Conv2d(8, 3), nc.BatchNorm(), nc.ReLU(), nc.MaxPool2d(2), nc.Dropout(0.25), nc.Flatten(), nc.Linear(10)]
    net = nc.Sequential(layers, input_shape=(1, 8, 8), device="cuda")
    net.compile(nc.SGD(0.1, momentum=0.9))
    return net


def train(net, samples=SAMPLES, labels=LABELS):
    net.fit(samples, labels, batch_size=32, epochs=1, shuffle=True, verbose=0)


def kernels():
    return [launch.kernel.removeprefix("cuda_") for launch in control.launches()]


def test_ten_steps_are_one_capture_and_ten_launches(net):
    train(net)
    steps = [size for _, size in control.log("graph")]
    (captured,) = {size for size in steps if steps.count(size) >= 10}
    assert steps.count(captured) == 10
    assert [size for _, size in control.log("instantiate")].count(captured) == 1


def test_the_kernels_of_a_step(net):
    train(net)
    names = kernels()
    begin = max(i for i, name in enumerate(names) if name == "guard_snapshot")
    step = names[begin : names.index("guard_guard", begin) + 1]
    in_order = ["conv", "norm", "dropout", "linear", "loss", "optimizer", "guard"]
    rooms = [name.partition("_")[0] for name in step]
    assert all(launch.captured for launch in control.launches()[begin : begin + len(step)])
    first = [rooms.index(room) for room in in_order if room in rooms]
    assert len(first) >= 5 and step[0] == "guard_snapshot" and step[-1] == "guard_guard"
    assert len(step) <= 40


def test_a_step_allocates_nothing_and_copies_only_the_batch_and_a_few_numbers(net):
    train(net)
    gc.collect()
    control.clear()
    train(net)
    kinds = {kind for kind, *_ in control.log()}
    assert not kinds & {"pin", "load", "capture", "instantiate"}
    into = [int(size) for _, what, _, size, *_ in control.log("copy") if what == "in"]
    assert into.count(32 * 64 * 4) == into.count(32 * 8) == 10  # samples and labels of ten batches
    assert sum(into) < 10 * (32 * 64 * 4 + 32 * 8 + 1000)


def test_samples_on_the_device_are_not_copied_through_the_host(net, gpu):
    samples, labels = Foreign(gpu.put(SAMPLES)), Foreign(gpu.put(LABELS.astype("int64")))
    train(net, samples, labels)
    control.clear()
    train(net, samples, labels)
    sizes = [int(size) for _, what, _, size, *_ in control.log("copy") if what != "within"]
    assert max(sizes) < 3000
