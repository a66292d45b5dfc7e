"""Plans: what is run in which order, what memory it takes, and that running it allocates nothing."""

import tracemalloc

import numpy as np
import pytest
from numba.core.runtime import _nrt_python, rtsys

from nbconv import SGD, Add, BatchNorm, Conv2d, Dropout, Flatten, Input, Linear, MaxPool2d, Model, ReLU, Sequential
from nbconv.engine.graph import trace
from nbconv.engine.parameters import Parameters
from nbconv.engine.plan import Plan
from nbconv.engine.registry import open_device
from nbconv.engine.schedule import Accumulate, Backward, Forward, schedule
from nbconv.errors import ShapeError


def residual_graph():
    x = Input((2, 5, 5))
    stem = Conv2d(3, 3, padding=1)(x)
    return trace([x], [Add()(Conv2d(3, 3, padding=1)(stem), stem)])


def test_schedule_of_a_residual_block():
    steps = schedule(residual_graph(), targets=(3,))
    assert steps.forward == (Forward(1), Forward(2), Forward(3))
    assert steps.seeds == {3: (3,)}
    assert steps.backward == (
        Backward(3, {"x": (2,), "other": (1,)}),
        Backward(2, {"x": (1, 2, "x")}),
        Accumulate(1, (1, 2, "x")),
        Backward(1, {}),
    )


def test_schedule_computes_input_gradients_on_demand():
    steps = schedule(residual_graph(), targets=(3,), input_gradients=True)
    assert steps.backward[-1] == Backward(1, {"x": (0,)})


def test_no_gradient_for_what_no_parameter_feeds():
    x = Input((2, 8, 8))
    graph = trace([x], [Conv2d(3, 3)(ReLU()(MaxPool2d(2)(x)))])
    assert schedule(graph, targets=(3,)).backward == (Backward(3, {}),)


def test_nothing_flows_back_without_a_target():
    assert schedule(residual_graph()).backward == ()


def test_an_output_that_is_also_read_gets_both_gradients():
    x = Input((3,))
    hidden = Linear(4)(x)
    model = Model(x, [hidden, Linear(2)(hidden)], device="reference", dtype="float64")
    inputs = np.random.default_rng(0).standard_normal((6, 3))
    seeds = [np.random.default_rng(1).standard_normal((6, n)) for n in (4, 2)]
    model.forward(inputs, training=True)
    both = model.backward(tuple(seeds))
    parts = []
    for i in range(2):
        model.forward(inputs, training=True)
        parts.append(model.backward(tuple(seed if i == j else np.zeros_like(seed) for j, seed in enumerate(seeds))))
    for name, value in both.items():
        np.testing.assert_allclose(value, parts[0][name] + parts[1][name], atol=1e-14)


def digits_like(device, **options):
    return Sequential(
        Conv2d(8, 3, padding="same"),
        BatchNorm(),
        ReLU(),
        MaxPool2d(2),
        Dropout(0.2),
        Flatten(),
        Linear(10),
        input_shape=(1, 8, 8),
        device=device,
        **options,
    )


def samples(count):
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 1, 8, 8)).astype(np.float32), rng.integers(0, 10, count)


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_no_result_depends_on_what_the_arena_held_before(device):
    """Fill the arena with NaN: whoever reads what nobody wrote in this run is found out."""
    x, y = samples(6)
    results = []
    for poison in (0x00, 0xFF):
        model = digits_like(device)
        model.compile(SGD(lr=0.1))
        plan = model._plans.get("train", 6)
        kept = {i: plan.value(i).copy() for i in plan.graph.sources}
        seeds = {k: v.copy() for k, v in plan.seeds.items()}
        plan._arrays.arena[...] = poison
        for position, value in kept.items():
            plan.value(position)[...] = value
        for target, value in seeds.items():
            plan.seeds[target][...] = value
        loss, grads = model.loss_and_grads(x, y)
        results.append([loss, *grads.values()])
    for clean, poisoned in zip(*results, strict=True):
        np.testing.assert_array_equal(clean, poisoned)


