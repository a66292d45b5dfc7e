"""Convolutions: those of well-known nets, of the nets in ``nets.py``, and sizes that divide by nothing."""

from dataclasses import fields

from nbconv.errors import OptionError
from nbconv.ops.conv import Conv2d

from .base import FORWARD_GRADIENTS, Kind

ALGORITHMS = ("auto", "direct", "winograd", "im2col")


def check_algorithm(algorithm: str) -> None:
    """Raise ``OptionError`` where this version of nbconv cannot be told the algorithm."""
    if algorithm not in ALGORITHMS:
        raise OptionError(f"--algorithm must be one of {', '.join(ALGORITHMS)}, got {algorithm!r}")
    if algorithm != "auto" and "algorithm" not in {field.name for field in fields(Conv2d)}:
        raise OptionError(f"Conv2d of this version has no option algorithm={algorithm!r}; leave out --algorithm")


def conv2d(shape, algorithm: str = "auto") -> Conv2d:
    """The layer, without bias."""
    forced = {} if algorithm == "auto" else {"algorithm": algorithm}
    window, options = (shape["R"], shape["S"]), {"groups": shape["groups"], "bias": False, **forced}
    return Conv2d(shape["K"], window, shape["stride"], shape["padding"], **options)


def label(shape) -> str:
    """``64x16x14x14 k32 3x3/1 p1``: batch, channels, height, width, filters, window, stride, padding."""
    n, c, h, w, k, r, s, stride, padding, groups = (shape[name] for name in (*CONV2D.needs, *CONV2D.may_have))
    split = "" if groups == 1 else " depthwise" if groups == c else f" groups {groups}"
    return f"{n}x{c}x{h}x{w} k{k} {r}x{s}/{stride} p{padding}{split}"


CONV2D = Kind(
    "conv2d",
    conv2d,
    needs=("N", "C", "H", "W", "K", "R", "S"),
    may_have={"stride": 1, "padding": 0, "groups": 1},
    directions=FORWARD_GRADIENTS,
    label=label,
    named=(
        (64, 1, 28, 28, 16, 3, 3, 1, 1),
        (64, 16, 14, 14, 32, 3, 3, 1, 1),
        (32, 3, 32, 32, 32, 3, 3, 1, 1),
        (32, 32, 32, 32, 32, 3, 3, 1, 1),
        (32, 64, 16, 16, 64, 3, 3, 1, 1),
        (32, 128, 8, 8, 128, 3, 3, 1, 1),
        (8, 64, 56, 56, 64, 3, 3, 1, 1),
        (8, 64, 56, 56, 128, 3, 3, 2, 1),
        (8, 256, 14, 14, 256, 1, 1, 1, 0),
        (8, 64, 56, 56, 256, 1, 1, 1, 0),
        (8, 3, 224, 224, 64, 7, 7, 2, 3),
        (2, 3, 224, 224, 64, 11, 11, 4, 2),
        (32, 32, 32, 32, 32, 5, 5, 1, 2),
        (32, 64, 32, 32, 64, 3, 3, 1, 1, 64),
        (1, 64, 56, 56, 64, 3, 3, 1, 1),
        (16, 20, 17, 23, 36, 3, 3, 1, 1),
        # digits, LeNet, CIFARNet and ResNet8, as far as they have others
        (32, 1, 8, 8, 8, 3, 3, 1, 1),
        (64, 1, 28, 28, 8, 3, 3, 1, 1),
        (64, 8, 14, 14, 16, 3, 3, 1, 1),
        (64, 32, 16, 16, 64, 3, 3, 1, 1),
        (64, 64, 8, 8, 128, 3, 3, 1, 1),
        (64, 16, 32, 32, 16, 3, 3, 1, 1),
        (64, 16, 32, 32, 32, 3, 3, 2, 1),
        (64, 16, 32, 32, 32, 1, 1, 2, 0),
    ),
)
