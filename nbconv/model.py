"""The nets a user works with: ``Sequential`` and ``Model``, with Keras's ``fit`` and PyTorch's ``state_dict``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from math import isfinite
from os import PathLike
from threading import RLock
from time import perf_counter

import numpy as np

from .data.batches import Batches
from .data.feed import Feed, several
from .data.layout import channels_last, from_channels_last, outside
from .engine import serialize
from .engine.graph import DATA_FORMATS, Graph, chain, input_symbol, trace
from .engine.parameters import Parameters
from .engine.penalty import Penalty
from .engine.plan import MemoryReport, Plan
from .engine.plans import USES, Plans
from .engine.registry import Device, open_device
from .engine.rehearsal import Training, rehearse
from .engine.update import Update
from .errors import FileFormatError, GraphError, NbconvError, NonFiniteError, OptionError, ShapeError
from .inspect.summary import Summary, summarize
from .io import checkpoint
from .ops.activation import Softmax
from .ops.base import Layer, Op, Shape, Symbol
from .ops.loss import Loss
from .ops.optimizer import Optimizer
from .ops.options import LARGEST_SEED, flag, integer, number
from .ops.regularizer import L2
from .train import loop
from .train.callbacks import Callback, History
from .train.choices import check_ending, loss_of, metric_name, metrics_of, optimizer_of
from .train.initializers import initial_values
from .train.progress import ProgressBar, showing_compilation

DTYPES = ("float32", "float64")


class Model:
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
        Of initial weights, the order of samples and dropout: the same seed gives the same bits.
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

    def __init__(
        self,
        inputs: Symbol | Sequence[Symbol],
        outputs: Symbol | Sequence[Symbol],
        *,
        device: str | Device = "auto",
        dtype: str = "float32",
        seed: int = 0,
        data_format: str = "NCHW",
        rewrite: bool = True,
        threads: int | None = None,
    ):
        graph = trace(_symbols(inputs, "inputs"), _symbols(outputs, "outputs"))
        self._build(graph, device, dtype, seed, data_format, rewrite, threads)
        self._initialize()

    def _build(self, graph: Graph, device, dtype, seed, data_format, rewrite, threads) -> None:
        if not graph.steps:
            raise GraphError("a model needs at least one layer")
        self.graph = graph
        self.device = open_device(device)
        self.dtype = _choice(np.dtype(dtype).name if dtype in (np.float32, np.float64) else dtype, "dtype", DTYPES)
        self.data_format = _choice(data_format, "data_format", DATA_FORMATS)
        self.seed = integer(seed, "seed", least=0, most=LARGEST_SEED)
        self.rewrite = flag(rewrite, "rewrite")
        self.threads = None if threads is None else integer(threads, "threads")
        self.parameters = Parameters(graph, self.device, self.dtype)
        self.stop_training = False
        self.monitored: tuple[str, ...] = ()
        """The names of the numbers that an epoch of the present ``fit`` reports."""
        self.epochs_trained = 0
        self.step = 0
        self._update: Update | None = None
        self._loss: Loss | None = None
        self._metrics: tuple[Op, ...] = ()
        self._penalty: Penalty | None = None
        self._plans = Plans(graph, self.parameters, rewrite=self.rewrite, seed=self.seed, threads=self.threads)
        names = [graph.nodes[i].name for i in graph.sources]
        output = graph.shapes(1)[graph.outputs[0]][1:]
        self._feed = Feed(names, self.input_shapes, output, self.dtype, self.data_format)
        self._version = 0
        self._pending: tuple[Plan, int] | None = None
        self._lock = RLock()

    def _initialize(self) -> None:
        """Draw weights by each layer's ``init``; biases are 0, scales and running variances 1."""
        shapes = self.graph.shapes(1)
        for position in self.graph.steps:
            node = self.graph.nodes[position]
            rng = np.random.default_rng((self.seed, position))
            for name, value in initial_values(node.op, [shapes[i] for i in node.inputs], rng).items():
                self.device.memory.write(self.parameters.view((node.name, name)), value.astype(self.dtype))

    # training

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
            update = Update(optimizer_op, self.parameters)
            penalty = Penalty(L2(reg), self.parameters) if reg else None
            self._plans.compile(loss_op, metric_ops, update.call, penalty)
            self._feed.compare_with(loss_op)
            self._loss, self._metrics, self._update, self._penalty = loss_op, metric_ops, update, penalty

    @property
    def optimizer(self) -> Optimizer | None:
        """The optimiser that ``compile`` was given."""
        return self._update.optimizer if self._update else None

    @property
    def l2(self) -> float:
        """The strength of L2 regularisation that ``compile`` was given."""
        return self._penalty.op.reg if self._penalty else 0.0

    @property
    def loss(self) -> Op | None:
        """The loss that ``compile`` was given."""
        return self._loss

    @property
    def lr(self) -> float:
        """The learning rate of the next step; a schedule may set it."""
        return self._compiled().lr

    @lr.setter
    def lr(self, value: float) -> None:
        if not 0 <= float(value) < float("inf"):
            raise OptionError(f"lr must be zero or more, got {value!r}")
        self._compiled().lr = float(value)

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
            Samples, of any real dtype; converted once to the model's.
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

        def train_batch(index):
            with self._lock:
                plan = self._plans.get("train", _count(index))
                return loop.Batch(plan.batch, self._train_step(plan, samples, targets, index))

        with showing_compilation(self.device, verbose):
            return loop.fit(
                self, batches, train_batch, validate, names=self._names(), epochs=epochs, callbacks=callbacks, bar=bar
            )

    def train_on_batch(self, x, y, check_finite: bool = True) -> dict[str, float]:
        """Make one step on one batch and return its loss and metrics: for loops of one's own."""
        self._compiled()
        samples, targets = self._feed.samples_and_targets(x, y, check_finite)
        with self._lock:
            plan = self._plans.get("train", len(targets))
            return dict(zip(self._names(), self._train_step(plan, samples, targets, slice(None)), strict=True))

    def _train_step(self, plan: Plan, samples, targets, index) -> list[float]:
        update = self._compiled()
        self._stage(plan, (*samples, targets), index)
        self._begin_training_forward(plan)
        update.begin()
        self.parameters.remember_state()
        plan.step()
        values = self._scalars(plan)
        if not (isfinite(update.end()) and isfinite(values[0])):
            self.parameters.recall_state()
            where = plan.first_nonfinite() or "the gradient's norm, which overflows"
            raise NonFiniteError(
                f"training stopped at step {self.step}: the loss is {values[0]}; the first value that is not finite is "
                f"in {where}. The parameters are those before this step; try a smaller lr or clip_norm=1.0"
            )
        return values

    def loss_and_grads(self, x, y, check_finite: bool = True) -> tuple[float, dict[str, np.ndarray]]:
        """Return the loss of a batch and the gradient of every parameter, in PyTorch's layouts.

        ``loss, grads = model.loss_and_grads(x, y)``: ``grads["0.weight"]`` is (out, in, kh, kw) for a convolution.
        Layers act as in training: batch statistics (and their running means move), dropout. Nothing is updated else.
        """
        self._compiled()
        samples, targets = self._feed.samples_and_targets(x, y, check_finite)
        with self._lock:
            plan = self._plans.get("train", len(targets))
            self._stage(plan, (*samples, targets), slice(None))
            self._begin_training_forward(plan)
            plan.forward()
            plan.backward()
            return self._scalars(plan)[0], self.parameters.gradients()

    # running

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

    def predict(self, x, batch_size: int = 256, check_finite: bool = True):
        """Return the model's output for any number of samples: (N, 10) logits, say; a tuple for several outputs."""
        samples = self._feed.samples(x, check_finite)
        batches = Batches(len(samples[0]), batch_size, shuffle=False)
        parts: list[list[np.ndarray]] = [[] for _ in self.graph.outputs]
        with self._lock:
            for index in batches.epoch(0):
                plan = self._inference("predict", samples, index)
                for part, output in zip(parts, plan.outputs, strict=True):
                    part.append(self.device.memory.get(output))
        return self._outputs([np.concatenate(part) for part in parts])

    def classify(self, x, batch_size: int = 256, check_finite: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Return the most likely class of each sample and its probability: two (N,).

        The output are logits, of which this is the softmax, or probabilities, if the model ends in a ``Softmax``.
        """
        if len(self.graph.outputs) != 1:
            raise GraphError("classify needs a model with one output")
        logits = np.asarray(self.predict(x, batch_size, check_finite), np.float64)
        if logits.ndim != 2:
            raise ShapeError(f"classify needs one row of logits per sample, but the output has shape {logits.shape}")
        if isinstance(self.graph.nodes[self.graph.outputs[0]].op, Softmax):
            odds = logits
        else:
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        labels = logits.argmax(axis=1)
        return labels, odds[np.arange(len(labels)), labels] / odds.sum(axis=1)

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
            for index in batches.epoch(0):
                plan = self._inference("evaluate", (*samples, targets), index)
                mean.add(loop.Batch(plan.batch, self._scalars(plan)))
        return mean.means()

    def _inference(self, use: str, arrays, index: np.ndarray | slice) -> Plan:
        plan = self._plans.get(use, _count(index))
        plan.refresh(self._version)
        self._stage(plan, arrays, index)
        plan.forward()
        return plan

    def forward(self, x, training: bool = False, input_gradients: bool = False, check_finite: bool = True):
        """Return the output for one batch; with ``training=True``, ``backward`` may follow.

        ``training`` uses batch statistics and dropout. ``input_gradients`` has ``backward`` return those of the inputs
        too, under their names (``"input"``).
        """
        samples = self._feed.samples(x, check_finite)
        with self._lock:
            if training:
                plan = self._plans.get("backward", len(samples[0]), input_gradients=input_gradients)
                self._stage(plan, samples, slice(None))
                self._begin_training_forward(plan)
                plan.forward()
            else:
                plan = self._inference("predict", samples, slice(0, len(samples[0])))
            self._pending = (plan, self._version) if training else None
            return self._outputs([self.device.memory.get(output) for output in plan.outputs])

    def backward(self, dy) -> dict[str, np.ndarray]:
        """Return the gradient of every parameter, given that of the output of the last ``forward(x, training=True)``.

        ``dy`` has the output's shape; for several outputs it is a tuple. Gradients have PyTorch's layouts.
        """
        with self._lock:
            plan, version = self._pending or (None, None)
            if plan is None or version != self._version:
                moved = "; the parameters have changed since the last one" if plan else ""
                raise GraphError(f"backward needs what forward keeps: call forward(x, training=True) first{moved}")
            given = several(dy, len(self.graph.outputs), "dy")
            for position, array in zip(plan.graph.outputs, given, strict=True):
                shape = plan.value(position).shape
                wanted = (shape[0], *outside(shape[1:], self.data_format))
                array = np.asarray(array)
                if array.dtype.kind not in "fiu" or array.shape != wanted:
                    raise ShapeError(
                        f"dy must be numbers of the output's shape {wanted}, got {array.dtype} of shape {array.shape}"
                    )
                if position in plan.seeds:
                    self.device.memory.write(plan.seeds[position], channels_last(array, self.data_format))
            plan.backward()
            self._pending = None
            gradients = self.parameters.gradients()
            for source, wanted_gradient in plan.source_gradients().items():
                host = self.device.memory.get(wanted_gradient)
                gradients[source] = np.ascontiguousarray(from_channels_last(host, self.data_format))
            return gradients

    # parameters and files

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of all parameters and running statistics, in PyTorch's names, shapes and order."""
        with self._lock:
            return dict(self.parameters.items())

    def load_state_dict(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Set all parameters and running statistics; nothing is changed unless everything fits."""
        with self._lock:
            self.parameters.load(arrays)
            self._changed()

    def save(self, path: str | PathLike) -> None:
        """Write the net, its arrays and the state of its optimiser to a safetensors file."""
        with self._lock:
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

    def _optimizer_arrays(self) -> dict[str, np.ndarray]:
        read = self.parameters.read
        arenas = self._compiled().state
        return {f"optimizer.{n}.{'.'.join(k)}": read(k, arena) for n, arena in arenas.items() for k in arena.views}

    def to(self, device: str | Device) -> Model:
        """Return a copy of the model on another device, with its optimiser's state."""
        with self._lock:
            copy = self._like(device)
            copy.load_state_dict(self.state_dict())
            if self._update and self._loss:
                copy._resume(self._update.optimizer, self._loss, self._metrics, self.l2, self._optimizer_arrays())
                copy.lr, copy._compiled().count = self.lr, self._update.count
            copy.step, copy.epochs_trained = self.step, self.epochs_trained
            return copy

    def _like(self, device, graph: Graph | None = None) -> Model:
        """A model with the same options, whose arrays are zero: of the same net, or of another graph."""
        copy = Model.__new__(Model)
        copy._build(graph or self.graph, device, self.dtype, self.seed, self.data_format, self.rewrite, self.threads)
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

    def memory_report(self, batch_size: int, use: str = "train") -> MemoryReport:
        """Return the bytes that a plan for this batch size takes: ``print(model.memory_report(64))``.

        ``use`` is "train" or "evaluate" (after ``compile``), "predict", or "backward" (for ``forward`` and
        ``backward``). Raises ``OptionError`` for another.
        """
        _choice(use, "use", USES)
        if use in ("train", "evaluate"):
            self._compiled()
        with self._lock:
            return self._plans.get(use, integer(batch_size, "batch_size")).memory_report()

    def summary(self, print: bool = True) -> Summary:
        """Print what each layer makes, holds, costs and sees, and return it as a ``nbconv.inspect.Summary``.

        The table has output shapes, parameters, multiply-accumulates, bytes of activations, and the receptive field
        with its jump and first centre. ``model.summary(print=False).as_dict()`` is the same as plain data.
        """
        summary = summarize(self.graph, self.data_format, self.dtype)
        if flag(print, "print"):
            sys.stdout.write(f"{summary}\n")
        return summary

    # within

    @property
    def input_shapes(self) -> list[Shape]:
        """The shape of one sample of each input, in the model's data format."""
        shapes = self.graph.shapes(1)
        return [outside(shapes[i][1:], self.data_format) for i in self.graph.sources]

    def _compiled(self) -> Update:
        if self._update is None:
            raise OptionError('the model has no loss yet: call compile(optimizer=..., loss="cross_entropy") first')
        return self._update

    def _training(self) -> Training | None:
        if self._update is None or self._loss is None:
            return None
        return Training(self._update.optimizer, self._loss, self._metrics, self._penalty.op if self._penalty else None)

    def _names(self) -> tuple[str, ...]:
        return ("loss", *map(metric_name, self._metrics))

    def _begin_training_forward(self, plan: Plan) -> None:
        self.step += 1
        plan.set_step(self.step)
        self._changed()

    def _changed(self) -> None:
        """Parameters or running statistics are about to change: what was computed from them is out of date."""
        self._version += 1

    def _stage(self, plan: Plan, arrays: Sequence[np.ndarray], index) -> None:
        take = self.device.memory.take
        for source, array in zip(plan.sources, arrays, strict=True):
            take(source, array, index)

    def _scalars(self, plan: Plan) -> list[float]:
        """The loss, penalty included, and the metrics that a plan has just computed."""
        loss, *metrics = (array.item() for array in plan.outputs[len(self.graph.outputs) :])
        return [loss + self._penalty.value if self._penalty else loss, *metrics]

    def _validation(self, data, batch_size: int, check_finite: bool):
        if data is None:
            return None
        samples, targets = self._feed.pair(data, "validation_data", check_finite)
        batches = Batches(len(targets), max(batch_size, 256), shuffle=False)
        return lambda: self._evaluate(samples, targets, batches)

    def _outputs(self, arrays: list[np.ndarray]):
        ready = [np.ascontiguousarray(from_channels_last(array, self.data_format)) for array in arrays]
        return ready[0] if len(ready) == 1 else tuple(ready)

    def __deepcopy__(self, memo):
        return self.to(self.device)

    def __reduce__(self):
        raise TypeError("a model is not pickled: use model.save(path) and nbconv.load(path)")

    def __repr__(self):
        layers = ", ".join(repr(self.graph.nodes[i].op) for i in self.graph.steps)
        return f"{type(self).__name__}({layers}, device={str(self.device)!r}, dtype={self.dtype!r})"


class Sequential(Model):
    """A net whose layers follow one another.

    ``Sequential(Conv2d(8, 3), ReLU(), Flatten(), Linear(10), input_shape=(1, 8, 8))`` maps (N, 1, 8, 8) to (N, 10).

    ``input_shape`` is the shape of one sample in ``data_format``; the other options are those of ``Model``.
    """

    def __init__(self, *layers: Layer, input_shape: Sequence[int], data_format: str = "NCHW", **options):
        listed = layers[0] if len(layers) == 1 and isinstance(layers[0], (list, tuple)) else layers
        x = input_symbol(input_shape, data_format)
        super().__init__(x, chain(x, listed), data_format=data_format, **options)


def load(
    path: str | PathLike, device: str | Device = "auto", threads: int | None = None, rewrite: bool = True
) -> Model:
    """Return a model that ``save`` wrote, on any device, ready to predict or to train on.

    ``model = nbconv.load("digits.safetensors", device="cpu")``. Raises ``FileFormatError`` for a file that is missing,
    truncated, of another kind, or whose arrays do not fit its net.
    """
    arrays, description = checkpoint.read(path)
    target = open_device(device)
    threads = None if threads is None else integer(threads, "threads")
    try:
        graph = serialize.graph_from_dict(description["graph"])
        model = Model.__new__(Model)
        dtype, seed, data_format = (description[key] for key in ("dtype", "seed", "data_format"))
        model._build(graph, target, dtype, seed, data_format, rewrite, threads)
        model.load_state_dict({name: a for name, a in arrays.items() if not name.startswith("optimizer.")})
        model.step, model.epochs_trained = (
            integer(description[key], key, least=0) for key in ("step", "epochs_trained")
        )
        training = description.get("training")
        if training:
            optimizer, loss, *metrics = map(
                serialize.op_from_dict, (training["optimizer"], training["loss"], *training["metrics"])
            )
            model._resume(optimizer, loss, metrics, training.get("l2", 0.0), arrays)
            model.lr, model._compiled().count = training["lr"], integer(training["count"], "count", least=0)
    except (NbconvError, KeyError, TypeError, ValueError, AttributeError) as error:
        detail = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise FileFormatError(f"{path} does not hold a net that fits its arrays: {detail}") from None
    return model


def _count(index: np.ndarray | slice) -> int:
    return index.stop - index.start if isinstance(index, slice) else len(index)


def _symbols(values, name: str) -> list[Symbol]:
    listed = list(values) if isinstance(values, (tuple, list)) else [values]
    for value in listed:
        if not isinstance(value, Symbol):
            raise GraphError(f"{name} must be what Input or a layer's call returned, got {value!r}")
    if not listed:
        raise GraphError(f"{name} is empty")
    return listed


def _choice(value, name: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise OptionError(f"{name} must be one of {choices}, got {value!r}")
    return value