def test_reuse_saves_memory_and_the_report_adds_up():
    graph = trace([x := Input((4, 16, 16))], [_chain(x, 8)])
    parameters = Parameters(graph, open_device("reference"), "float32")
    report = Plan(graph, parameters, 3, training=False).memory_report()
    value = 3 * 4 * 16 * 16 * 4
    assert report.without_reuse == 9 * value
    assert report.arena == 4 * value  # the input and the output stay, two take turns
    assert report.parameters == parameters.params.flat.nbytes * 2 + parameters.state.flat.nbytes
    assert f"{report.arena:,}" in str(report) and f"{report.without_reuse:,}" in str(report)


def _chain(x, count):
    for _ in range(count):
        x = ReLU()(x)
    return x


def test_a_batch_that_batch_norm_cannot_take_is_named():
    graph = trace([x := Input((3,))], [BatchNorm()(Linear(4)(x))])
    parameters = Parameters(graph, open_device("reference"), "float32")
    with pytest.raises(ShapeError, match=r"layer 1 \(BatchNorm\): .*more than one value per channel"):
        Plan(graph, parameters, 1, training=True)


def _train(model, plan, staged, labels, order, steps):
    for step in range(steps):
        start = step % 4 * 8
        model._train_step(plan, staged, labels, order[start : start + 8])


@pytest.fixture
def compiled_allocations():
    """Counts of what compiled code has allocated and freed; Numba keeps them on demand only."""
    _nrt_python.memsys_enable_stats()
    yield rtsys.get_allocation_stats
    _nrt_python.memsys_disable_stats()


CREATORS = ("array", "ascontiguousarray", "concatenate", "copy", "empty", "empty_like", "full", "ones", "zeros")


def test_a_training_step_allocates_nothing(monkeypatch):
    x, y = samples(32)
    model = digits_like("cpu")
    model.compile(SGD(lr=0.01, momentum=0.9), l2=1e-3)
    plan = model._plans.get("train", 8)
    staged, labels = model._feed.samples_and_targets(x, y)
    order = np.random.default_rng(0).permutation(32)
    _train(model, plan, staged, labels, order, 8)
    made = []
    for name in CREATORS:
        create = getattr(np, name)
        monkeypatch.setattr(np, name, lambda *args, create=create, **kw: made.append(create) or create(*args, **kw))
    np.zeros(3)
    assert made.pop() and not made  # the counter counts
    tracemalloc.start()
    try:
        _train(model, plan, staged, labels, order, 200)  # NumPy's cache of small objects fills up
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        _train(model, plan, staged, labels, order, 50)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not made
    assert after - before < 1024  # a few Python floats come and go
    assert peak - before < 4096  # less than one 8 x 8 x 8 x 8 activation of 16 KiB


def test_ten_thousand_steps_do_not_grow_memory(compiled_allocations):
    x, y = samples(32)
    model = Sequential(Conv2d(2, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(10), input_shape=(1, 8, 8), device="cpu")
    model.compile(SGD(lr=1e-4))
    plan = model._plans.get("train", 8)
    staged, labels = model._feed.samples_and_targets(x, y)
    order = np.arange(32)
    _train(model, plan, staged, labels, order, 10)
    at_first = compiled_allocations()
    tracemalloc.start()
    try:
        _train(model, plan, staged, labels, order, 200)
        before, _ = tracemalloc.get_traced_memory()
        _train(model, plan, staged, labels, order, 10_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 4096
    held = compiled_allocations()
    assert held.alloc - held.free == at_first.alloc - at_first.free
    assert np.isfinite(model.evaluate(x, y)["loss"])


def test_looking_for_the_bad_layer_moves_no_statistics():
    x, y = samples(6)
    model = digits_like("reference")
    model.compile(SGD(lr=0.1))
    model.loss_and_grads(x, y)
    before = model.state_dict()
    assert model._plans.get("train", 6).first_nonfinite() is None
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
