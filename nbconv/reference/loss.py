"""Losses, plainly. Classes are the last axis; the arithmetic is in float64."""

import numpy as np


def cross_entropy(op, x, labels, *, out, probabilities, scratch):
    def run():
        logits = x.astype(np.float64)
        logits = logits - logits.max(axis=-1, keepdims=True)  # so that exp cannot overflow
        exponentials = np.exp(logits)
        total = exponentials.sum(axis=-1, keepdims=True)
        probabilities[...] = exponentials / total
        of_label = np.take_along_axis(logits, labels[..., None], axis=-1)
        out[0] = (np.log(total) - of_label).mean()

    return run


def cross_entropy_backward(op, dy, labels, out, probabilities, *, dx, scratch):
    def run():
        target = np.arange(probabilities.shape[-1]) == labels[..., None]
        factor = dy[0] / labels.size + 0 * out[0]  # NaN where the loss is not finite
        dx[...] = (probabilities - target.astype(np.float64)) * factor

    return run
