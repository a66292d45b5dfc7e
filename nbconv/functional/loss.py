"""Losses and metrics on arrays."""

from __future__ import annotations

from numbers import Real

import numpy as np

from ..data.checks import check_all_finite, check_labels, check_targets
from ..data.layout import channels_last
from ..errors import OptionError, ShapeError
from ..ops.base import Op
from ..ops.loss import MSE, BCEWithLogits, CrossEntropy, Hinge, Loss
from ..ops.metric import Accuracy, BinaryAccuracy
from .call import Call, host_array


def cross_entropy(x, target, weight=None, label_smoothing=0.0, device="cpu", data_format="NCHW"):
    """Return the mean of -log softmax(x)[target] as a float: logits (N, C) and integer labels (N,).

    ``weight`` has one number per class; see ``nbconv.CrossEntropy``.
    """
    return _cross_entropy(x, target, weight, label_smoothing, device, data_format).value()


def cross_entropy_backward(dy, x, target, weight=None, label_smoothing=0.0, device="cpu", data_format="NCHW"):
    """Return dx of ``cross_entropy``; ``dy`` is the number that the loss is multiplied by.

    ``cross_entropy_backward(1.0, x, target)``: x (8, 10) and target (8,) give dx (8, 10).
    """
    return _cross_entropy(x, target, weight, label_smoothing, device, data_format).gradient(dy)


def hinge(x, target, margin=1.0, device="cpu", data_format="NCHW"):
    """Return the mean over rows of the sum of max(0, x[j] - x[target] + margin) over all other classes j, as a float.

    Scores are (N, C), integer labels (N,). See ``nbconv.Hinge``.
    """
    return _classes(Hinge(margin), x, target, device, data_format).value()


def hinge_backward(dy, x, target, margin=1.0, device="cpu", data_format="NCHW"):
    """Return dx of ``hinge``; ``dy`` is the number that the loss is multiplied by.

    ``hinge_backward(1.0, x, target)``: x (8, 10) and target (8,) give dx (8, 10).
    """
    return _classes(Hinge(margin), x, target, device, data_format).gradient(dy)


def mse(x, target, device="cpu", data_format="NCHW"):
    """Return the mean of (x - target)^2 over all elements, as a float; both have the same shape (N, ...)."""
    return _elements(MSE(), x, target, device, data_format).value()


def mse_backward(dy, x, target, device="cpu", data_format="NCHW"):
    """Return dx of ``mse``; ``dy`` is the number that the loss is multiplied by.

    ``mse_backward(1.0, x, target)``: x and target (8, 10) give dx (8, 10).
    """
    return _elements(MSE(), x, target, device, data_format).gradient(dy)


def bce_with_logits(x, target, device="cpu", data_format="NCHW"):
    """Return the mean binary cross entropy of sigmoid(x) and targets from 0 to 1, as a float.

    Both have the same shape (N, ...). See ``nbconv.BCEWithLogits``.
    """
    return _elements(BCEWithLogits(), x, target, device, data_format).value()


def bce_with_logits_backward(dy, x, target, device="cpu", data_format="NCHW"):
    """Return dx of ``bce_with_logits``; ``dy`` is the number that the loss is multiplied by.

    ``bce_with_logits_backward(1.0, x, target)``: x and target (8, 10) give dx (8, 10).
    """
    return _elements(BCEWithLogits(), x, target, device, data_format).gradient(dy)


def accuracy(x, target, device="cpu", data_format="NCHW"):
    """Return the share of rows whose largest logit is the target's, as a float."""
    return _classes(Accuracy(), x, target, device, data_format).value()


def binary_accuracy(x, target, device="cpu", data_format="NCHW"):
    """Return the share of positive logits where the target is above 0.5, and of others where it is not, as a float."""
    return _elements(BinaryAccuracy(), x, target, device, data_format).value()


class _Scalar(Call):
    """An op whose result is one number."""

    def value(self) -> float:
        return float(np.asarray(self.forward())[0])

    def gradient(self, dy) -> np.ndarray:
        """``dy`` is a real number, which may be infinite or NaN, as a Python number, NumPy's or an array of no axes."""
        scale = dy[()] if isinstance(dy, np.ndarray) and not dy.ndim else dy
        if not isinstance(scale, Real) or isinstance(scale, (bool, np.bool_)):
            got = f"an array of shape {dy.shape}" if isinstance(dy, np.ndarray) else repr(dy)
            raise OptionError(f"dy must be the number that the loss is multiplied by, such as 1.0, got {got}")
        return self.backward(np.full(1, float(scale), np.float64))


def _cross_entropy(x, target, weight, label_smoothing, device, data_format) -> _Scalar:
    op = CrossEntropy(label_smoothing=label_smoothing, weight=weight)
    return _classes(op, x, target, device, data_format)


def _classes(op: Op, x, target, device, data_format) -> _Scalar:
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
    return _Scalar(op, device, data_format, x=logits, labels=flat.reshape(last.shape[:-1]))


def _elements(op: Op, x, target, device, data_format) -> _Scalar:
    output = host_array(x, "x")
    if not output.ndim:
        raise ShapeError("x must have a batch axis, shape (N, ...), got one number")
    least, most = op.target_range if isinstance(op, Loss) else (0, 1)
    targets = check_targets(
        host_array(target, "target"),
        output.shape[1:],
        len(output),
        least=least,
        most=most,
        name="target",
        check_finite=False,
    )
    if targets.dtype.kind == "f":
        check_all_finite(targets, "target", "repair the data")
    elif output.dtype.kind == "f":
        targets = targets.astype(output.dtype)
    return _Scalar(op, device, data_format, x=output, target=targets)
