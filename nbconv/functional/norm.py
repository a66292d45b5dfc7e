"""Normalisation on arrays."""

from __future__ import annotations

import numpy as np

from ..data.layout import channels_last
from ..errors import DataError, OptionError
from ..ops.norm import BatchNorm
from ..ops.options import flag
from .call import Call, host_array


def batch_norm(
    x,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    device="cpu",
    data_format="NCHW",
):
    """Normalise each channel of (N, C, H, W) or (N, C); in training, the running statistics move in place.

    ``running_mean``, ``running_var``, ``weight`` and ``bias`` are (C,). In training the running statistics may be
    ``None``. See ``nbconv.BatchNorm``.
    """
    if flag(training, "training"):
        _check_writeable(running_mean, "running_mean")
        _check_writeable(running_var, "running_var")
    call = _norm(x, running_mean, running_var, weight, bias, training, momentum, eps, device, data_format)
    result = call.forward()
    if training:
        for host, name in (running_mean, "running_mean"), (running_var, "running_var"):
            if host is not None:
                host[...] = call.read(name)
    return result


def batch_norm_backward(
    dy,
    x,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    device="cpu",
    data_format="NCHW",
):
    """Return (dx, dweight, dbias) of ``batch_norm``; the running statistics stay as they are."""
    return _norm(x, running_mean, running_var, weight, bias, training, momentum, eps, device, data_format).backward(dy)


def _norm(x, running_mean, running_var, weight, bias, training, momentum, eps, device, data_format) -> Call:
    if (weight is None) != (bias is None):
        raise OptionError("weight and bias come together: pass both or neither")
    if (running_mean is None) != (running_var is None):
        raise OptionError("running_mean and running_var come together: pass both or neither")
    op = BatchNorm(eps, momentum, affine=weight is not None, training=training)
    if running_mean is None:
        if not op.training:
            raise OptionError("with training=False, running_mean and running_var are needed: pass both, of shape (C,)")
        running_mean, running_var = _first_statistics(x, data_format)
    state = {"running_mean": running_mean, "running_var": running_var}
    return Call(op, device, data_format, x=x, weight=weight, bias=bias, **state)


def _first_statistics(x, data_format: str) -> tuple[np.ndarray, np.ndarray]:
    """A running mean and variance to begin with, for whoever keeps none."""
    x = host_array(x, "x")
    channels = channels_last(x, data_format).shape[-1:]
    return np.zeros(channels, x.dtype), np.ones(channels, x.dtype)


def _check_writeable(array, name: str) -> None:
    """Raise ``DataError`` unless this is ``None`` or an array that can be updated in place."""
    if array is not None and not (isinstance(array, np.ndarray) and array.flags.writeable):
        kind = "a read-only array" if isinstance(array, np.ndarray) else type(array).__name__
        raise DataError(
            f"{name} is updated in place in training: it must be a NumPy array that can be written to, got {kind}; "
            f"pass a copy made with np.array({name}), or None"
        )
