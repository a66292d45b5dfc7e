"""The course's update rules: each takes weights, their gradient and a config, and returns both anew.

    next_w, config = sgd_momentum(w, dw, config)

The config holds options and state, and is changed in place; what it lacks gets its default. w and dw have one
shape, any. A gradient that is not finite makes the weights NaN, so that a run that diverged shows it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...errors import OptionError, ShapeError
from ...ops.optimizer import SGD, Adam, Optimizer, RMSProp
from ...ops.options import number
from .arrays import dense, floats, needs_shape, parameters
from .kernels import forward

DEFAULTS: dict[str, dict] = {
    "sgd": {"learning_rate": 1e-2},
    "sgd_momentum": {"learning_rate": 1e-2, "momentum": 0.9},
    "rmsprop": {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8},
    "adam": {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "t": 0},
}
"""The options of each rule; ``t`` of Adam is its count of steps."""
STATE = {"sgd": (), "sgd_momentum": ("velocity",), "rmsprop": ("cache",), "adam": ("m", "v")}
"""The arrays that each rule keeps in its config besides."""

gradient_descent, adaptive_moments, mean_square = lru_cache(SGD), lru_cache(Adam), lru_cache(RMSProp)


def sgd(w, dw, config=None, *, device="cpu"):
    """Step against the gradient: w - learning_rate * dw; ``config`` has ``learning_rate`` (1e-2)."""
    config = _config("sgd", config)
    (next_w,) = _update(gradient_descent(0.0), w, dw, _rate(config), 1, device)
    return next_w, config


def sgd_momentum(w, dw, config=None, *, device="cpu"):
    """Step with momentum: v = momentum * v - learning_rate * dw, then w + v.

    ``config`` has ``learning_rate`` (1e-2), ``momentum`` (0.9) and ``velocity`` (zeros), of the shape of w.
    """
    config = _config("sgd_momentum", config)
    w, dw = floats(w=w, dw=dw)
    op = gradient_descent(0.0, number(config["momentum"], "momentum", least=0))
    step = _rate(config) * dw  # the course's velocity has the rate in it, the kernel's has not
    next_w, velocity = _update(op, w, step, 1.0, 1, device, velocity=-_state(config, "velocity", w))
    config["velocity"] = -velocity if op.momentum else -step
    return next_w, config


def rmsprop(w, dw, config=None, *, device="cpu"):
    """Divide by a running root mean square (Hinton, 2012): w - learning_rate * dw / (sqrt(cache) + epsilon).

    ``config`` has ``learning_rate`` (1e-2), ``decay_rate`` (0.99), ``epsilon`` (1e-8) and ``cache`` (zeros), of the
    shape of w, which becomes decay_rate * cache + (1 - decay_rate) * dw^2 first.
    """
    config = _config("rmsprop", config)
    (w,) = floats(w=w)
    op = mean_square(1e-2, config["decay_rate"], config["epsilon"])
    state = {"square_avg": _state(config, "cache", w)}
    next_w, config["cache"] = _update(op, w, dw, _rate(config), 1, device, **state)
    return next_w, config


def adam(w, dw, config=None, *, device="cpu"):
    """Adam (Kingma & Ba, 2015), with the bias correction.

    ``config`` has ``learning_rate`` (1e-3), ``beta1`` (0.9), ``beta2`` (0.999), ``epsilon`` (1e-8), ``m`` and ``v``
    (zeros, of the shape of w) and ``t`` (0), which counts the steps and is 1 at the first.
    """
    config = _config("adam", config)
    (w,) = floats(w=w)
    config["t"] += 1
    op = adaptive_moments(1e-3, (config["beta1"], config["beta2"]), config["epsilon"])
    moments = {"exp_avg": _state(config, "m", w), "exp_avg_sq": _state(config, "v", w)}
    next_w, config["m"], config["v"] = _update(op, w, dw, _rate(config), config["t"], device, **moments)
    return next_w, config


def check_config(rule: str, config) -> dict:
    """Return a config in which the rule knows all entries (``None`` is an empty one), or raise."""
    config = {} if config is None else parameters(config, "config")
    known = (*DEFAULTS[rule], *STATE[rule])
    unknown = [name for name in config if name not in known]
    if unknown:
        raise OptionError(f"{rule} has no option {unknown[0]!r}; a config has {', '.join(known)}")
    return config


def _config(rule: str, config) -> dict:
    """Return the config that was given, with defaults for what it lacks."""
    config = check_config(rule, config)
    for name, value in DEFAULTS[rule].items():
        config.setdefault(name, value)
    return config


def _rate(config) -> float:
    return number(config["learning_rate"], "learning_rate", least=0)


def _state(config, name, w) -> np.ndarray:
    """An array that goes from step to step: the entry, or zeros."""
    values = config.get(name)
    if values is None:
        return np.zeros_like(w)
    (values,) = floats(**{name: values})
    needs_shape(values, name, w.shape, "the shape of w")
    return values.astype(w.dtype)


def _update(op: Optimizer, w, dw, rate, step, device, **state) -> list[np.ndarray]:
    """Return the weights after a step, and the state that was given, all new arrays."""
    w, dw = floats(w=w, dw=dw)
    if w.shape != dw.shape:
        raise ShapeError(f"dw must have the shape of w, {w.shape}, got {dw.shape}")
    moved = [w.copy(), *(values.astype(w.dtype) for values in state.values())]
    lines = [dense(values).reshape(-1) for values in moved]
    hyper = np.array([rate, step], np.float64)
    given = dict(zip(state, lines[1:], strict=True))
    found = forward(op, device, param=lines[0], grad=dense(dw).reshape(-1), hyper=hyper, **given)
    if not np.isfinite(found["out"][0]):  # then the kernel has updated nothing
        for line in lines:
            line[...] = np.nan
    return [line.reshape(w.shape) for line in lines]


RULES = {rule.__name__: rule for rule in (sgd, sgd_momentum, rmsprop, adam)}
"""By the names that ``Solver`` knows them by."""
