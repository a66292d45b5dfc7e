"""What runs beside the training loop, with a stub in place of the model."""

import sys

import pytest

from nbconv.errors import FileFormatError, OptionError
from nbconv.train import progress
from nbconv.train.callbacks import Callback, CallbackList, EarlyStopping, History, LearningRate, ModelCheckpoint
from nbconv.train.progress import ProgressBar
from nbconv.train.schedules import step_decay

NAN = float("nan")


class StubModel:
    """Its only parameter is the number of the epoch that ran last."""

    def __init__(self):
        self.stop_training = False
        self.lr = 1.0
        self.weight = -1
        self.saved = []

    def save(self, path):
        self.saved.append(path)

    def state_dict(self):
        return {"weight": self.weight}

    def load_state_dict(self, state):
        self.weight = state["weight"]


def train(callback, epochs, monitor="val_loss"):
    """Run a loop over these values of the monitored number; return the model."""
    model = StubModel()
    callbacks = CallbackList([callback], model)
    callbacks.on_train_begin()
    for epoch, value in enumerate(epochs):
        callbacks.on_epoch_begin(epoch, {})
        model.weight = epoch
        callbacks.on_batch_end(0, {"loss": 0.0})
        callbacks.on_epoch_end(epoch, {"loss": 0.0, monitor: value})
        if model.stop_training:
            break
    callbacks.on_train_end()
    return model


def test_callbacks_run_in_order_with_the_model():
    seen = []

    class Spy(Callback):
        def __init__(self, name):
            self.name = name

        def on_epoch_end(self, epoch, logs):
            seen.append((self.name, epoch, logs["loss"], self.model.lr))

    model = StubModel()
    callbacks = CallbackList([Spy("a"), Spy("b")], model)
    callbacks.on_epoch_end(4, {"loss": 0.5})
    assert seen == [("a", 4, 0.5, 1.0), ("b", 4, 0.5, 1.0)]


def test_what_is_no_callback_is_named():
    with pytest.raises(OptionError, match="callbacks must be instances of nbconv's Callback, got <class"):
        CallbackList([History], StubModel())


def test_no_callbacks_and_a_single_one():
    assert CallbackList(None, StubModel()).callbacks == []
    with pytest.raises(OptionError, match=r"callbacks must be a list, got one callback; pass \[History\(...\)\]"):
        CallbackList(History(), StubModel())


def begin(callback, *monitored):
    """What ``fit`` does before the first epoch of a model that reports these numbers."""
    model = StubModel()
    model.monitored = monitored
    CallbackList([callback], model).on_train_begin()


@pytest.mark.parametrize("callback", [EarlyStopping(), ModelCheckpoint("a", save_best_only=True)])
def test_a_number_that_will_be_missing_is_found_before_the_first_epoch(callback):
    begin(callback, "loss", "val_loss")
    with pytest.raises(
        OptionError, match="monitors 'val_loss', but the epoch has loss, accuracy; pass validation_data"
    ):
        begin(callback, "loss", "accuracy")


def test_a_path_that_cannot_be_written_is_found_before_the_first_epoch(tmp_path):
    begin(ModelCheckpoint("every-epoch"), "loss")
    begin(ModelCheckpoint(tmp_path / "{epoch}-{loss:.2f}"), "loss")
    for path in tmp_path / "none" / "a", tmp_path / "none" / "{epoch}":
        with pytest.raises(FileFormatError, match="there is no folder .*none; create it first"):
            begin(ModelCheckpoint(path), "loss")
    with pytest.raises(OptionError, match="names 'acc', but the epoch has epoch, loss"):
        begin(ModelCheckpoint("{acc}"), "loss")
    with pytest.raises(OptionError, match="the path '{epoch' is no format: .*; write {{ for a brace"):
        begin(ModelCheckpoint("{epoch"), "loss")


@pytest.mark.parametrize("rate", [None, NAN, -1, "0.1"])
def test_a_schedule_that_gives_no_rate_is_named(rate):
    def gone(epoch):
        return 0.1 if epoch == 0 else rate

    with pytest.raises(OptionError, match=r"the learning rate from .*gone for epoch 1 must be zero or more, .* got"):
        train(LearningRate(gone), [1, 1])


def test_history():
    history = History()
    train(history, [3.0, 2.0])
    assert history.epoch == [0, 1]
    assert history.history == {"loss": [0.0, 0.0], "val_loss": [3.0, 2.0]}


