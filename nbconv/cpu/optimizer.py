"""Optimisers on the CPU: one update of all parameters, as flat arrays."""

from __future__ import annotations

from math import inf

import numpy as np
from numba import prange

from ..ops.base import Buffer
from .chunks import GRAIN, build, chunk_count, chunk_range
from .compile import kernel


@kernel
def l2_norm(values, piece_squares, out):
    """The L2 norm of the gradient, or of other numbers, summed in float64."""
    for chunk in prange(piece_squares.size):
        total = 0.0
        for i in chunk_range(chunk, values.size, GRAIN):
            total += np.float64(values[i]) * np.float64(values[i])
        piece_squares[chunk] = total
    total = 0.0
    for chunk in range(piece_squares.size):
        total += piece_squares[chunk]
    out[0] = np.sqrt(total)


@kernel
def _sgd(param, grad, velocity, factors, nesterov):
    number = param.dtype.type
    rate, clip, momentum, weight_decay = factors
    rate, clip, momentum, weight_decay = number(rate), number(clip), number(momentum), number(weight_decay)
    for chunk in prange(chunk_count(param.size, GRAIN)):
        for i in chunk_range(chunk, param.size, GRAIN):
            g = grad[i] * clip + weight_decay * param[i]
            v = momentum * velocity[i] + g
            velocity[i] = v
            param[i] -= rate * (g + momentum * v if nesterov else v)


@kernel
def _descend(param, grad, factors):
    """Without momentum there is no velocity to keep."""
    number = param.dtype.type
    rate, clip, weight_decay = number(factors[0]), number(factors[1]), number(factors[3])
    for chunk in prange(chunk_count(param.size, GRAIN)):
        for i in chunk_range(chunk, param.size, GRAIN):
            param[i] -= rate * (grad[i] * clip + weight_decay * param[i])


@kernel
def _adam(param, grad, exp_avg, exp_avg_sq, factors):
    """``kept`` of the parameter remains (AdamW), or ``decay`` of it joins the gradient (Adam)."""
    number = param.dtype.type
    rate, clip, kept, decay, beta1, new1, beta2, new2, correction, eps = factors
    rate, clip, kept, decay, eps = number(rate), number(clip), number(kept), number(decay), number(eps)
    beta1, new1, beta2, new2, correction = number(beta1), number(new1), number(beta2), number(new2), number(correction)
    for chunk in prange(chunk_count(param.size, GRAIN)):
        for i in chunk_range(chunk, param.size, GRAIN):
            g = grad[i] * clip + decay * param[i]
            m = beta1 * exp_avg[i] + new1 * g
            v = beta2 * exp_avg_sq[i] + new2 * g * g
            exp_avg[i], exp_avg_sq[i] = m, v
            param[i] = kept * param[i] - rate * m / (np.sqrt(v * correction) + eps)


@kernel
def _rmsprop(param, grad, square_avg, grad_avg, momentum_buffer, factors, centered, has_momentum):
    """``grad_avg`` and ``momentum_buffer`` are touched only with ``centered`` and ``has_momentum``."""
    number = param.dtype.type
    rate, clip, decay, alpha, new, eps, momentum = factors
    rate, clip, decay, alpha = number(rate), number(clip), number(decay), number(alpha)
    new, eps, momentum, zero = number(new), number(eps), number(momentum), number(0)
    for chunk in prange(chunk_count(param.size, GRAIN)):
        for i in chunk_range(chunk, param.size, GRAIN):
            g = grad[i] * clip + decay * param[i]
            variance = alpha * square_avg[i] + new * g * g
            square_avg[i] = variance
            if centered:
                mean = alpha * grad_avg[i] + new * g
                grad_avg[i] = mean
                variance -= mean * mean
                variance = zero if variance < zero else variance
            step = g / (np.sqrt(variance) + eps)
            if has_momentum:
                step += momentum * momentum_buffer[i]
                momentum_buffer[i] = step
            param[i] -= rate * step


def sgd(op, param, grad, hyper, *, out, velocity, scratch):
    norm, update, descend = build(l2_norm, grad.size), build(_sgd, 4 * param.size), build(_descend, 2 * param.size)
    options, piece_squares = (float(op.momentum), float(op.weight_decay)), scratch["piece_squares"]

    def run():
        norm(grad, piece_squares, out)
        length = float(out[0])
        if not length < inf:  # infinite or NaN
            return
        factors = float(hyper[0]), _clip(op, length), *options
        if op.momentum:
            update(param, grad, velocity, factors, op.nesterov)
        else:
            descend(param, grad, factors)

    return run


def adam(op, param, grad, hyper, *, out, exp_avg, exp_avg_sq, scratch):
    norm, update, piece_squares = build(l2_norm, grad.size), build(_adam, 8 * param.size), scratch["piece_squares"]
    (beta1, beta2), eps = (float(beta) for beta in op.betas), float(op.eps)
    weight_decay = float(op.weight_decay)

    def run():
        norm(grad, piece_squares, out)
        length = float(out[0])
        if length < inf:
            lr, step = float(hyper[0]), float(hyper[1])
            rate, correction = lr / (1 - beta1**step), 1 / (1 - beta2**step)
            kept, decay = (1 - lr * weight_decay, 0.0) if op.decoupled else (1.0, weight_decay)
            moments = beta1, 1 - beta1, beta2, 1 - beta2, correction, eps
            update(param, grad, exp_avg, exp_avg_sq, (rate, _clip(op, length), kept, decay, *moments))

    return run


def rmsprop(op, param, grad, hyper, *, out, square_avg, grad_avg, momentum_buffer, scratch):
    norm, update, piece_squares = build(l2_norm, grad.size), build(_rmsprop, 8 * param.size), scratch["piece_squares"]
    decay, alpha, eps, momentum = (float(option) for option in (op.weight_decay, op.alpha, op.eps, op.momentum))
    nothing = param[:0]
    grad_avg = grad_avg if op.centered else nothing
    momentum_buffer = momentum_buffer if op.momentum else nothing

    def run():
        norm(grad, piece_squares, out)
        length = float(out[0])
        if length < inf:
            factors = float(hyper[0]), _clip(op, length), decay, alpha, 1 - alpha, eps, momentum
            update(param, grad, square_avg, grad_avg, momentum_buffer, factors, op.centered, momentum > 0)

    return run


def scratch(op, dtype, param, grad):
    """One sum of squares per chunk of the gradient."""
    return {"piece_squares": Buffer((chunk_count.py_func(grad[0], GRAIN),), "float64")}


def _clip(op, length):
    """What the gradient is multiplied by."""
    return 1.0 if op.clip_norm is None else min(1.0, op.clip_norm / (length + 1e-6))
