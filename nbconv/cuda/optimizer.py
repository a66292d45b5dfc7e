"""Optimisers: one update of all parameters, as flat arrays.

The gradient's norm comes first, from sums of squares of pieces; then what is the same for all parameters is computed
once, in float64 (``_settle``), and one kernel clips and updates. Where the norm is not finite, nothing is updated.
"""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
from numba import cuda

from ..ops.base import Buffer
from .kernel import THREADS, kernel
from .reduce import PIECE, block_sum, piece_count, sum_of

CLIP, RATE, CORRECTION, KEPT = range(4)
"""Where ``factors`` has what the gradient is multiplied by, the size of the step, Adam's correction of second moments,
and what remains of a parameter before the step."""


@kernel
def _squares(values, piece_squares):
    """The sum of squares of each piece, in float64."""
    partial = cuda.shared.array(THREADS, np.float64)
    start = cuda.blockIdx.x * PIECE
    total = np.float64(0)
    for i in range(start + cuda.threadIdx.x, min(values.size, start + PIECE), THREADS):
        value = np.float64(values[i])
        total += value * value
    total = block_sum(partial, total)
    if cuda.threadIdx.x == 0:
        piece_squares[cuda.blockIdx.x] = total


@kernel
def _settle(piece_squares, hyper, clip_norm, beta1, beta2, decoupled_decay, factors, out):
    """The gradient's L2 norm, and ``factors``. Without moments to correct, both betas are zero."""
    partial = cuda.shared.array(THREADS, np.float64)
    total = sum_of(piece_squares, partial)
    if cuda.threadIdx.x == 0:
        lr, step = hyper[0], hyper[1]
        norm = sqrt(total)
        factors[CLIP] = min(1.0, clip_norm / (norm + 1e-6))
        factors[RATE] = lr / (1 - beta1**step)
        factors[CORRECTION] = 1 / (1 - beta2**step)
        factors[KEPT] = 1 - lr * decoupled_decay
        out[0] = norm


@kernel
def _sgd(param, grad, velocity, momentum, weight_decay, nesterov, norm, factors):
    i = cuda.grid(1)
    if i < param.size and norm[0] < inf:
        clip, rate = param.dtype.type(factors[CLIP]), param.dtype.type(factors[RATE])
        g = grad[i] * clip + weight_decay * param[i]
        if velocity is not None:  # without momentum there is none to keep
            v = momentum * velocity[i] + g
            velocity[i] = v
            g = g + momentum * v if nesterov else v
        param[i] -= rate * g


@kernel
def _adam(param, grad, exp_avg, exp_avg_sq, beta1, new1, beta2, new2, eps, weight_decay, norm, factors):
    i = cuda.grid(1)
    if i < param.size and norm[0] < inf:
        number = param.dtype.type
        clip, rate = number(factors[CLIP]), number(factors[RATE])
        correction, kept = number(factors[CORRECTION]), number(factors[KEPT])
        g = grad[i] * clip + weight_decay * param[i]
        m = beta1 * exp_avg[i] + new1 * g
        v = beta2 * exp_avg_sq[i] + new2 * g * g
        exp_avg[i] = m
        exp_avg_sq[i] = v
        param[i] = kept * param[i] - rate * m / (number(sqrt(v * correction)) + eps)


@kernel
def _rmsprop(param, grad, square_avg, grad_avg, buffer, alpha, new, eps, momentum, weight_decay, norm, factors):
    i = cuda.grid(1)
    if i < param.size and norm[0] < inf:
        number = param.dtype.type
        clip, rate = number(factors[CLIP]), number(factors[RATE])
        g = grad[i] * clip + weight_decay * param[i]
        variance = alpha * square_avg[i] + new * g * g
        square_avg[i] = variance
        if grad_avg is not None:
            mean = alpha * grad_avg[i] + new * g
            grad_avg[i] = mean
            variance -= mean * mean
            variance = number(0) if variance < 0 else variance  # this way round, NaN stays
        step = g / (number(sqrt(variance)) + eps)
        if buffer is not None:
            step += momentum * buffer[i]
            buffer[i] = step
        param[i] -= rate * step


def sgd(op, param, grad, hyper, *, out, velocity, scratch):
    momentum, weight_decay = _numbers(param, op.momentum, op.weight_decay)
    options = velocity if op.momentum else None, momentum, weight_decay, op.nesterov
    update = _sgd.over(param.size)(param, grad, *options, out, scratch["factors"])
    return [*_measured(op, grad, hyper, out, scratch), update]


def adam(op, param, grad, hyper, *, out, exp_avg, exp_avg_sq, scratch):
    (beta1, beta2), decoupled_decay = op.betas, op.weight_decay if op.decoupled else 0
    options = _numbers(param, beta1, 1 - beta1, beta2, 1 - beta2, op.eps, op.weight_decay - decoupled_decay)
    update = _adam.over(param.size)(param, grad, exp_avg, exp_avg_sq, *options, out, scratch["factors"])
    return [*_measured(op, grad, hyper, out, scratch, beta1, beta2, decoupled_decay), update]


def rmsprop(op, param, grad, hyper, *, out, square_avg, grad_avg, momentum_buffer, scratch):
    state = square_avg, grad_avg if op.centered else None, momentum_buffer if op.momentum else None
    options = _numbers(param, op.alpha, 1 - op.alpha, op.eps, op.momentum, op.weight_decay)
    update = _rmsprop.over(param.size)(param, grad, *state, *options, out, scratch["factors"])
    return [*_measured(op, grad, hyper, out, scratch), update]


def square_scratch(op, dtype, param, grad):
    """One sum of squares per piece."""
    return {"piece_squares": Buffer((piece_count(param[0]),), "float64")}


def scratch(op, dtype, param, grad):
    """What leads to the gradient's norm, and what follows from it."""
    return {**square_scratch(op, dtype, param, grad), "factors": Buffer((4,), "float64")}


def squares(values, piece_squares):
    """Bind the sums of squares of all pieces."""
    return _squares[piece_squares.size, THREADS](values, piece_squares)


def _measured(op, grad, hyper, out, scratch, beta1=0, beta2=0, decoupled_decay=0):
    """What all optimisers begin with."""
    piece_squares, factors = scratch["piece_squares"], scratch["factors"]
    clip_norm = inf if op.clip_norm is None else op.clip_norm
    options = (float(option) for option in (clip_norm, beta1, beta2, decoupled_decay))
    return [squares(grad, piece_squares), _settle[1, THREADS](piece_squares, hyper, *options, factors, out)]


def _numbers(param, *options):
    """Options in the dtype of the parameters, in which they are used."""
    return [param.dtype.type(option) for option in options]
