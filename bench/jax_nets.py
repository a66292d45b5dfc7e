"""The nets of ``nets.py`` in JAX: plain functions of a list of arrays, channels last, jitted with their update."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .nets import LR, MOMENTUM

EPS, NEW = 1e-5, 0.1
"""Of batch norm: what is added to the variance, and the weight of a new value in the running statistics."""


class Reader:
    """Hands a net its arrays one after another, as it computes, and takes note of new running statistics.

    ``state`` is in the order of ``Model.state_dict``, but with the axes of ``inside``.
    """

    def __init__(self, state: list, training: bool):
        self._state, self._training, self._next = state, training, 0
        self.new = list(state)

    def take(self, count: int):
        self._next += count
        return self._state[self._next - count : self._next]

    def conv(self, x, stride: int = 1, bias: bool = False):
        weight, *shift = self.take(1 + bias)
        pad = weight.shape[0] // 2
        y = lax.conv_general_dilated(
            x, weight, (stride, stride), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return y + shift[0] if bias else y

    def norm(self, x):
        weight, bias, mean, var = self.take(4)
        if self._training:
            count = x.size // x.shape[-1]
            batch_mean, batch_var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            self.new[self._next - 2] = lax.stop_gradient((1 - NEW) * mean + NEW * batch_mean)
            self.new[self._next - 1] = lax.stop_gradient((1 - NEW) * var + NEW * batch_var * (count / (count - 1)))
            mean, var = batch_mean, batch_var
        return (x - mean) * (lax.rsqrt(var + EPS) * weight) + bias

    def linear(self, x):
        weight, bias = self.take(2)
        return x.reshape(len(x), -1) @ weight + bias


def relu(x):
    return jnp.maximum(x, 0)


def pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def digits(net: Reader, x):
    return net.linear(pool(relu(net.conv(x, bias=True))))


def lenet(net: Reader, x):
    for _ in range(2):
        x = pool(relu(net.conv(x, bias=True)))
    return net.linear(x)


def cifar(net: Reader, x):
    for _ in range(3):
        x = pool(relu(net.norm(net.conv(x))))
    return net.linear(x)


def resnet8(net: Reader, x):
    x = relu(net.norm(net.conv(x)))
    for stride in 1, 2, 2:
        y = relu(net.norm(net.conv(x, stride)))
        y = net.norm(net.conv(y))
        x = relu(y + (net.norm(net.conv(x, stride)) if stride > 1 else x))
    return net.linear(x.mean((1, 2)))


NETS = {"digits": digits, "lenet": lenet, "cifar": cifar, "resnet8": resnet8}


class Trained:
    """A net in training, with softmax cross entropy and SGD: ``step()`` makes one step and returns the loss."""

    def __init__(self, name: str, x, labels, state: Mapping[str, np.ndarray]):
        net = NETS[name]
        learned = [not key.endswith(("running_mean", "running_var")) for key in state]

        def loss(arrays, x, labels):
            reader = Reader(arrays, training=True)
            logits = jax.nn.log_softmax(net(reader, x))
            return -jnp.take_along_axis(logits, labels[:, None], 1).mean(), reader.new

        def step(arrays, velocity, x, labels):
            (value, new), gradients = jax.value_and_grad(loss, has_aux=True)(arrays, x, labels)
            velocity = [MOMENTUM * v + g for v, g in zip(velocity, gradients, strict=True)]
            moved = [a - LR * v if own else a for a, v, own in zip(new, velocity, learned, strict=True)]
            return moved, velocity, value

        self._step = jax.jit(step, donate_argnums=(0, 1))
        self._arrays = inside(state)
        self._velocity = [jnp.zeros_like(array) for array in self._arrays]
        self._x, self._labels = jnp.asarray(x.transpose(0, 2, 3, 1)), jnp.asarray(labels)

    def step(self) -> float:
        self._arrays, self._velocity, loss = self._step(self._arrays, self._velocity, self._x, self._labels)
        return float(loss)


class Inferring:
    """A net at inference: ``run()`` returns the logits of one batch."""

    def __init__(self, name: str, x, state: Mapping[str, np.ndarray]):
        self._logits = jax.jit(lambda arrays, x: NETS[name](Reader(arrays, training=False), x))
        self._arrays = inside(state)
        self._x = jnp.asarray(x.transpose(0, 2, 3, 1))

    def run(self) -> np.ndarray:
        return np.asarray(self._logits(self._arrays, self._x))


def inside(state: Mapping[str, np.ndarray]) -> list:
    """nbconv's arrays, in PyTorch's layout, as these nets read them.

    Images are flattened with their channels last here, so that the rows of the last matrix are in another order.
    """
    arrays = [_inside(array) for array in state.values()]
    *_, last_conv = (array for array in state.values() if array.ndim == 4)
    weight, channels = state[[*state][-2]], len(last_conv)
    if weight.shape[1] > channels:
        side = int((weight.shape[1] // channels) ** 0.5)
        arrays[-2] = weight.reshape(-1, channels, side, side).transpose(2, 3, 1, 0).reshape(-1, len(weight))
    return [jnp.asarray(array) for array in arrays]


def _inside(array: np.ndarray) -> np.ndarray:
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
