"""Initial weights by name. All draw in float64, so that float32 and float64 nets of one seed start alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from numbers import Real

import numpy as np

from ..errors import OptionError
from ..ops.base import Op, Shape

Fans = tuple[int, int]


def initialize(init: str | float, shape: Shape, fans: Fans, rng: np.random.Generator) -> np.ndarray:
    """Return initial weights in float64.

    ``initialize("kaiming_normal", (3, 3, 16, 32), (144, 288), rng)`` gives (3, 3, 16, 32).

    ``init`` is a name of ``INITIALIZERS``, or the standard deviation of a normal distribution. ``fans`` are the inputs
    that feed one output and the outputs that one input feeds. Raises ``OptionError`` for another name or a negative or
    infinite number.
    """
    if isinstance(init, Real) and not isinstance(init, bool):
        std = float(init)
        if not 0 <= std < float("inf"):
            raise OptionError(f"init as a number is a standard deviation, zero or more, got {init!r}")
        return std * rng.standard_normal(shape)
    if not isinstance(init, str) or init not in INITIALIZERS:
        raise OptionError(f"init must be one of {', '.join(INITIALIZERS)}, or a standard deviation, got {init!r}")
    return INITIALIZERS[init](shape, fans, rng)


def initial_values(op: Op, inputs: Sequence[Shape], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the first value of every parameter and state array of an op on inputs of these shapes, in float64."""
    values: dict[str, np.ndarray] = {}
    for name, shape in {**op.param_shapes(*inputs), **op.state_shapes(*inputs)}.items():
        init = getattr(op, "init", None)
        if name == "weight" and init is not None:
            values[name] = initialize(init, shape, op.fans(*inputs), rng)
        else:
            values[name] = np.full(shape, float(name in op.starts_at_one))
    return values


def kaiming_normal(shape: Shape, fans: Fans, rng: np.random.Generator) -> np.ndarray:
    """Variance 2 / fan_in, for weights before a ReLU (He et al., "Delving deep into rectifiers", 2015)."""
    return sqrt(2 / fans[0]) * rng.standard_normal(shape)


def kaiming_uniform(shape: Shape, fans: Fans, rng: np.random.Generator) -> np.ndarray:
    """Variance 2 / fan_in as ``kaiming_normal``, uniformly distributed."""
    return _uniform(sqrt(6 / fans[0]), shape, rng)


def xavier_normal(shape: Shape, fans: Fans, rng: np.random.Generator) -> np.ndarray:
    """Variance 2 / (fan_in + fan_out), for weights before tanh (Glorot & Bengio, "Difficulty of training", 2010)."""
    return sqrt(2 / sum(fans)) * rng.standard_normal(shape)


def xavier_uniform(shape: Shape, fans: Fans, rng: np.random.Generator) -> np.ndarray:
    """Variance 2 / (fan_in + fan_out) as ``xavier_normal``, uniformly distributed."""
    return _uniform(sqrt(6 / sum(fans)), shape, rng)


def lecun_normal(shape: Shape, fans: Fans, rng: np.random.Generator) -> np.ndarray:
    """Variance 1 / fan_in, for linear outputs and SELU (LeCun et al., "Efficient backprop", 1998)."""
    return sqrt(1 / fans[0]) * rng.standard_normal(shape)


def zeros(shape: Shape, fans: Fans, rng: np.random.Generator) -> np.ndarray:
    """Nothing but zeros: for the last layer of a residual branch."""
    return np.zeros(shape)


def _uniform(bound: float, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-bound, bound, shape)


INITIALIZERS: dict[str, Callable[[Shape, Fans, np.random.Generator], np.ndarray]] = {
    "kaiming_normal": kaiming_normal,
    "kaiming_uniform": kaiming_uniform,
    "xavier_normal": xavier_normal,
    "xavier_uniform": xavier_uniform,
    "lecun_normal": lecun_normal,
    "zeros": zeros,
}
