"""Losses and metrics on arrays."""

from __future__ import annotations

import numpy as np

from ..data.checks import check_labels
from ..data.layout import channels_last
from ..errors import ShapeError
from ..ops.base import Op
from ..ops.loss import CrossEntropy
from ..ops.metric import Accuracy
from .call import Call, host_array


def cross_entropy(x, target, device="cpu", data_format="NCHW"):
    """Return the mean of -log softmax(x)[target] as a float: logits (N, C) and integer labels (N,)."""
    return float(_classes(CrossEntropy(), x, target, device, data_format).forward()[0])


def cross_entropy_backward(dy, x, target, device="cpu", data_format="NCHW"):
    """Return dx of ``cross_entropy``; ``dy`` is the number that the loss is multiplied by."""
    return _classes(CrossEntropy(), x, target, device, data_format).backward(np.full(1, dy, np.float64))


def accuracy(x, target, device="cpu", data_format="NCHW"):
    """Return the share of rows whose largest logit is the target's, as a float."""
    return float(_classes(Accuracy(), x, target, device, data_format).forward()[0])


def _classes(op: Op, x, target, device, data_format) -> Call:
    logits = host_array(x, "x")
    if logits.ndim not in (2, 3, 4):
        raise ShapeError(f"logits must be (N, C), sequences (N, C, L) or images (N, C, H, W), got {logits.shape}")
    last = channels_last(logits, data_format)
    labels = host_array(target, "target")
    if labels.shape != last.shape[:-1] and last.ndim > 2:
        raise ShapeError(f"target must have shape {last.shape[:-1]}, one label per pixel, got {labels.shape}")
    flat = check_labels(
        labels.reshape(-1) if last.ndim > 2 else labels, last.shape[-1], last[..., 0].size, name="target"
    )
    return Call(op, device, data_format, x=logits, labels=flat.reshape(last.shape[:-1]))
