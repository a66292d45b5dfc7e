"""Optimisers, plainly: one update of all parameters, as flat arrays. The arithmetic is in float64."""

import numpy as np


def sgd(op, param, grad, hyper, *, out, velocity, scratch):
    def run():
        lr, _ = hyper
        p, g = param.astype(np.float64), _clipped(op, grad, out)
        if not np.isfinite(out[0]):
            return
        g = g + op.weight_decay * p
        v = op.momentum * velocity + g
        velocity[...] = v if op.momentum else 0  # nobody would read it
        param[...] = p - lr * (g + op.momentum * v if op.nesterov else v)

    return run


def adam(op, param, grad, hyper, *, out, exp_avg, exp_avg_sq, scratch):
    beta1, beta2 = op.betas

    def run():
        lr, step = hyper
        p, g = param.astype(np.float64), _clipped(op, grad, out)
        if not np.isfinite(out[0]):
            return
        if op.decoupled:
            p = p - lr * op.weight_decay * p
        else:
            g = g + op.weight_decay * p
        m = beta1 * exp_avg.astype(np.float64) + (1 - beta1) * g
        v = beta2 * exp_avg_sq.astype(np.float64) + (1 - beta2) * g**2
        exp_avg[...], exp_avg_sq[...] = m, v
        param[...] = p - lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + op.eps)

    return run


def rmsprop(op, param, grad, hyper, *, out, square_avg, grad_avg, momentum_buffer, scratch):
    alpha = op.alpha

    def run():
        lr, _ = hyper
        p, g = param.astype(np.float64), _clipped(op, grad, out)
        if not np.isfinite(out[0]):
            return
        g = g + op.weight_decay * p
        square_avg[...] = variance = alpha * square_avg.astype(np.float64) + (1 - alpha) * g**2
        if op.centered:
            grad_avg[...] = mean = alpha * grad_avg.astype(np.float64) + (1 - alpha) * g
            variance = np.maximum(variance - mean**2, 0)
        step = g / (np.sqrt(variance) + op.eps)
        if op.momentum:
            momentum_buffer[...] = step = op.momentum * momentum_buffer.astype(np.float64) + step
        param[...] = p - lr * step

    return run


def _clipped(op, grad, out):
    """The gradient, scaled down to ``clip_norm`` if it is longer; its length before that goes to ``out``."""
    g = grad.astype(np.float64)
    out[0] = norm = np.sqrt(np.sum(g**2))
    return g if op.clip_norm is None else g * min(1, op.clip_norm / (norm + 1e-6))
