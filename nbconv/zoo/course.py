"""The nets of the courses' assignments: CS231n's and EECS 498's."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

from ..errors import OptionError
from ..model import Sequential
from ..ops.activation import ReLU
from ..ops.base import Layer
from ..ops.conv import Conv2d
from ..ops.linear import Linear
from ..ops.norm import BatchNorm
from ..ops.options import flag, integer, number
from ..ops.pool import MaxPool2d
from ..ops.reshape import Flatten
from .build import sequential


def ThreeLayerConvNet(
    num_filters: int = 32,
    filter_size: int = 7,
    hidden_dim: int = 100,
    weight_scale: float = 1e-3,
    input_shape: Sequence[int] | None = None,
    num_classes: int = 10,
    **options,
) -> Sequential:
    """Return CS231n's net of three layers: conv - relu - 2x2 max pool - linear - relu - linear.

    ``model = nc.zoo.ThreeLayerConvNet(device="cpu", seed=0)`` maps (N, 3, 32, 32) to (N, 10) logits, with 825,046
    parameters.

    Parameters
    ----------
    num_filters, filter_size : int
        Of the convolution, which keeps the size of the image.
    hidden_dim : int
        Outputs of the first linear layer.
    weight_scale : float
        Standard deviation of the initial weights, all drawn from a normal distribution; biases are 0.
    input_shape : (C, H, W), optional
        Of one image, in the model's ``data_format``; (3, 32, 32) by default.
    num_classes : int
        Number of logits. The softmax is in the loss.
    options
        Those of ``Model``: ``device``, ``seed``, ``dtype``, ...

    Raises
    ------
    OptionError, ShapeError
        If an option is out of range, or the image smaller than 2x2.

    Notes
    -----
    The ``ThreeLayerConvNet`` of CS231n's second assignment (Stanford). Its L2 term belongs to ``compile``.
    """
    scale = number(weight_scale, "weight_scale", least=0)
    layers = (
        Conv2d(integer(num_filters, "num_filters"), filter_size, padding="same", init=scale),
        *(ReLU(), MaxPool2d(2), Flatten()),
        *(Linear(integer(hidden_dim, "hidden_dim"), init=scale), ReLU()),
        Linear(integer(num_classes, "num_classes"), init=scale),
    )
    return sequential("ThreeLayerConvNet", layers, input_shape, usual=(3, 32, 32), least=2, **options)


def DeepConvNet(
    num_filters: Sequence[int] = (8, 8, 8, 8, 8),
    max_pools: Sequence[int] = (0, 1, 2, 3, 4),
    batchnorm: bool = False,
    weight_scale: float | str = 1e-3,
    input_shape: Sequence[int] | None = None,
    num_classes: int = 10,
    **options,
) -> Sequential:
    """Return EECS 498's net of any depth: conv - (batch norm) - relu - (2x2 max pool), repeated, then linear.

    ``nc.zoo.DeepConvNet((32, 64), max_pools=(0, 1), batchnorm=True, weight_scale="kaiming")`` maps (N, 3, 32, 32) to
    (N, 10) logits.

    Parameters
    ----------
    num_filters : sequence of int
        Filters of each convolution; all are 3x3 and keep the size.
    max_pools : sequence of int
        The convolutions, counted from 0, that a pool follows.
    batchnorm : bool
        Whether batch norm stands between each convolution and its ReLU.
    weight_scale : float or "kaiming"
        Standard deviation of the initial weights; or Kaiming's rule: variance 2 / fan-in before a ReLU, 1 / fan-in for
        the linear layer, which has none.
    input_shape, num_classes, options
        As for ``ThreeLayerConvNet``.

    Raises
    ------
    OptionError, ShapeError
        If an option is out of range, or the image too small for that many pools.

    Notes
    -----
    The ``DeepConvNet`` of the assignments of EECS 498-007 (Michigan).
    """
    filters = _integers(num_filters, "num_filters", least=1)
    pools = set(_integers(max_pools, "max_pools", least=0))
    if not filters or not pools <= set(range(len(filters))):
        raise OptionError(
            f"max_pools {tuple(max_pools)} must name convolutions of num_filters {filters}, counted from 0; "
            f"for a pool after each of two, write DeepConvNet((8, 16), max_pools=(0, 1))"
        )
    init, last = _scales(weight_scale)
    norm = (BatchNorm(),) if flag(batchnorm, "batchnorm") else ()
    layers: list[Layer] = []
    for i, count in enumerate(filters):
        layers += Conv2d(count, 3, padding=1, init=init), *norm, ReLU()
        layers += [MaxPool2d(2)] if i in pools else []
    layers += Flatten(), Linear(integer(num_classes, "num_classes"), init=last)
    return sequential("DeepConvNet", layers, input_shape, usual=(3, 32, 32), least=2 ** len(pools), **options)


def _scales(weight_scale: float | str) -> tuple[float | str, float | str]:
    """The initial weights of the convolutions and of the linear layer."""
    if weight_scale == "kaiming":
        return "kaiming_normal", "lecun_normal"
    if not isinstance(weight_scale, Real):
        raise OptionError(f'weight_scale must be a standard deviation or "kaiming", got {weight_scale!r}')
    scale = number(weight_scale, "weight_scale", least=0)
    return scale, scale


def _integers(values, name: str, *, least: int) -> tuple[int, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise OptionError(f"{name} must be a sequence of integers, such as (8, 16), got {values!r}")
    return tuple(integer(value, f"each of {name}", least=least) for value in values)
