"""Losses, plainly. Classes are the last axis; the arithmetic is in float64."""

import numpy as np


def cross_entropy(op, x, labels, *, out, probabilities, weight_sum, scratch):
    weight = _class_weights(op, x.shape[-1])

    def run():
        logits = x.astype(np.float64)
        logits = logits - logits.max(axis=-1, keepdims=True)  # so that exp cannot overflow
        exponentials = np.exp(logits)
        total = exponentials.sum(axis=-1, keepdims=True)
        probabilities[...] = exponentials / total
        losses = np.log(total) - logits  # of each class, were it the label
        of_label = np.take_along_axis(losses, labels[..., None], axis=-1)[..., 0]
        of_rows = (1 - op.label_smoothing) * weight[labels] * of_label
        if op.label_smoothing:
            of_rows = of_rows + op.label_smoothing * (weight * losses).mean(axis=-1)
        weight_sum[0] = weight[labels].sum()
        out[0] = of_rows.sum() / weight_sum[0]

    return run


def cross_entropy_backward(op, dy, labels, out, probabilities, weight_sum, *, dx, scratch):
    classes = dx.shape[-1]
    weight = _class_weights(op, classes)

    def run():
        is_label = (np.arange(classes) == labels[..., None]).astype(np.float64)
        wanted = (1 - op.label_smoothing) * weight * is_label + op.label_smoothing * weight / classes
        factor = dy[0] / weight_sum[0] + 0 * out[0]  # NaN where the loss is not finite
        dx[...] = (probabilities * wanted.sum(axis=-1, keepdims=True) - wanted) * factor

    return run


def _class_weights(op, classes):
    return np.ones(classes) if op.weight is None else np.array(op.weight)


def hinge(op, x, labels, *, out, scratch):
    def run():
        out[0] = np.maximum(_margins(op, x, labels), 0).sum() / labels.size

    return run


def hinge_backward(op, dy, x, labels, out, *, dx, scratch):
    def run():
        over = (_margins(op, x, labels) > 0).astype(np.float64)
        is_label = np.arange(x.shape[-1]) == labels[..., None]
        factor = dy[0] / labels.size + 0 * out[0]  # NaN where the loss is not finite
        dx[...] = np.where(is_label, -over.sum(axis=-1, keepdims=True), over) * factor

    return run


def _margins(op, x, labels):
    """By how much each class comes closer to the label's score than it may; of the label itself, 0."""
    scores = x.astype(np.float64)
    margins = scores - np.take_along_axis(scores, labels[..., None], axis=-1) + op.margin
    return np.where(np.arange(x.shape[-1]) == labels[..., None], 0, margins)


def mse(op, x, target, *, out, scratch):
    def run():
        out[0] = np.mean((x.astype(np.float64) - target) ** 2)

    return run


def mse_backward(op, dy, x, target, out, *, dx, scratch):
    def run():
        factor = dy[0] / x.size + 0 * out[0]  # NaN where the loss is not finite
        dx[...] = 2 * (x.astype(np.float64) - target) * factor

    return run


def bce_with_logits(op, x, target, *, out, probabilities, scratch):
    def run():
        logits = x.astype(np.float64)
        power = np.exp(-np.abs(logits))
        probabilities[...] = np.where(logits < 0, power, 1) / (1 + power)
        linear = np.where(logits > 0, logits * (1.0 - target), -logits * target)  # max(x, 0) - x * target
        out[0] = np.mean(linear + np.log1p(power))

    return run


def bce_with_logits_backward(op, dy, target, out, probabilities, *, dx, scratch):
    def run():
        factor = dy[0] / target.size + 0 * out[0]  # NaN where the loss is not finite
        dx[...] = (probabilities.astype(np.float64) - target) * factor

    return run
