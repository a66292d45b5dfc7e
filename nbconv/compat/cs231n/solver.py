"""The course's training loop, for models that have ``params`` and ``loss``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import DataError, FileFormatError, OptionError, ShapeError
from ...io import checkpoint
from ...io.checkpoint import check_path
from ...ops.options import integer, number
from . import optim
from .arrays import parameters

KIND = "cs231n solver"
"""What the description of a checkpoint says it is."""

HISTORIES = ("loss_history", "train_acc_history", "val_acc_history")


class Solver:
    """Train a model by an update rule of ``optim``, and keep the parameters that did best on the validation data.

        data = {"X_train": x, "y_train": y, "X_val": x_val, "y_val": y_val}
        solver = Solver(model, data, update_rule="adam", optim_config={"learning_rate": 1e-3}, num_epochs=10)
        solver.train()

    The model has ``params``, a dict of arrays, and ``loss(X, y)``, which returns the loss and a dict of gradients with
    the names of ``params``; ``loss(X)`` returns scores (N, C). After ``train()``, ``model.params`` are the best.

    Parameters
    ----------
    model, data
        See above. ``X`` is (N, d_1, ..., d_k), ``y`` (N,).
    update_rule : str
        "sgd", "sgd_momentum", "rmsprop" or "adam".
    optim_config : dict
        Options of the update rule; each parameter gets a copy.
    lr_decay : float
        What the learning rate is multiplied by after each epoch.
    batch_size, num_epochs : int
        Batches are drawn at random, with replacement, by NumPy's generator (``np.random.seed``).
    num_train_samples, num_val_samples : int or None
        How many samples accuracy is checked on; ``None`` is all.
    print_every : int
        After how many iterations the loss is printed.
    verbose : bool
        Whether anything is printed.
    checkpoint_name : str or None
        After each epoch, write ``NAME_epoch_E.safetensors`` (see ``load_checkpoint``).

    Attributes
    ----------
    loss_history : list
        The loss of each iteration.
    train_acc_history, val_acc_history : list
        Accuracies at the first iteration, at the end of each epoch and at the last iteration.
    best_val_acc, best_params, epoch, optim_configs
        What the names say.

    Raises ``OptionError``, a ``ValueError``, for unknown options and update rules, ``DataError`` and ``ShapeError`` for
    a model or data that cannot be trained with, ``FileFormatError`` for a checkpoint that could not be written.
    """

    def __init__(self, model, data, **kwargs):
        self.model = _usable(model)
        data = parameters(data, "data")
        try:
            self.X_train, self.y_train = data["X_train"], data["y_train"]
            self.X_val, self.y_val = data["X_val"], data["y_val"]
        except KeyError as error:
            raise DataError(f"data has no {error}; it needs X_train, y_train, X_val, y_val") from None
        for part in ("train", "val"):
            x, y = getattr(self, f"X_{part}"), getattr(self, f"y_{part}")
            if len(x) != len(y) or not len(x):
                raise ShapeError(f"X_{part} and y_{part} must be of one length, at least 1, got {len(x)} and {len(y)}")
        self.update_rule_name = kwargs.pop("update_rule", "sgd")
        self.optim_config = kwargs.pop("optim_config", {})
        self.lr_decay = number(kwargs.pop("lr_decay", 1.0), "lr_decay", least=0)
        self.batch_size = integer(kwargs.pop("batch_size", 100), "batch_size")
        self.num_epochs = integer(kwargs.pop("num_epochs", 10), "num_epochs", least=0)
        self.num_train_samples = _count(kwargs.pop("num_train_samples", 1000), "num_train_samples")
        self.num_val_samples = _count(kwargs.pop("num_val_samples", None), "num_val_samples")
        self.checkpoint_name = kwargs.pop("checkpoint_name", None)
        self.print_every = integer(kwargs.pop("print_every", 10), "print_every")
        self.verbose = kwargs.pop("verbose", True)
        if kwargs:
            raise OptionError(f"Unrecognized arguments {', '.join(map(repr, kwargs))}")
        if self.update_rule_name not in optim.RULES:
            raise OptionError(
                f"Invalid update_rule {self.update_rule_name!r}; there is {', '.join(map(repr, optim.RULES))}"
            )
        self.optim_config = optim.check_config(self.update_rule_name, self.optim_config)
        if self.checkpoint_name is not None:
            check_path(f"{self.checkpoint_name}_epoch_0.safetensors")
        self.update_rule = optim.RULES[self.update_rule_name]
        self._reset()

    def train(self):
        """Train for ``num_epochs``; of a model that was trained already, go on."""
        per_epoch = max(len(self.X_train) // self.batch_size, 1)
        iterations = self.num_epochs * per_epoch
        for t in range(iterations):
            self._step()
            if self.verbose and t % self.print_every == 0:
                print(f"(Iteration {t + 1} / {iterations}) loss: {self.loss_history[-1]:f}")
            if (t + 1) % per_epoch == 0:
                self.epoch += 1
                for config in self.optim_configs.values():
                    if "learning_rate" in config:
                        config["learning_rate"] *= self.lr_decay
            if t in (0, iterations - 1) or (t + 1) % per_epoch == 0:
                self._check()
        if self.best_params:
            self.model.params = self.best_params

    def check_accuracy(self, X, y, num_samples=None, batch_size=100):
        """Return the share of samples whose largest score is the label's, of ``num_samples`` drawn ones if given."""
        if num_samples is not None and len(X) > num_samples:
            mask = np.random.choice(len(X), num_samples)  # noqa: NPY002, the generator that the course seeds
            X, y = X[mask], y[mask]
        scores = (self.model.loss(X[start : start + batch_size]) for start in range(0, len(X), batch_size))
        predicted = np.concatenate([np.argmax(s, axis=1) for s in scores])
        return float(np.mean(predicted == y))

    def _reset(self):
        self.epoch, self.best_val_acc, self.best_params = 0, 0.0, {}
        self.loss_history, self.train_acc_history, self.val_acc_history = [], [], []
        self.optim_configs = {name: dict(self.optim_config) for name in self.model.params}

    def _step(self):
        """One update of all parameters, from one batch."""
        batch = np.random.choice(len(self.X_train), self.batch_size)  # noqa: NPY002, the same
        loss, grads = self.model.loss(self.X_train[batch], self.y_train[batch])
        self.loss_history.append(float(loss))
        missing = [name for name in self.model.params if name not in grads]
        if missing:
            raise DataError(f"loss returned no gradient for {missing[0]!r}; it returned {', '.join(map(repr, grads))}")
        for name, w in self.model.params.items():
            self.model.params[name], self.optim_configs[name] = self.update_rule(
                w, grads[name], self.optim_configs[name]
            )

    def _check(self):
        """Look at the accuracies, remember the best parameters, write a checkpoint."""
        self.train_acc_history.append(self.check_accuracy(self.X_train, self.y_train, self.num_train_samples))
        self.val_acc_history.append(self.check_accuracy(self.X_val, self.y_val, self.num_val_samples))
        self._save_checkpoint()
        train, val = self.train_acc_history[-1], self.val_acc_history[-1]
        if self.verbose:
            print(f"(Epoch {self.epoch} / {self.num_epochs}) train acc: {train:f}; val_acc: {val:f}")
        if val > self.best_val_acc:
            self.best_val_acc = val
            self.best_params = {name: w.copy() for name, w in self.model.params.items()}

    def _save_checkpoint(self):
        if self.checkpoint_name is None:
            return
        description = {
            "kind": KIND,
            "update_rule": self.update_rule_name,
            "lr_decay": self.lr_decay,
            "optim_config": {name: value for name, value in self.optim_config.items() if np.isscalar(value)},
            "batch_size": self.batch_size,
            "num_train_samples": self.num_train_samples,
            "num_val_samples": self.num_val_samples,
            "epoch": self.epoch,
            **{name: getattr(self, name) for name in HISTORIES},
        }
        path = Path(f"{self.checkpoint_name}_epoch_{self.epoch}.safetensors")
        if self.verbose:
            print(f"Saving checkpoint to {path}")
        checkpoint.write(path, self.model.params, description)


def _usable(model):
    """Return a model that can be trained, or raise ``DataError``."""
    if not isinstance(getattr(model, "params", None), dict) or not callable(getattr(model, "loss", None)):
        raise DataError(
            f"the model must have params, a dict of arrays, and a method loss(X, y); {type(model).__name__} has not"
        )
    return model


def _count(value, name: str) -> int | None:
    return None if value is None else integer(value, name)


def load_checkpoint(path) -> dict:
    """Return what a ``Solver`` wrote: ``params``, the histories, ``epoch`` and the options, by name.

    Raises ``FileFormatError`` for a file that is missing, truncated or of another kind, as ``nbconv.load`` does.
    """
    arrays, description = checkpoint.read(path)
    if description.pop("kind", None) != KIND:
        raise FileFormatError(f"{path} is no checkpoint of a Solver; a model is read by nbconv.load")
    return {"params": arrays, **description}
