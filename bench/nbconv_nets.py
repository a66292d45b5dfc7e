"""The nets of ``nets.py`` in nbconv: ``NETS["lenet"](device="cpu")`` maps (N, 28, 28, 1) to (N, 10)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

import nbconv as nc
from nbconv.engine.graph import Graph, Source

from .nets import CLASSES, LR, MOMENTUM


def digits(**options) -> nc.Model:
    """One convolution of 8 filters, for 8x8 images."""
    return _chain((8, 8, 1), nc.Conv2d(8, 3, padding=1), nc.ReLU(), nc.MaxPool2d(2), **options)


def lenet(**options) -> nc.Model:
    """Two convolutions of 8 and 16 filters, for 28x28 images."""
    return _chain(
        (28, 28, 1),
        *(nc.Conv2d(8, 3, padding=1), nc.ReLU(), nc.MaxPool2d(2)),
        *(nc.Conv2d(16, 3, padding=1), nc.ReLU(), nc.MaxPool2d(2)),
        **options,
    )


def _chain(shape, *layers, **options) -> nc.Model:
    return nc.Sequential(*layers, nc.Flatten(), nc.Linear(CLASSES), input_shape=shape, data_format="NHWC", **options)


NETS = {
    "digits": digits,
    "lenet": lenet,
    "cifar": partial(nc.zoo.CIFARNet, num_classes=CLASSES, data_format="NHWC"),
    "resnet8": partial(nc.zoo.ResNet8, num_classes=CLASSES, data_format="NHWC"),
}


class Trained:
    """A net in training: ``step()`` makes one step, as ``fit`` does for every batch, and returns the loss.

    ``x`` is (N, C, H, W); it is converted here, once, as ``fit`` does before the first epoch. ``options`` are those of
    ``Model``.
    """

    def __init__(self, name: str, x: np.ndarray, labels: np.ndarray, state: Mapping | None = None, **options):
        self.model = NETS[name](**options)
        self.model.compile(nc.SGD(lr=LR, momentum=MOMENTUM), "cross_entropy", metrics=None)
        if state:
            self.model.load_state_dict(state)
        samples = _placed(np.ascontiguousarray(x.transpose(0, 2, 3, 1), self.model.dtype), self.model)
        self._samples, self._labels = self.model._feed.samples_and_targets(samples, _placed(labels, self.model))
        self._plan = self.model._plans.get("train", len(labels))
        self.kernels = self._plan.run_again
        """The kernels of a step alone, without what Python does round them."""
        self.flops = 3 * forward_flops(self.model.graph, len(labels))
        """The gradients of inputs and of weights cost as much as forward, each."""

    def step(self) -> float:
        (loss,) = self.model._train_step(self._plan, self._samples, self._labels, slice(None))
        return loss


class Inferring:
    """A net at inference: ``run()`` is ``model.forward`` of one batch, with weights packed and batch norm folded."""

    def __init__(self, name: str, x: np.ndarray, state: Mapping | None = None, **options):
        self.model = NETS[name](**options)
        if state:
            self.model.load_state_dict(state)
        self._x = _placed(np.ascontiguousarray(x.transpose(0, 2, 3, 1), self.model.dtype), self.model)
        self.kernels = self.model._plans.get("predict", len(x)).forward
        self.flops = forward_flops(self.model.graph, len(x))

    def run(self) -> np.ndarray:
        return np.asarray(self.model.forward(self._x, check_finite=False))


def _placed(array: np.ndarray, model: nc.Model):
    """Samples where the net is, for a GPU as PyTorch has them there."""
    return nc.Tensor(array, model.device) if model.device.name == "cuda" else array


def forward_flops(graph: Graph, batch: int) -> int:
    """Of a net as it is written, without what rewrites save."""
    shapes = graph.shapes(batch)
    nodes = [node for node in graph.nodes if not isinstance(node.op, Source)]
    return sum(node.op.flops(*(shapes[i] for i in node.inputs)) for node in nodes)