@pytest.mark.parametrize(
    "options, values, stopped, best",
    [
        (dict(patience=2), [3, 2, 2.5, 2.4, 1], 3, 1),
        (dict(patience=2), [3, 2, 2.5, 1, 0], None, 4),
        (dict(), [3, 3, 1], 1, 0),
        (dict(patience=1, min_delta=0.5), [3, 2.6, 1], 1, 0),
        (dict(patience=1), [3, NAN, 1], 1, 0),
        (dict(monitor="val_accuracy", patience=1), [0.1, 0.5, 0.4, 0.9], 2, 1),
    ],
)
def test_early_stopping(options, values, stopped, best):
    callback = EarlyStopping(**options)
    model = train(callback, values, callback.monitor)
    assert callback.stopped_epoch == stopped and callback.best_epoch == best
    assert model.stop_training == (stopped is not None)
    assert model.weight == (len(values) - 1 if stopped is None else stopped)


@pytest.mark.parametrize("values", [[3, 1, 2, 2], [3, 1, 2]])
def test_early_stopping_restores_the_best(values):
    assert train(EarlyStopping(patience=2, restore_best=True), values).weight == 1


def test_early_stopping_starts_anew_in_every_training():
    callback = EarlyStopping(patience=1)
    train(callback, [1, 1])
    train(callback, [5, 4])
    assert callback.stopped_epoch is None and callback.best == 4


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: EarlyStopping(patience=-1), "patience must be an integer of at least 0, got -1"),
        (lambda: EarlyStopping(min_delta=-1), "min_delta must be zero or more, and finite, got -1"),
        (lambda: LearningRate(0.1), "schedule must be a function from epoch to learning rate, got 0.1"),
        (lambda: ProgressBar(1, 1, 1, verbose=3), r"verbose must be 0 \(nothing\), 1 \(bar and lines\) or 2"),
    ],
)
def test_a_wrong_option_is_named(make, message):
    with pytest.raises(OptionError, match=message):
        make()


@pytest.mark.parametrize("callback", [EarlyStopping("val_acc"), ModelCheckpoint("a", "val_acc", save_best_only=True)])
def test_an_unknown_number_lists_those_there_are(callback):
    with pytest.raises(OptionError, match="monitors 'val_acc', but the epoch has loss, val_loss; pass validation_data"):
        train(callback, [1])


def test_checkpoint_every_epoch_or_the_best():
    assert train(ModelCheckpoint("m"), [2, 3]).saved == ["m", "m"]
    best = ModelCheckpoint("{epoch:02d}-{val_loss:.1f}", save_best_only=True)
    assert train(best, [2, 3, 1]).saved == ["01-2.0", "03-1.0"]


def test_checkpoint_path_of_an_unknown_number():
    with pytest.raises(OptionError, match="names 'acc', but the epoch has epoch, loss, val_loss"):
        train(ModelCheckpoint("{acc}"), [1])


def test_learning_rate():
    rates = []

    class Spy(LearningRate):
        def on_epoch_end(self, epoch, logs):
            rates.append(self.model.lr)

    train(Spy(step_decay(0.1, every=2)), [1, 1, 1])
    assert rates == pytest.approx([0.1, 0.1, 0.01])


LOGS = {"loss": 0.12344, "accuracy": 0.9651, "val_loss": 0.00012}


def run_epoch(bar):
    bar.on_epoch_begin(2, {})
    bar.on_batch_end(0, LOGS)
    bar.on_batch_end(1, LOGS)
    bar.on_epoch_end(2, LOGS)
    bar.on_train_end()


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by an eighth of a second at every look."""
    times = (i / 8 for i in range(1000))
    monkeypatch.setattr(progress, "perf_counter", lambda: next(times))


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_line_per_epoch(clock, capsys, verbose):
    run_epoch(ProgressBar(20, 64, 32, verbose))
    out, err = capsys.readouterr()
    assert out == "epoch  3/20  loss 0.1234  accuracy 0.9651  val_loss 1.20e-04  256 images/s\n"
    assert err == ""


def test_silence(clock, capsys):
    run_epoch(ProgressBar(20, 64, 32, verbose=0))
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run_epoch(ProgressBar(20, 64, 32))
    out, err = capsys.readouterr()
    assert out.startswith("epoch  3/20  loss 0.1234")
    assert "epoch  3/20: 100%" in err and "64/64" in err and "accuracy 0.9651" in err
    assert err.endswith("\r")  # the bar is wiped before the line is printed


def test_the_bar_is_drawn_at_most_ten_times_a_second(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    times = (i / 1000 for i in range(10000))
    monkeypatch.setattr(progress, "perf_counter", lambda: next(times))
    bar = ProgressBar(1, 1000, 1)
    bar.on_epoch_begin(0, {})
    drawn = []
    monkeypatch.setattr(bar._bar, "refresh", lambda: drawn.append(bar._bar.n))
    for step in range(1000):
        bar.on_batch_end(step, LOGS)
    bar.on_epoch_end(0, LOGS)
    assert 9 <= len(drawn) <= 11
