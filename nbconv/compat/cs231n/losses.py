"""The course's two losses: scores (N, C) and labels (N,) give the loss and its gradient."""

from __future__ import annotations

import numpy as np

from ...ops.loss import CrossEntropy, Hinge
from .arrays import scores_and_labels
from .kernels import backward, forward

CROSS_ENTROPY, HINGE = CrossEntropy(), Hinge()


def softmax_loss(x, y, *, device="cpu"):
    """Return the mean of -log softmax(x)[y], and its gradient: x (N, C), y (N,) give a float and dx (N, C)."""
    return _loss_and_gradient(CROSS_ENTROPY, x, y, device)


def svm_loss(x, y, *, device="cpu"):
    """Return the mean over rows of the margins, sum of max(0, x[j] - x[y] + 1) over j other than y, and its gradient.

    x (N, C), y (N,) give a float and dx (N, C).
    """
    return _loss_and_gradient(HINGE, x, y, device)


def _loss_and_gradient(op, x, y, device):
    x, labels = scores_and_labels(x, y)
    found = forward(op, device, x=x, labels=labels)
    return float(found["out"][0]), backward(op, device, np.ones(1), ("x",), **found)["x"]
