"""The ops as a textbook writes them: nested loops, one thread, nothing rearranged by hand. Arrays are channels last.

These are compiled by Numba, so that what is compared is the algorithm and not the interpreter. They take the arrays of
a ``Bound`` of their own and write their results there, so that a test can look at them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, sqrt

import numpy as np

from nbconv.cpu.compile import sequential

from .arrays import Bound

Calls = dict[str, Callable[[], object]]


def calls(bound: Bound) -> dict[str, Calls]:
    """By direction, the calls of an op, under the name "naive"; none for an op that has no loops here."""
    make = OPS.get(bound.case.kind.name)
    return {"naive": make(bound.case, bound.arrays, bound.gradients, bound.dy)} if make else {}


@sequential
def convolve(x, weight, stride, pad, groups, y):
    for n in range(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for k in range(y.shape[3]):
                    first = k // (y.shape[3] // groups) * weight.shape[2]
                    total = 0.0
                    for r in range(weight.shape[0]):
                        for s in range(weight.shape[1]):
                            h, w = i * stride[0] + r - pad, j * stride[1] + s - pad
                            if 0 <= h < x.shape[1] and 0 <= w < x.shape[2]:
                                for c in range(weight.shape[2]):
                                    total += x[n, h, w, first + c] * weight[r, s, c, k]
                    y[n, i, j, k] = total


@sequential
def convolve_input_grad(dy, weight, stride, pad, groups, dx):
    dx[...] = 0
    for n in range(dy.shape[0]):
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                for k in range(dy.shape[3]):
                    first = k // (dy.shape[3] // groups) * weight.shape[2]
                    for r in range(weight.shape[0]):
                        for s in range(weight.shape[1]):
                            h, w = i * stride[0] + r - pad, j * stride[1] + s - pad
                            if 0 <= h < dx.shape[1] and 0 <= w < dx.shape[2]:
                                for c in range(weight.shape[2]):
                                    dx[n, h, w, first + c] += dy[n, i, j, k] * weight[r, s, c, k]


@sequential
def convolve_weight_grad(dy, x, stride, pad, groups, dweight):
    dweight[...] = 0
    for n in range(dy.shape[0]):
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                for k in range(dy.shape[3]):
                    first = k // (dy.shape[3] // groups) * dweight.shape[2]
                    for r in range(dweight.shape[0]):
                        for s in range(dweight.shape[1]):
                            h, w = i * stride[0] + r - pad, j * stride[1] + s - pad
                            if 0 <= h < x.shape[1] and 0 <= w < x.shape[2]:
                                for c in range(dweight.shape[2]):
                                    dweight[r, s, c, k] += x[n, h, w, first + c] * dy[n, i, j, k]


@sequential
def multiply(a, b, c):
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = 0.0
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            c[i, j] = total


@sequential
def add_bias(bias, y):
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] += bias[j]


@sequential
def sum_rows(dy, total):
    total[...] = 0
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            total[j] += dy[i, j]


@sequential
def max_pool(x, size, stride, pad, y, argmax):
    for n in range(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for c in range(y.shape[3]):
                    largest, at = -np.inf, 0
                    for r in range(size[0]):
                        for s in range(size[1]):
                            h, w = i * stride[0] + r - pad, j * stride[1] + s - pad
                            if 0 <= h < x.shape[1] and 0 <= w < x.shape[2] and x[n, h, w, c] > largest:
                                largest, at = x[n, h, w, c], r * size[1] + s
                    y[n, i, j, c] = largest
                    argmax[n, i, j, c] = at


@sequential
def max_pool_backward(dy, argmax, size, stride, pad, dx):
    dx[...] = 0
    for n in range(dy.shape[0]):
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                for c in range(dy.shape[3]):
                    r, s = argmax[n, i, j, c] // size[1], argmax[n, i, j, c] % size[1]
                    dx[n, i * stride[0] + r - pad, j * stride[1] + s - pad, c] += dy[n, i, j, c]


@sequential
def avg_pool(x, size, stride, pad, y):
    for n in range(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for c in range(y.shape[3]):
                    total = 0.0
                    for r in range(size[0]):
                        for s in range(size[1]):
                            h, w = i * stride[0] + r - pad, j * stride[1] + s - pad
                            if 0 <= h < x.shape[1] and 0 <= w < x.shape[2]:
                                total += x[n, h, w, c]
                    y[n, i, j, c] = total / (size[0] * size[1])


@sequential
def avg_pool_backward(dy, size, stride, pad, dx):
    dx[...] = 0
    for n in range(dy.shape[0]):
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                for c in range(dy.shape[3]):
                    for r in range(size[0]):
                        for s in range(size[1]):
                            h, w = i * stride[0] + r - pad, j * stride[1] + s - pad
                            if 0 <= h < dx.shape[1] and 0 <= w < dx.shape[2]:
                                dx[n, h, w, c] += dy[n, i, j, c] / (size[0] * size[1])


@sequential
def batch_norm(x, weight, bias, training, eps, mean, var, y):
    for c in range(x.shape[3]):
        if training:
            count = x.size // x.shape[3]
            total = 0.0
            for n in range(x.shape[0]):
                for i in range(x.shape[1]):
                    for j in range(x.shape[2]):
                        total += x[n, i, j, c]
            mean[c] = total / count
            total = 0.0
            for n in range(x.shape[0]):
                for i in range(x.shape[1]):
                    for j in range(x.shape[2]):
                        total += (x[n, i, j, c] - mean[c]) ** 2
            var[c] = total / count
        scale = weight[c] / sqrt(var[c] + eps)
        for n in range(x.shape[0]):
            for i in range(x.shape[1]):
                for j in range(x.shape[2]):
                    y[n, i, j, c] = (x[n, i, j, c] - mean[c]) * scale + bias[c]


@sequential
def batch_norm_backward(dy, x, weight, training, eps, mean, var, dx, dweight, dbias):
    count = x.size // x.shape[3]
    for c in range(x.shape[3]):
        inv_std = 1 / sqrt(var[c] + eps)
        shift, scale = 0.0, 0.0
        for n in range(x.shape[0]):
            for i in range(x.shape[1]):
                for j in range(x.shape[2]):
                    shift += dy[n, i, j, c]
                    scale += dy[n, i, j, c] * (x[n, i, j, c] - mean[c]) * inv_std
        dbias[c], dweight[c] = shift, scale
        for n in range(x.shape[0]):
            for i in range(x.shape[1]):
                for j in range(x.shape[2]):
                    d = dy[n, i, j, c]
                    if training:
                        d -= (shift + (x[n, i, j, c] - mean[c]) * inv_std * scale) / count
                    dx[n, i, j, c] = d * weight[c] * inv_std


@sequential
def rectify(x, y):
    for i in range(x.size):
        y[i] = 0 if x[i] < 0 else x[i]


@sequential
def rectify_backward(dy, y, dx):
    for i in range(y.size):
        dx[i] = 0 if y[i] <= 0 else dy[i]


@sequential
def softmax_loss(x, labels, probabilities, out):
    loss = 0.0
    for i in range(x.shape[0]):
        largest = x[i, 0]
        for j in range(1, x.shape[1]):
            largest = max(largest, x[i, j])
        total = 0.0
        for j in range(x.shape[1]):
            probabilities[i, j] = exp(x[i, j] - largest)
            total += probabilities[i, j]
        for j in range(x.shape[1]):
            probabilities[i, j] /= total
        loss += log(total) + largest - x[i, labels[i]]
    out[0] = loss / x.shape[0]


@sequential
def softmax_loss_backward(dy, probabilities, labels, dx):
    for i in range(dx.shape[0]):
        for j in range(dx.shape[1]):
            dx[i, j] = dy[0] * (probabilities[i, j] - (1 if j == labels[i] else 0)) / dx.shape[0]


@sequential
def sgd_update(param, grad, velocity, lr, momentum):
    for i in range(param.size):
        velocity[i] = momentum * velocity[i] + grad[i]
        param[i] -= lr * velocity[i]


@sequential
def adam_update(param, grad, exp_avg, exp_avg_sq, lr, beta1, beta2, eps):
    for i in range(param.size):
        exp_avg[i] = beta1 * exp_avg[i] + (1 - beta1) * grad[i]
        exp_avg_sq[i] = beta2 * exp_avg_sq[i] + (1 - beta2) * grad[i] ** 2
        param[i] -= lr * (exp_avg[i] / (1 - beta1)) / (sqrt(exp_avg_sq[i] / (1 - beta2)) + eps)


def conv2d(case, a, g, dy) -> Calls:
    how = case.op.stride, case.shape["padding"], case.op.groups
    return {
        "forward": lambda: convolve(a["x"], a["weight"], *how, a["out"]),
        "input_grad": lambda: convolve_input_grad(dy, a["weight"], *how, g["x"]),
        "weight_grad": lambda: convolve_weight_grad(dy, a["x"], *how, g["weight"]),
    }


def linear(case, a, g, dy) -> Calls:
    def forward():
        multiply(a["x"], a["weight"], a["out"])
        add_bias(a["bias"], a["out"])

    def weight_grad():
        multiply(a["x"].T, dy, g["weight"])
        sum_rows(dy, g["bias"])

    return {"forward": forward, "input_grad": lambda: multiply(dy, a["weight"].T, g["x"]), "weight_grad": weight_grad}


def maxpool2d(case, a, g, dy) -> Calls:
    window = case.op.kernel_size, case.op.stride, case.shape["padding"]
    return {
        "forward": lambda: max_pool(a["x"], *window, a["out"], a["argmax"]),
        "backward": lambda: max_pool_backward(dy, a["argmax"], *window, g["x"]),
    }


def avgpool2d(case, a, g, dy) -> Calls:
    window = case.op.kernel_size, case.op.stride, case.shape["padding"]
    return {
        "forward": lambda: avg_pool(a["x"], *window, a["out"]),
        "backward": lambda: avg_pool_backward(dy, *window, g["x"]),
    }


def batchnorm(case, a, g, dy) -> Calls:
    op, statistics = case.op, (a["running_mean"].copy(), a["running_var"].copy())
    how = op.training, op.eps
    return {
        "forward": lambda: batch_norm(a["x"], a["weight"], a["bias"], *how, *statistics, a["out"]),
        "backward": lambda: batch_norm_backward(
            dy, a["x"], a["weight"], *how, *statistics, g["x"], g["weight"], g["bias"]
        ),
    }


def relu(case, a, g, dy) -> Calls:
    x, out, d, dx = (array.reshape(-1) for array in (a["x"], a["out"], dy, g["x"]))
    return {"forward": lambda: rectify(x, out), "backward": lambda: rectify_backward(d, out, dx)}


def cross_entropy(case, a, g, dy) -> Calls:
    return {
        "forward": lambda: softmax_loss(a["x"], a["labels"], a["probabilities"], a["out"]),
        "backward": lambda: softmax_loss_backward(dy, a["probabilities"], a["labels"], g["x"]),
    }


def sgd(case, a, g, dy) -> Calls:
    op = case.op
    return {"forward": lambda: sgd_update(a["param"], a["grad"], a["velocity"], op.lr, op.momentum)}


def adam(case, a, g, dy) -> Calls:
    op = case.op
    how = op.lr, *op.betas, op.eps
    return {"forward": lambda: adam_update(a["param"], a["grad"], a["exp_avg"], a["exp_avg_sq"], *how)}


OPS = {
    function.__name__: function
    for function in (conv2d, linear, maxpool2d, avgpool2d, batchnorm, relu, cross_entropy, sgd, adam)
}
