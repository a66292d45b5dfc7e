"""What ``compile`` is told by name: optimisers, losses, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..engine.ending import ending
from ..engine.graph import Graph
from ..errors import OptionError
from ..ops.base import Op
from ..ops.loss import MSE, BCEWithLogits, CrossEntropy, Hinge, Loss
from ..ops.metric import Accuracy, BinaryAccuracy
from ..ops.optimizer import SGD, Adam, AdamW, Optimizer, RMSProp

OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "rmsprop": RMSProp}
LOSSES: dict[str, type[Loss]] = {
    "cross_entropy": CrossEntropy,
    "hinge": Hinge,
    "mse": MSE,
    "bce_with_logits": BCEWithLogits,
}
METRICS: dict[str, type[Op]] = {"accuracy": Accuracy, "binary_accuracy": BinaryAccuracy}
FITTING: dict[type[Loss], tuple[str, ...]] = {
    CrossEntropy: ("accuracy",),
    Hinge: ("accuracy",),
    MSE: (),
    BCEWithLogits: ("binary_accuracy",),
}
"""The metrics of each loss where the caller says "auto"."""


def optimizer_of(choice: Op | str) -> Optimizer:
    """Return an optimiser from its name or from itself; raise ``OptionError`` for any other."""
    return _make(choice, "optimizer", OPTIMIZERS)


def loss_of(choice: Op | str) -> Loss:
    """Return a loss from its name or from itself; raise ``OptionError`` for any other."""
    return _make(choice, "loss", LOSSES)


def metrics_of(choice: Sequence[Op | str] | Op | str | None, loss: Loss) -> tuple[Op, ...]:
    """Return metrics from a list or from one of them: ``metrics_of("auto", CrossEntropy()) == (Accuracy(),)``."""
    if isinstance(choice, str) and choice == "auto":
        choice = FITTING[type(loss)]
    listed = [choice] if isinstance(choice, (str, Op)) else choice or ()
    return tuple(_make(metric, "metrics", METRICS) for metric in listed)


def metric_name(metric: Op) -> str:
    """Return what a metric is called in a history: ``metric_name(Accuracy()) == "accuracy"``."""
    return next(name for name, kind in METRICS.items() if kind is type(metric))


def check_ending(graph: Graph, loss: Loss) -> None:
    """Raise ``OptionError`` where the model ends in what the loss does itself."""
    position = ending(graph)
    last = graph.nodes[position].op
    if isinstance(last, loss.includes):
        kind, name = type(last).__name__, next(name for name, of in LOSSES.items() if of is type(loss))
        raise OptionError(
            f"the model ends in {graph.describe(position)}, which {name} would apply once more; "
            f"remove the {kind}: {name} takes logits. For labels and probabilities there is classify"
        )


def _make(choice, name: str, named: Mapping[str, type]):
    """Return an op from an instance or from its name, in capitals or not: ``"RMSProp"`` is ``"rmsprop"``."""
    if isinstance(choice, str) and (found := _plain(choice, named)):
        return named[found]()
    if type(choice) in named.values():
        return choice
    hint = " (write it with parentheses)" if isinstance(choice, type) else ""
    raise OptionError(f"{name} must be one of {', '.join(map(repr, named))} or an instance, got {choice!r}{hint}")


def _plain(choice: str, named: Mapping[str, type]) -> str | None:
    """The key that a name means, or the class of which has that name."""
    wanted = choice.lower().replace("_", "")
    return next((key for key in named if key.replace("_", "") == wanted), None)
