"""The ops in JAX: a function of the arrays that have gradients, jitted; backward is what ``jax.vjp`` makes of it."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from .arrays import Arrays
from .cases import Case

Calls = dict[str, Callable[[], object]]


def calls(case: Case, arrays: Arrays) -> dict[str, Calls]:
    """By direction, the calls of an op, under the name "jax"; none for an op that has no counterpart here."""
    if case.kind.name not in OPS:
        return {}
    jax.config.update("jax_enable_x64", arrays[case.op.inputs[0]].dtype == "float64")
    made = OPS[case.kind.name](case, {name: jnp.asarray(array) for name, array in arrays.items()})
    return {"jax": {direction: _waiting(made[direction]) for direction in case.kind.directions if direction in made}}


def _waiting(call: Callable) -> Callable[[], object]:
    return lambda: jax.block_until_ready(call())


def _differentiated(function: Callable, inputs: tuple, params: tuple, dy) -> Calls:
    """Forward of ``function(*inputs, *params)``, and its gradients, with what forward saves at hand."""
    operands, count = (*inputs, *params), len(inputs)
    forward = jax.jit(function)
    _, pull = jax.jit(lambda *given: jax.vjp(function, *given))(*operands)
    gradients = {
        "backward": jax.jit(lambda pull, dy: pull(dy)),
        "input_grad": jax.jit(lambda pull, dy: pull(dy)[:count]),
        "weight_grad": jax.jit(lambda pull, dy: pull(dy)[count:]),
    }
    made: Calls = {name: (lambda run=run: run(pull, dy)) for name, run in gradients.items()}
    return {"forward": lambda: forward(*operands), **made}


def conv2d(case: Case, a) -> Calls:
    op, pad = case.op, case.shape["padding"]

    def function(x, weight):
        return lax.conv_general_dilated(
            x,
            weight,
            op.stride,
            [(pad, pad)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=op.groups,
        )

    return _differentiated(function, (a["x"],), (a["weight"],), a["dy"])


def linear(case: Case, a) -> Calls:
    return _differentiated(lambda x, weight, bias: x @ weight + bias, (a["x"],), (a["weight"], a["bias"]), a["dy"])


def maxpool2d(case: Case, a) -> Calls:
    return _differentiated(lambda x: _reduce(case, x, -jnp.inf, lax.max), (a["x"],), (), a["dy"])


def avgpool2d(case: Case, a) -> Calls:
    share = 1 / (case.shape["R"] * case.shape["S"])
    return _differentiated(lambda x: _reduce(case, x, 0.0, lax.add) * share, (a["x"],), (), a["dy"])


def _reduce(case: Case, x, start, function):
    pad = (case.shape["padding"],) * 2
    sizes, steps = (1, *case.op.kernel_size, 1), (1, *case.op.stride, 1)
    return lax.reduce_window(x, start, function, sizes, steps, [(0, 0), pad, pad, (0, 0)])


def globalavgpool(case: Case, a) -> Calls:
    return _differentiated(lambda x: x.mean((1, 2)), (a["x"],), (), a["dy"])


def batchnorm(case: Case, a) -> Calls:
    op, given = case.op, (a["running_mean"], a["running_var"])

    def function(x, weight, bias):
        mean, var = (x.mean((0, 1, 2)), x.var((0, 1, 2))) if op.training else given
        return (x - mean) * (lax.rsqrt(var + op.eps) * weight) + bias

    return _differentiated(function, (a["x"],), (a["weight"], a["bias"]), a["dy"])


def relu(case: Case, a) -> Calls:
    return _differentiated(lambda x: jnp.maximum(x, 0), (a["x"],), (), a["dy"])


def add(case: Case, a) -> Calls:
    run = jax.jit(jnp.add)
    return {"forward": lambda: run(a["x"], a["other"])}


def cross_entropy(case: Case, a) -> Calls:
    def function(x):
        return -jnp.take_along_axis(jax.nn.log_softmax(x), a["labels"][:, None], 1).mean()

    return _differentiated(function, (a["x"],), (), a["dy"][0])


def sgd(case: Case, a) -> Calls:
    op = case.op

    @jax.jit
    def update(param, velocity, grad):
        velocity = [op.momentum * v + g for v, g in zip(velocity, grad, strict=True)]
        return [p - op.lr * v for p, v in zip(param, velocity, strict=True)], velocity

    return _update(case, a, update, states=1)


def adam(case: Case, a) -> Calls:
    op, (b1, b2) = case.op, case.op.betas

    @jax.jit
    def update(param, mean, square, grad):
        mean = [b1 * m + (1 - b1) * g for m, g in zip(mean, grad, strict=True)]
        square = [b2 * s + (1 - b2) * g * g for s, g in zip(square, grad, strict=True)]
        moved = [
            p - op.lr * (m / (1 - b1)) / (jnp.sqrt(s / (1 - b2)) + op.eps)
            for p, m, s in zip(param, mean, square, strict=True)
        ]
        return moved, mean, square

    return _update(case, a, update, states=2)


def _update(case: Case, a, update, states: int) -> Calls:
    """A step that hands its results to the next, in memory that may be used again."""
    donating = jax.jit(update, donate_argnums=tuple(range(states + 1)))
    param, grad = (jnp.array_split(a[name], case.shape["tensors"]) for name in ("param", "grad"))
    state = [param, *([jnp.zeros_like(p) for p in param] for _ in range(states))]

    def step():
        state[:] = donating(*state, grad)
        return state

    return {"forward": step}


OPS = {
    function.__name__: function
    for function in (
        *(conv2d, maxpool2d, avgpool2d, globalavgpool, batchnorm, relu, linear, cross_entropy),
        *(sgd, adam, add),
    )
}
