"""Training on a device that computes while the host goes on: nobody waits, and a bad step leaves no trace."""

import numpy as np
import pytest
from cases import Case
from devices import WITH_CUDA
from running import Bound
from second_memory import late_device

import nbconv as nc
from nbconv.errors import NonFiniteError, OutOfDeviceMemory
from nbconv.model.steps import LAG
from nbconv.ops.advance import Advance
from nbconv.ops.guard import Guard, Snapshot
from nbconv.train.callbacks import Callback

on_every_device = pytest.mark.parametrize("device", WITH_CUDA)


def model_on(device, momentum=0.9, **options):
    model = nc.Sequential(
        nc.Linear(6), nc.BatchNorm(), nc.ReLU(), nc.Dropout(0.25), nc.Linear(3), nc.ReLU(), input_shape=(5,),
        device=device, seed=3, **options,
    )  # fmt: skip
    model.compile(nc.Adam(lr=0.05), l2=0.01)
    return model


def samples(count=48):
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 5)).astype(np.float32), rng.integers(0, 3, count)


def equal_states(model, other):
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value, err_msg=name)


@pytest.mark.parametrize("behind", [0, 1, 3, 100])
@pytest.mark.parametrize("at_once", [1, 3, 4])
def test_results_do_not_depend_on_when_the_numbers_come(behind, at_once):
    x, y = samples()
    here, there = model_on("reference"), model_on(late_device(behind, at_once))
    histories = [m.fit(x, y, batch_size=7, epochs=2, verbose=0, validation_data=(x, y)).history for m in (here, there)]
    assert histories[0] == histories[1]
    equal_states(there, here)
    np.testing.assert_array_equal(there.predict(x, batch_size=7), here.predict(x, batch_size=7))


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_step_is_launched_before_the_last_one_has_ended(at_once):
    device = late_device(1000, at_once)
    launched, waited = [], []

    class Watch(Callback):
        def on_batch_end(self, step, logs):
            launched.append(step)
            waited.append(device.memory.waited)

    x, y = samples(40)
    model_on(device).fit(x, y, batch_size=4, verbose=0, callbacks=[Watch()])
    assert launched == list(range(10))
    assert waited == [max(0, (step + 1) // at_once - LAG // at_once) for step in launched]


def test_a_device_that_is_done_has_no_step_in_flight():
    x, y = samples(40)
    seen = []

    class Watch(Callback):
        def on_batch_end(self, step, logs):
            seen.append(len(self.model._steps._running))

    model_on("reference").fit(x, y, batch_size=4, verbose=0, callbacks=[Watch()])
    assert seen == [0] * 10


def test_who_looks_at_the_numbers_waits_for_them():
    x, y = samples(40)
    losses = [], [], []
    devices = "reference", late_device(1000), late_device(1000, steps_at_once=4)
    for device, seen in zip(devices, losses, strict=True):

        class Watch(Callback):
            def on_batch_end(self, step, logs, seen=seen):
                seen.append(logs["loss"])

        model_on(device).fit(x, y, batch_size=4, verbose=0, callbacks=[Watch()])
    first, second, third = losses
    assert first == second == third and len(first) == 10


def spoil(x, batch):
    """Samples of which those in this batch of 8 make no finite loss."""
    x = x.copy()
    x[8 * batch + 3] = np.inf
    return x


@pytest.mark.parametrize("behind", [0, 2, 100])
@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("bad", [0, 2, 5])
def test_a_bad_step_and_all_after_it_leave_no_trace(behind, at_once, bad):
    """Steps after the bad one were launched already: the outputs are dead, and momentum would move the parameters."""
    x, y = samples()
    device = late_device(behind, at_once) if behind else "reference"
    model, wanted = model_on(device), model_on("reference")
    for net in model, wanted:
        net.fit(x, y, batch_size=8, verbose=0)
    if bad:
        wanted.fit(x[: 8 * bad], y[: 8 * bad], batch_size=8, verbose=0, shuffle=False)
    with pytest.raises(NonFiniteError, match=rf"stopped at step {7 + bad}: the loss is .*output of layer \d \(\w+\)"):
        model.fit(spoil(x, bad), y, batch_size=8, verbose=0, shuffle=False, check_finite=False)
    assert model.step == wanted.step + 1
    assert model._compiled().count == wanted._compiled().count
    equal_states(model, wanted)
    for name, array in wanted._optimizer_arrays().items():
        np.testing.assert_array_equal(model._optimizer_arrays()[name], array, err_msg=name)
    for net in model, wanted:  # and it can be used further
        net.step, net.epochs_trained = 100, 5
        net.fit(x, y, batch_size=8, verbose=0)
    equal_states(model, wanted)


def test_dead_outputs_do_not_hide_the_flag():
    """Behind a bad step a gradient may be zero, and momentum moves the parameters: not here."""
    x = np.ones((4, 2), np.float32)
    x[1] = np.inf
    net = nc.Sequential(nc.Linear(2), nc.ReLU(), input_shape=(2,), device=late_device(100))
    net.load_state_dict({"0.weight": np.eye(2), "0.bias": np.zeros(2)})
    net.compile(nc.SGD(lr=0.1, momentum=0.9), "mse", metrics=None)
    net.train_on_batch(x[:1], np.zeros((1, 2)))
    before = net.state_dict()
    x[2:] = -5  # the ReLU lets nothing through
    with pytest.raises(NonFiniteError, match="stopped at step 2"):
        net.fit(x[1:], np.zeros((3, 2)), batch_size=1, verbose=0, shuffle=False, check_finite=False)
    for name, value in before.items():
        np.testing.assert_array_equal(net.state_dict()[name], value)


@pytest.mark.parametrize("at_once", [1, 4])
def test_an_error_of_a_callback_leaves_no_step_behind(at_once):
    x, y = samples()

    class Stop(Callback):
        def on_batch_end(self, step, logs):
            if step == 3:
                raise ValueError("enough")

    model = model_on(late_device(100, at_once))
    with pytest.raises(ValueError, match="enough"):
        model.fit(spoil(x, 2), y, batch_size=8, verbose=0, shuffle=False, check_finite=False, callbacks=[Stop()])
    assert model.step == 3 and model._compiled().count == 2
    model.fit(x, y, batch_size=8, verbose=0)
    assert model._compiled().count == 8


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_model_in_training_may_be_saved_and_used(tmp_path, at_once):
    x, y = samples()
    counts = []

    class Save(Callback):
        def on_batch_end(self, step, logs):
            self.model.save(tmp_path / "net")
            counts.append(nc.load(tmp_path / "net", device="reference")._compiled().count)
            assert np.isfinite(self.model.evaluate(x, y)["loss"])
            self.model.train_on_batch(x[:8], y[:8])

    history = model_on(late_device(2, at_once)).fit(x, y, batch_size=8, verbose=0, callbacks=[Save()])
    assert counts == [1, 3, 5, 7, 9, 11]
    assert len(history.history["loss"]) == 1


def counters(model, batch):
    """Learning rate, updates and the step of the random numbers, as the device has them for a step of this batch."""
    plan = model._plans.get("train", batch)
    return [*model._update.hyper, *np.unique(plan._rng[:, 1])]


def test_steps_are_counted_on_the_device():
    x, y = samples(40)
    device = late_device(0)
    model = model_on(device)
    model.fit(x, y, batch_size=8, verbose=0)
    device.memory.written.clear()
    model.fit(x, y, batch_size=8, verbose=0, epochs=3)
    assert not device.memory.written
    assert counters(model, 8) == [0.05, 21, 21]


def test_what_the_host_changes_it_writes():
    x, y = samples(40)
    device = late_device(0)
    model, plain = model_on(device), model_on("reference")

    class Slower(Callback):
        def on_batch_end(self, step, logs):
            if step == 2:
                self.model.lr = 0.01

    for net in model, plain:
        net.fit(x, y, batch_size=8, verbose=0, callbacks=[Slower()])
    assert counters(model, 8) == [0.01, 6, 6]
    device.memory.written.clear()
    for net in model, plain:
        net.fit(x, y, batch_size=15, verbose=0)  # 15, 15 and 10: each plan begins with a step of its own
    tables = [model._plans.get("train", size)._rng for size in (15, 10)]
    assert [array.size for array in device.memory.written] == [table.size for table in tables] * 2
    for net in model, plain:
        net.step = 100
        net.fit(x, y, batch_size=8, verbose=0)
    assert counters(model, 8) == [0.01, 14, 106]
    equal_states(model, plain)


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_step_whose_kernels_were_timed_counts_once(at_once):
    x, y = samples(8)
    timed, plain = model_on(late_device(0, at_once)), model_on("reference")
    losses = [[net.train_on_batch(x, y)["loss"]] for net in (timed, plain)]
    state = timed.state_dict()
    moments = {name: arena.flat.copy() for name, arena in timed._update.state.items()}
    timed._plans.get("train", 8).run_again()
    timed.load_state_dict(state)
    for name, flat in moments.items():
        timed._update.state[name].flat[:] = flat
    for net, seen in zip((timed, plain), losses, strict=True):
        seen.append(net.train_on_batch(x, y)["loss"])
    assert losses[0] == losses[1]
    assert counters(timed, 8) == [0.05, 3, 3]


def test_after_a_step_that_broke_off_all_is_written():
    x, y = samples(8)
    model = model_on("reference")
    model.train_on_batch(x, y)
    plan = model._plans.get("train", 8)
    run = plan.step

    def interrupted():
        run()
        raise KeyboardInterrupt

    plan.step = interrupted
    with pytest.raises(KeyboardInterrupt):
        model.train_on_batch(x, y)
    plan.step = run
    model._update.count, model.step = 1, 1  # as the caller likes
    model.train_on_batch(x, y)
    assert counters(model, 8) == [0.05, 3, 3]


def test_a_step_that_the_device_refuses_does_not_count():
    x, y = samples(8)
    model, other = model_on("reference"), model_on("reference")
    plan = model._plans.get("train", 8)
    run = plan.step

    def refused():
        raise OutOfDeviceMemory("no memory for the graph of a step")

    plan.step = refused
    with pytest.raises(OutOfDeviceMemory):
        model.train_on_batch(x, y)
    assert (model.step, model._update.count) == (0, 0)
    plan.step = run
    assert model.train_on_batch(x, y) == other.train_on_batch(x, y)
    equal_states(model, other)


@on_every_device
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss, norm", [(1.0, 2.0), (np.inf, 2.0), (1.0, np.nan), (-np.inf, np.inf)])
def test_the_guard(device, dtype, loss, norm):
    shape = (300,)
    state, kept = np.arange(300.0), -np.arange(300.0)
    given = {"loss": np.full(shape, loss), "norm": np.full(shape, norm), "snapshot": kept, "state": state}
    bound = Bound(Case(Guard(), shape), device, dtype, given={**given, "flag": np.zeros(shape)})
    results, good = bound.forward(), np.isfinite(loss + norm)
    assert results["out"] == [good]
    np.testing.assert_array_equal(results["state"], state if good else kept)
    assert np.isnan(results["flag"][0]) == (not good) and not results["flag"][1:].any()


@on_every_device
def test_a_snapshot_stays_once_the_flag_is_set(device):
    bound = Bound(Case(Snapshot(), (300,)), device, "float64", given={"flag": np.full(300, np.nan)})
    assert np.isnan(bound.forward()["out"]).all()  # what was there before


@on_every_device
def test_the_end_of_a_step(device):
    given = {"scores": np.array([1.0, 2.0]), "rng": np.array([5, 6, 7]), "hyper": np.array([0.1, 6.0])}
    results = Bound(Case(Advance(4), (2,)), device, "float64", given=given).forward()
    np.testing.assert_array_equal(results["out"][2], [1, 2])
    assert np.isnan(results["out"][[0, 1, 3]]).all()  # what was there before
    np.testing.assert_array_equal(results["rng"], [5, 7, 7])
    np.testing.assert_array_equal(results["hyper"], [0.1, 7])
