"""What runs beside the training loop: history, early stopping, checkpoints, learning rates.

The names and meanings are Keras's. A callback sees the model as ``self.model``; of it the ones here use
``stop_training``, ``monitored``, ``lr``, ``save``, ``state_dict`` and ``load_state_dict``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..io.checkpoint import check_path
from ..ops.options import integer, number
from .schedules import Schedule

Logs = Mapping[str, float]


class Callback:
    """Base of every callback: override what is needed. Epochs and steps count from 0.

    ``logs`` has the epoch's numbers so far: ``loss``, the metrics, and in ``on_epoch_end`` the same of the validation
    data, as ``val_loss`` and so on. Setting ``self.model.stop_training = True`` ends training after the epoch.
    """

    model: Any = None

    def on_train_begin(self) -> None: ...

    def on_train_end(self) -> None: ...

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None: ...

    def on_epoch_end(self, epoch: int, logs: Logs) -> None: ...

    def on_batch_end(self, step: int, logs: Logs) -> None: ...


class CallbackList(Callback):
    """Several callbacks as one, in order: ``CallbackList([History(), EarlyStopping()], model)``."""

    def __init__(self, callbacks: Iterable[Callback] | None, model):
        if isinstance(callbacks, Callback):
            raise OptionError(f"callbacks must be a list, got one callback; pass [{type(callbacks).__name__}(...)]")
        self.callbacks = list(callbacks or ())
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise OptionError(f"callbacks must be instances of nbconv's Callback, got {callback!r}")
            callback.model = model
        self._after_batches = [c for c in self.callbacks if type(c).on_batch_end is not Callback.on_batch_end]

    def on_train_begin(self):
        for callback in self.callbacks:
            callback.on_train_begin()

    def on_train_end(self):
        for callback in self.callbacks:
            callback.on_train_end()

    def on_epoch_begin(self, epoch, logs):
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch, logs):
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def on_batch_end(self, step, logs):
        for callback in self._after_batches:
            callback.on_batch_end(step, logs)


class History(Callback):
    """The numbers of every epoch: ``history.history["val_accuracy"]`` is a list, ``history.epoch`` its epochs."""

    def __init__(self):
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch, logs):
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)


class Monitor(Callback):
    """Base of callbacks that wait for a number of the logs to improve: upwards for an accuracy, else downwards."""

    needs_monitor = True
    """Whether the number must be there: then a missing one is found before the first epoch."""

    def __init__(self, monitor: str, min_delta: float = 0.0):
        self.monitor = monitor
        self.min_delta = number(min_delta, "min_delta", least=0)
        self.best = self._worst()

    def improved(self, logs: Logs) -> bool:
        """Whether the monitored number is the best so far; NaN never is. Raises ``OptionError`` if it is not there."""
        self._check_monitor(logs)
        value = float(logs[self.monitor])
        gain = value - self.best if self._upwards() else self.best - value
        better = gain > self.min_delta
        if better:
            self.best = value
        return better

    def on_train_begin(self):
        self.best = self._worst()
        if self.needs_monitor and _monitored(self.model):
            self._check_monitor(_monitored(self.model))

    def _check_monitor(self, names: Iterable[str]) -> None:
        if self.monitor not in names:
            raise OptionError(
                f"{type(self).__name__} monitors {self.monitor!r}, but the epoch has {', '.join(names) or 'nothing'}; "
                f"pass validation_data to fit for the numbers that begin with val_, or monitor one of these"
            )

    def _upwards(self) -> bool:
        return self.monitor.endswith("accuracy")

    def _worst(self) -> float:
        return -inf if self._upwards() else inf


class EarlyStopping(Monitor):
    """Stop when nothing has improved for ``patience`` epochs.

    ``EarlyStopping("val_accuracy", patience=5, restore_best=True)`` also puts the best epoch's parameters back at the
    end of training. ``stopped_epoch`` is the epoch it stopped after, or ``None``.
    """

    def __init__(
        self, monitor: str = "val_loss", patience: int = 0, min_delta: float = 0.0, restore_best: bool = False
    ):
        super().__init__(monitor, min_delta)
        self.patience = integer(patience, "patience", least=0)
        self.restore_best = restore_best
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._waited = 0
        self._best_state: Any = None

    def on_train_begin(self):
        super().on_train_begin()
        self.best_epoch = self.stopped_epoch = self._best_state = None
        self._waited = 0

    def on_epoch_end(self, epoch, logs):
        if self.improved(logs):
            self.best_epoch = epoch
            self._waited = 0
            if self.restore_best:
                self._best_state = self.model.state_dict()
            return
        self._waited += 1
        if self._waited >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self):
        if self._best_state is not None:
            self.model.load_state_dict(self._best_state)
            self._best_state = None


class ModelCheckpoint(Monitor):
    """Save the model after every epoch, or with ``save_best_only`` after those that improve.

    ``ModelCheckpoint("best.safetensors", save_best_only=True)``. The path may name numbers of the epoch, as in
    ``"epoch-{epoch:03d}-{val_accuracy:.3f}.safetensors"``, where ``epoch`` counts from 1.
    """

    def __init__(self, path: str | PathLike, monitor: str = "val_loss", save_best_only: bool = False):
        super().__init__(monitor)
        self.path = str(path)
        self.save_best_only = self.needs_monitor = save_best_only

    def on_train_begin(self):
        super().on_train_begin()
        if _monitored(self.model):
            self._path(0, dict.fromkeys(_monitored(self.model), 0.0))
        if "{" not in str(Path(self.path).parent):
            check_path(self.path)

    def on_epoch_end(self, epoch, logs):
        if self.save_best_only and not self.improved(logs):
            return
        self.model.save(self._path(epoch, logs))

    def _path(self, epoch: int, logs: Logs) -> str:
        try:
            return self.path.format(**{**logs, "epoch": epoch + 1})
        except (KeyError, IndexError) as error:
            known = ", ".join(("epoch", *logs))
            raise OptionError(f"the path {self.path!r} names {error}, but the epoch has {known}") from None
        except ValueError as error:
            raise OptionError(f"the path {self.path!r} is no format: {error}; write {{{{ for a brace") from None


class LearningRate(Callback):
    """Set the learning rate at the start of every epoch: ``LearningRate(cosine(0.1, epochs=20))``."""

    def __init__(self, schedule: Schedule):
        if not callable(schedule):
            raise OptionError(f"schedule must be a function from epoch to learning rate, got {schedule!r}")
        self.schedule = schedule

    def on_epoch_begin(self, epoch, logs):
        name = getattr(self.schedule, "__qualname__", repr(self.schedule))
        self.model.lr = number(self.schedule(epoch), f"the learning rate from {name} for epoch {epoch}", least=0)


def _monitored(model) -> tuple[str, ...]:
    """The names of the numbers that an epoch will have, where the model knows them."""
    return getattr(model, "monitored", ())
