"""Pools: halving images, as small nets do, and windows that overlap."""

from nbconv.ops.pool import AvgPool2d, GlobalAvgPool2d, MaxPool2d

from .base import Kind, layers_label


def label(shape) -> str:
    """``64x8x28x28 2x2/2 p0``: batch, channels, height, width, window, stride, padding."""
    return f"{layers_label(shape)} {shape['R']}x{shape['S']}/{stride(shape)} p{shape['padding']}"


def stride(shape) -> int | tuple[int, int]:
    """The step between windows: 0 stands for the window's own size."""
    return shape["stride"] or (shape["R"] if shape["R"] == shape["S"] else (shape["R"], shape["S"]))


def pool(layer):
    return lambda shape: layer((shape["R"], shape["S"]), stride(shape), shape["padding"])


WINDOW = ("N", "C", "H", "W", "R", "S")
STEP = {"stride": 0, "padding": 0}

MAXPOOL2D = Kind(
    "maxpool2d",
    pool(MaxPool2d),
    needs=WINDOW,
    may_have=STEP,
    label=label,
    named=(
        (32, 8, 8, 8, 2, 2),
        (64, 8, 28, 28, 2, 2),
        (64, 16, 14, 14, 2, 2),
        (64, 32, 32, 32, 2, 2),
        (64, 64, 16, 16, 2, 2),
        (64, 128, 8, 8, 2, 2),
        (8, 64, 112, 112, 3, 3, 2, 1),
        (8, 192, 28, 28, 3, 3, 1, 1),
        (16, 20, 17, 23, 3, 3, 2, 1),
    ),
)
AVGPOOL2D = Kind(
    "avgpool2d",
    pool(AvgPool2d),
    needs=WINDOW,
    may_have=STEP,
    label=label,
    named=(
        (64, 6, 28, 28, 2, 2),
        (64, 16, 10, 10, 2, 2),
        (64, 32, 32, 32, 2, 2),
        (64, 64, 16, 16, 2, 2),
        (8, 64, 56, 56, 2, 2),
        (8, 192, 28, 28, 3, 3, 1, 1),
        (16, 20, 17, 23, 3, 3, 2, 1),
    ),
)
GLOBALAVGPOOL = Kind(
    "globalavgpool",
    lambda shape: GlobalAvgPool2d(),
    needs=("N", "C", "H", "W"),
    named=((64, 64, 8, 8), (8, 512, 7, 7), (16, 20, 17, 23)),
)
