"""A net that trains: what a step asks of the GPU."""

import gc

import numpy as np
import pytest

import nbconv as nc
from standin import control, time_host
from standin.test_memory import Foreign

FIELDS = 7
"""Parameters of machine code for an array with one axis; the fifth is the pointer."""

BATCH = 32 * 64 * 4 + 32 * 8
"""Bytes of samples and labels, which are copied together."""

STEP = [
    ("guard_snapshot", 1),
    *[("correlation_correlate", 72), ("moments_sum_values", 2), ("moments_group_mean", 1), ("moments_sum_squares", 2)],
    *[("norm_learn", 1), ("moments_normalize", 9), ("pool_max_pool2d", 18), ("pool_at_winner", 18)],
    *[("dropout_dropout", 5), ("reshape_transpose", 18), ("linear_matmul", 2)],
    *[
        ("loss_cross_entropy", 1),
        ("loss_weighted_mean", 1),
        ("metric_count_right_rows", 1),
        ("reduce_mean_of_pieces", 1),
    ],
    *[("loss_cross_entropy_backward", 3), ("sums_sum_rows", 3), ("sums_add_pieces", 1)],
    *[("linear_matmul", 5), ("linear_matmul", 10), ("reshape_transpose", 18), ("dropout_dropout", 5)],
    *[("moments_sum_gradients", 1), ("norm_parameter_gradients", 1), ("activation_relu_backward", 18)],
    *[("pool_max_pool2d_backward", 72), ("moments_input_gradient", 9), ("sums_sum_rows", 32), ("sums_add_pieces", 1)],
    *[("correlation_correlate_to_weight", 108), ("sums_add_pieces", 1)],
    *[
        ("optimizer_squares", 1),
        ("optimizer_settle", 1),
        ("optimizer_sgd", 7),
        ("guard_guard", 1),
        ("advance_advance", 1),
    ],
]
"""The kernels of a training step of ``net``, and how many blocks of threads run each."""

RNG = np.random.default_rng(0)
SAMPLES = RNG.random((320, 1, 8, 8), "float32")
LABELS = RNG.integers(0, 10, 320)


@pytest.fixture
def net(gpu):
    """A net that has trained for a few steps, so that everything is compiled, captured and allocated."""
    good_steps()
    layers = nc.Conv2d(8, 3), nc.BatchNorm(), nc.ReLU(), nc.MaxPool2d(2), nc.Dropout(0.25), nc.Flatten(), nc.Linear(10)
    net = nc.Sequential(*layers, input_shape=(1, 8, 8), device="cuda")
    net.compile(nc.SGD(0.1, momentum=0.9))
    return net


def good_steps():
    """Let the last kernel of a step write what it says of good ones: its last array are their scores."""
    control.pretend("advance_advance", 3 * FIELDS + 1 + 4, 1.0)


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
    begin, end = names.index("guard_snapshot"), names.index("advance_advance") + 1
    step = control.launches()[begin:end]
    assert all(launch.captured for launch in step)
    assert [(name, launch.grid[0]) for name, launch in zip(names[begin:end], step, strict=True)] == STEP
    assert {launch.grid[1:] for launch in step} == {(1, 1)}


def test_the_convolution_of_a_step_reads_the_batch_that_was_copied(net):
    train(net)
    copied = {int(to) for _, what, _, size, to, _ in control.log("copy") if what == "in" and size == str(BATCH)}
    read = {
        int.from_bytes(value, "little")
        for launch in control.launches()
        if launch.kernel == "correlation_correlate"
        for value in launch.arguments
    }
    assert copied and copied & read


def test_a_step_allocates_nothing_and_copies_only_the_batch_and_a_few_numbers(net):
    train(net)
    gc.collect()
    control.clear()
    train(net)
    kinds = {kind for kind, *_ in control.log()}
    assert kinds == {"copy", "graph"}
    into = [int(size) for _, what, _, size, *_ in control.log("copy") if what == "in"]
    assert into == [BATCH] * 10
    out = [int(size) for _, what, _, size, *_ in control.log("copy") if what == "out"]
    assert len(out) == 3  # after four steps, eight, and the last


def test_samples_on_the_device_are_not_copied_through_the_host(net, gpu):
    samples, labels = Foreign(gpu.put(SAMPLES)), Foreign(gpu.put(LABELS.astype("int64")))
    train(net, samples, labels)
    control.clear()
    train(net, samples, labels)
    sizes = [int(size) for _, what, _, size, *_ in control.log("copy") if what != "within"]
    assert max(sizes) < 3000


def test_each_part_of_a_step_can_be_measured(gpu):
    """The times themselves are for whoever runs it: no test asserts one."""
    parts = [name.split(" (")[0].strip() for name in time_host.measure(times=3, rounds=2)]
    assert parts == [
        *("stage a batch", "launch 30 kernels", "of which the driver's launch of a graph"),
        *("fetch and read the numbers of four steps", "write two numbers, when they have changed"),
        "a step of fit, all in all",
    ]
