"""The training loop: epochs of batches, callbacks round them, and a stop at the first number that is not finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from ..data.batches import Batches
from ..errors import OptionError
from .callbacks import Callback, CallbackList, History


class Batch(NamedTuple):
    """One batch's numbers: how many samples, and the loss and metrics in the order of their names."""

    samples: int
    values: Sequence[float]


class Trainable(Protocol):
    """What the loop needs of a model."""

    stop_training: bool
    epochs_trained: int


class RunningMean:
    """The mean of each number over an epoch, weighted by batch size, in float64."""

    def __init__(self, names: Sequence[str]):
        self.names = tuple(names)
        self._sums = [0.0] * len(self.names)
        self._samples = 0

    def add(self, batch: Batch) -> None:
        """Take a batch in."""
        sums, (samples, values) = self._sums, batch
        for i, value in enumerate(values):
            sums[i] += value * samples
        self._samples += samples

    def means(self) -> dict[str, float]:
        """The means so far, by name."""
        return {name: total / self._samples for name, total in zip(self.names, self._sums, strict=True)}


class MeansSoFar(Mapping):
    """The numbers of the running epoch, computed when a callback looks at them: it waits for the last step then."""

    def __init__(self, mean: RunningMean, settle: Callable[[], None]):
        self._mean, self._settle = mean, settle

    def __getitem__(self, name):
        self._settle()
        return self._mean.means()[name]

    def __iter__(self):
        return iter(self._mean.names)

    def __len__(self):
        return len(self._mean.names)


def fit(
    model: Trainable,
    batches: Batches,
    train_batch: Callable[[np.ndarray | slice], Sequence[Batch]],
    finish: Callable[[], Sequence[Batch]],
    validate: Callable[[], Mapping[str, float]] | None,
    *,
    names: Sequence[str],
    epochs: int,
    callbacks: Sequence[Callback] | None,
    bar: Callback,
) -> History:
    """Train for ``epochs`` epochs and return the history.

    ``train_batch`` begins a step on the samples at an index, and returns the numbers of the steps that have ended since
    the last time; ``finish`` waits for the others, and returns theirs. ``validate`` returns numbers to report as
    ``val_...``; ``bar`` comes after the ``callbacks``.
    """
    history = History()
    if isinstance(callbacks, Callback):
        raise OptionError(f"callbacks must be a list: write [{type(callbacks).__name__}(...)]")
    watching = CallbackList([history, *(callbacks or ()), bar], model)
    model.stop_training = False
    watching.on_train_begin()
    try:
        for epoch in range(epochs):
            watching.on_epoch_begin(epoch, {})
            mean = RunningMean(names)
            so_far = MeansSoFar(mean, partial(_finish, mean, finish))
            for step, index in enumerate(batches.epoch(model.epochs_trained)):
                for batch in train_batch(index):
                    mean.add(batch)
                watching.on_batch_end(step, so_far)
            _finish(mean, finish)
            model.epochs_trained += 1
            logs = mean.means()
            if validate is not None:
                logs.update({f"val_{name}": value for name, value in validate().items()})
            watching.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
    finally:
        watching.on_train_end()
    return history


def _finish(mean: RunningMean, finish: Callable[[], Sequence[Batch]]) -> None:
    for batch in finish():
        mean.add(batch)
