"""The nets a user works with, with Keras's ``fit`` and PyTorch's ``state_dict``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from time import perf_counter

import numpy as np

from ..data.batches import Batches
from ..engine import serialize
from ..engine.graph import Graph, chain, input_symbol
from ..engine.plan import MemoryReport, Plan
from ..engine.plans import USES
from ..engine.registry import Device, open_device
from ..engine.rehearsal import Training, rehearse
from ..engine.scores import Coming
from ..engine.update import Update
from ..errors import GraphError, NonFiniteError, OptionError, ShapeError
from ..io import checkpoint
from ..ops.base import Layer, Op
from ..ops.loss import Loss
from ..ops.optimizer import Optimizer
from ..ops.options import choice, integer, number
from ..ops.regularizer import L2
from ..train import loop
from ..train.callbacks import Callback, History
from ..train.choices import check_ending, loss_of, metric_name, metrics_of, optimizer_of
from ..train.progress import ProgressBar, showing_compilation
from .net import Net, ahead, count
from .steps import BadStep, Launched, Steps


class Model(Net):
    """A net: any acyclic graph of layers, with its parameters on a device.

    ``Model(x, Linear(10)(Flatten()(ReLU()(Conv2d(16, 3)(x)))))`` with ``x = Input((3, 32, 32))`` maps (N, 3, 32, 32) to
    (N, 10).

    Parameters
    ----------
    inputs, outputs : Symbol or sequence of Symbol
        What ``Input`` returned, and what layers made of it.
    device : str
        ``"cpu"``, ``"reference"`` (plain NumPy), ``"cuda"``, ``"cuda:1"`` or ``"auto"``.
    dtype : "float32" or "float64"
        Of parameters and of all that is computed.
    seed : int
        Of initial weights, the order of samples, dropout and augmentation: the same seed gives the same bits.
    data_format : "NCHW" or "NHWC"
        How images are given and returned; sequences are (N, C, L) or (N, L, C) alike.
    rewrite : bool
        Whether ops are fused and batch norm is folded for inference. The results are the same up to rounding.
    threads : int, optional
        How many threads run the kernels.

    Raises
    ------
    GraphError, ShapeError, OptionError, DeviceError
        Before anything is computed; the message names the layer and the mend.
    """

    def _build(self, graph: Graph, *options) -> None:
        super()._build(graph, *options)
        self.stop_training = False
        self.monitored: tuple[str, ...] = ()
        """The names of the numbers that an epoch of the present ``fit`` reports."""
        self.epochs_trained = 0
        self._update: Update | None = None
        self._loss: Loss | None = None
        self._metrics: tuple[Op, ...] = ()
        self._l2: L2 | None = None
        self._steps = Steps()

    def compile(
        self,
        optimizer: Op | str = "sgd",
        loss: Op | str = "cross_entropy",
        metrics: Sequence[Op | str] | Op | str | None = "auto",
        l2: float = 0.0,
    ) -> None:
        """Choose how to train: ``compile(SGD(lr=0.1, momentum=0.9), "cross_entropy", ["accuracy"], l2=1e-4)``.

        The optimiser starts anew.

        Parameters
        ----------
        optimizer : Optimizer or "sgd", "adam", "adamw", "rmsprop"
        loss : CrossEntropy, Hinge, MSE, BCEWithLogits or "cross_entropy", "hinge", "mse", "bce_with_logits"
            The first two compare the output with one integer label per row, the others with numbers of its shape.
        metrics : sequence of metrics or of "accuracy", "binary_accuracy"; "auto" or None
            Numbers to watch. "auto" is "accuracy" where there are labels, "binary_accuracy" for "bce_with_logits".
        l2 : float
            L2 regularisation: the loss grows by 0.5 * l2 * sum(w^2) over all weights of convolutions and linear layers,
            biases and scales left out, and their gradients by l2 * w. The optimisers' ``weight_decay`` is another
            thing: it acts on all parameters and is not part of the loss.

        Raises
        ------
        OptionError
            For a name that is none of the choices, a metric that does not go with the loss, and a model that ends in
            what its loss does (a softmax before the cross entropy).
        ShapeError
            For a loss that does not fit the output.
        """
        optimizer_op, loss_op = optimizer_of(optimizer), loss_of(loss)
        metric_ops, reg = metrics_of(metrics, loss_op), number(l2, "l2", least=0)
        if len(self.graph.outputs) != 1:
            raise GraphError("training with a loss needs a model with one output; use forward and backward for several")
        check_ending(self.graph, loss_op)
        with self._lock:
            update, l2_op = Update(optimizer_op, self.parameters), L2(reg) if reg else None
            self._plans.compile(loss_op, metric_ops, update, l2_op)
            self._feed.compare_with(loss_op)
            self._loss, self._metrics, self._update, self._l2 = loss_op, metric_ops, update, l2_op

    @property
    def optimizer(self) -> Optimizer | None:
        """The optimiser that ``compile`` was given."""
        return self._update.optimizer if self._update else None

    @property
    def loss(self) -> Op | None:
        """The loss that ``compile`` was given."""
        return self._loss

    @property
    def l2(self) -> float:
        """The strength of L2 regularisation that ``compile`` was given."""
        return self._l2.reg if self._l2 else 0.0

    @property
    def lr(self) -> float:
        """The learning rate of the next step; a schedule may set it."""
        return self._compiled().lr

    @lr.setter
    def lr(self, value: float) -> None:
        if not 0 <= float(value) < float("inf"):
            raise OptionError(f"lr must be zero or more, got {value!r}")
        self._compiled().lr = float(value)

    # training

    def fit(
        self,
        x,
        y,
        batch_size: int = 32,
        epochs: int = 1,
        validation_data=None,
        callbacks: Sequence[Callback] | None = None,
        verbose: int = 1,
        shuffle: bool = True,
        check_finite: bool = True,
    ) -> History:
        """Train on arrays and return the history.

        ``model.fit(x, y, batch_size=32, epochs=5, validation_data=(xv, yv))`` with x (N, C, H, W) and labels y (N,), or
        targets y of the output's shape, as the loss has it.

        Parameters
        ----------
        x : array, or a tuple of arrays for several inputs
            Samples, of any real dtype; converted once to the model's. For an input of bytes, uint8, which stays so.
        y : array
            One integer label per sample (per pixel, where the output is an image), or one number per element of the
            output, in its shape and data format; for "bce_with_logits" from 0 to 1.
        batch_size, epochs : int
            The last batch of an epoch may be smaller.
        validation_data : (x, y), optional
            Evaluated after every epoch.
        callbacks : sequence of Callback
        verbose : 0, 1 or 2
            Nothing, a progress bar and a line per epoch, a line per epoch.
        shuffle : bool
            Whether every epoch has another order; it depends on the seed and the number of the epoch.
        check_finite : bool
            Whether x and targets are searched for NaN and infinity first.

        Raises
        ------
        DataError, ShapeError, OptionError
            Before the first step.
        NonFiniteError
            When the loss or the gradient is not finite: the parameters are those before that step.
        """
        self._compiled()
        samples, targets = self._feed.samples_and_targets(x, y, check_finite)
        epochs = integer(epochs, "epochs", least=0)
        batches = Batches(len(targets), batch_size, shuffle=shuffle, seed=self.seed)
        validate = self._validation(validation_data, batches.batch_size, check_finite)
        bar = ProgressBar(epochs, len(targets), batches.batch_size, verbose)
        with self._lock:  # what a batch size breaks is said before the first step
            for size in {min(batches.batch_size, len(targets)), len(targets) % batches.batch_size} - {0}:
                self._plans.get("train", size)
        self.monitored = (*self._names(), *(f"val_{name}" for name in self._names() if validate))

        arrays = (*samples, targets)

        def train_batch(index):
            with self._lock:
                self._launch(self._plans.get("train", count(index)), arrays, index)
                self._settle(False)
                return self._steps.take()

        def finish():
            with self._lock:
                self._settle()
                return self._steps.take()

        self._steps.take()
        try:
            with showing_compilation(self.device, verbose):
                return loop.fit(
                    *(self, batches, train_batch, finish, validate),
                    names=self._names(),
                    epochs=epochs,
                    callbacks=callbacks,
                    bar=bar,
                )
        except BaseException:
            with self._lock:
                self._abandon()
            raise

    def train_on_batch(self, x, y, check_finite: bool = True) -> dict[str, float]:
        """Make one step on one batch and return its loss and metrics: for loops of one's own."""
        self._compiled()
        samples, targets = self._feed.samples_and_targets(x, y, check_finite)
        with self._lock:
            self._settle()
            plan = self._plans.get("train", len(targets))
            values = self._train_step(plan, samples, targets, slice(0, len(targets)))
            return dict(zip(self._names(), values, strict=True))

    def _train_step(self, plan: Plan, samples, targets, index) -> Sequence[float]:
        """Make a step and return its loss and metrics."""
        self._launch(plan, (*samples, targets), index)
        self._settle()
        return self._steps.last().values

    def _launch(self, plan: Plan, arrays: tuple, index) -> None:
        """Launch a training step; ``_settle`` has its numbers later."""
        self._stage(plan, arrays, index)
        self._changed()
        updates = plan.train(self.step + 1)
        self.step += 1
        self._steps.add(Launched(plan, arrays, index, self.step, updates), self._plans.scores)

    def _settle(self, wait: bool = True) -> None:
        """Look at the steps that were launched; raise ``NonFiniteError`` for the first bad one."""
        try:
            self._steps.settle(wait)
        except BadStep as bad:
            self._forget(bad.launched)
            raise self._nonfinite_error(bad.launched, bad.loss) from None

    def _abandon(self) -> None:
        """Look at the steps that were launched, where something else has ended training already."""
        try:
            self._steps.settle()
        except BadStep as bad:
            self._forget(bad.launched)

    def _forget(self, launched: Launched) -> None:
        """Count as if a bad step had been the last: the device has let neither it nor a later one change anything."""
        self.step, self._compiled().count = launched.step, launched.updates - 1
        self._plans.guard.reset()

    def _nonfinite_error(self, launched: Launched, loss: float) -> NonFiniteError:
        plan = launched.plan
        self._stage(plan, launched.arrays, launched.rows)
        plan.set_step(launched.step)
        where = plan.first_nonfinite() or "the gradient's norm, which overflows"
        mend = self._loss.nonfinite_mend() if self._loss else ""
        return NonFiniteError(
            f"training stopped at step {launched.step}: the loss is {loss}; the first value that is not finite is "
            f"in {where}. The parameters are those before this step; {mend}"
        )

    def loss_and_grads(self, x, y, check_finite: bool = True) -> tuple[float, dict[str, np.ndarray]]:
        """Return the loss of a batch and the gradient of every parameter, in PyTorch's layouts.

        ``loss, grads = model.loss_and_grads(x, y)``: ``grads["0.weight"]`` is (out, in, kh, kw) for a convolution.
        Layers act as in training: batch statistics (and their running means move), dropout. Nothing is updated else.
        """
        self._compiled()
        samples, targets = self._feed.samples_and_targets(x, y, check_finite)
        with self._lock:
            self._settle()
            plan = self._plans.get("train", len(targets))
            self._stage(plan, (*samples, targets), slice(0, len(targets)))
            self._begin_training_forward(plan)
            plan.forward()
            plan.backward()
            ((_, (loss, *_)),) = self._plans.scores.fetch().numbers()
            return loss, self.parameters.gradients()

    def evaluate(self, x, y, batch_size: int = 256, check_finite: bool = True) -> dict[str, float]:
        """Return the mean loss and metrics: ``{"loss": 0.04, "accuracy": 0.99}``.

        It is the mean over batches, by their sizes; with class weights, each batch's loss is a mean by weight.
        """
        self._compiled()
        samples, targets = self._feed.samples_and_targets(x, y, check_finite)
        return self._evaluate(samples, targets, Batches(len(targets), batch_size, shuffle=False))

    def _evaluate(self, samples, targets, batches: Batches) -> dict[str, float]:
        mean = loop.RunningMean(self._names())
        with self._lock:
            for size, coming in ahead(self._evaluations((*samples, targets), batches)):
                ((_, values),) = coming.numbers()
                mean.add(loop.Batch(size, values))
        return mean.means()

    def _evaluations(self, arrays: tuple, batches: Batches) -> Iterator[tuple[int, Coming]]:
        """Launch batch after batch, and hand over how many samples it has and the numbers that are on their way."""
        for index in batches.epoch(0):
            plan = self._inference("evaluate", arrays, index)
            yield plan.batch, self._plans.scores.fetch()

    def _validation(self, data, batch_size: int, check_finite: bool):
        if data is None:
            return None
        samples, targets = self._feed.pair(data, "validation_data", check_finite)
        batches = Batches(len(targets), max(batch_size, 256), shuffle=False)
        return lambda: self._evaluate(samples, targets, batches)

    # ahead of time

    def warmup(self, batch_size: int | Sequence[int] = 32, verbose: int = 1) -> float:
        """Compile and load all kernels for these batch sizes ahead of time; return the seconds that took.

        ``model.warmup([64, 1])`` makes the first ``fit`` of batches of 64 and the first ``predict`` of one sample as
        fast as the second. The net runs on zeros, in arrays of its own: no parameter, statistic or random number
        changes. Kernels are kept on disk and compiled once per machine and version; another process loads them, in
        some tenths of a second.

        Before ``compile`` there is no loss: then kernels for ``predict`` alone are made ready, and a line says so.

        Parameters
        ----------
        batch_size : int or sequence of int
            Of ``fit``, ``evaluate`` and ``predict``. An epoch may end on a smaller batch, which has a size of its own.
        verbose : 0 or 1
            Whether lines on the error stream say what is compiled.
        """
        began = perf_counter()
        listed = batch_size if isinstance(batch_size, (list, tuple)) else [batch_size]
        sizes = [integer(size, "batch_size") for size in listed]
        uses = ("train", "evaluate", "predict") if self._update else ("predict",)
        if self._update is None and verbose:
            print("warmup: the model has no loss yet; only predict is made ready", file=sys.stderr)
        wanted = [(use, size) for size in sizes for use in uses]
        with self._lock, showing_compilation(self.device, verbose):
            for use, size in wanted:
                self._plans.get(use, size)
            rehearse(
                *(self.graph, self.device, self.dtype, wanted, self._training()),
                rewrite=self.rewrite,
                threads=self.threads,
            )
        return perf_counter() - began

    def memory_report(self, batch_size: int, use: str = "train") -> MemoryReport:
        """Return the bytes that a plan for this batch size takes: ``print(model.memory_report(64))``.

        ``use`` is "train" or "evaluate" (after ``compile``), "predict", or "backward" (for ``forward`` and
        ``backward``). Raises ``OptionError`` for another.
        """
        choice(use, "use", USES)
        if use in ("train", "evaluate"):
            self._compiled()
        with self._lock:
            return self._plans.get(use, integer(batch_size, "batch_size")).memory_report()

    # files and copies

    def save(self, path: str | PathLike) -> None:
        """Write the net, its arrays and the state of its optimiser to a safetensors file."""
        with self._lock:
            self._settle()
            arrays = self.state_dict()
            description = {
                "graph": serialize.graph_to_dict(self.graph),
                "dtype": self.dtype,
                "data_format": self.data_format,
                "seed": self.seed,
                "step": self.step,
                "epochs_trained": self.epochs_trained,
            }
            if self._update and self._loss:
                description["training"] = {
                    "optimizer": serialize.op_to_dict(self._update.optimizer),
                    "loss": serialize.op_to_dict(self._loss),
                    "metrics": [serialize.op_to_dict(metric) for metric in self._metrics],
                    "l2": self.l2,
                    "lr": self._update.lr,
                    "count": self._update.count,
                }
                arrays.update(self._optimizer_arrays())
            checkpoint.write(path, arrays, description)

    def to(self, device: str | Device) -> Model:
        """Return a copy of the model on another device, with its optimiser's state."""
        with self._lock:
            self._settle()
            copy = self._like(device)
            copy.load_state_dict(self.state_dict())
            if self._update and self._loss:
                copy._resume(self._update.optimizer, self._loss, self._metrics, self.l2, self._optimizer_arrays())
                copy.lr, copy._compiled().count = self.lr, self._update.count
            copy.step, copy.epochs_trained = self.step, self.epochs_trained
            return copy

    def _like(self, device, graph: Graph | None = None) -> Model:
        """A model with the same options, whose arrays are zero: of the same net, or of another graph."""
        copy, target = Model.__new__(Model), open_device(device)
        threads = self.threads if target.name == self.device.name else None
        copy._build(graph or self.graph, target, self.dtype, self.seed, self.data_format, self.rewrite, threads)
        return copy

    def _resume(
        self, optimizer: Op, loss: Op, metrics: Sequence[Op], l2: float, arrays: Mapping[str, np.ndarray]
    ) -> None:
        """Compile, then put the optimiser's state back."""
        self.compile(optimizer, loss, metrics, l2)
        for name, arena in self._compiled().state.items():
            for key in arena.views:
                value = arrays[f"optimizer.{name}.{'.'.join(key)}"]
                if value.shape != self.parameters.shape(key):
                    raise ShapeError(f"{name} of {'.'.join(key)} has shape {value.shape}")
                self.parameters.write(key, value.astype(self.dtype), arena)

    def _optimizer_arrays(self) -> dict[str, np.ndarray]:
        read = self.parameters.read
        arenas = self._compiled().state
        return {f"optimizer.{n}.{'.'.join(k)}": read(k, arena) for n, arena in arenas.items() for k in arena.views}

    # within

    def _compiled(self) -> Update:
        if self._update is None:
            raise OptionError('the model has no loss yet: call compile(optimizer=..., loss="cross_entropy") first')
        return self._update

    def _training(self) -> Training | None:
        if self._update is None or self._loss is None:
            return None
        return Training(self._update.optimizer, self._loss, self._metrics, self._l2)

    def _names(self) -> tuple[str, ...]:
        return ("loss", *map(metric_name, self._metrics))

    def __deepcopy__(self, memo):
        return self.to(self.device)

    def __reduce__(self):
        raise TypeError("a model is not pickled: use model.save(path) and nbconv.load(path)")


class Sequential(Model):
    """A net whose layers follow one another.

    ``Sequential(Conv2d(8, 3), ReLU(), Flatten(), Linear(10), input_shape=(1, 8, 8))`` maps (N, 1, 8, 8) to (N, 10).

    ``input_shape`` is the shape of one sample in ``data_format``, ``input_dtype`` is "float" for the model's dtype or
    "uint8" for bytes, which ``Normalize`` makes numbers of; the other options are those of ``Model``.
    """

    def __init__(
        self,
        *layers: Layer,
        input_shape: Sequence[int],
        data_format: str = "NCHW",
        input_dtype: str = "float",
        **options,
    ):
        listed = layers[0] if len(layers) == 1 and isinstance(layers[0], (list, tuple)) else layers
        x = input_symbol(input_shape, data_format, dtype=input_dtype)
        super().__init__(x, chain(x, listed), data_format=data_format, **options)
