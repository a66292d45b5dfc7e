"""The fully connected layer and the loss behind it."""

from nbconv.ops.linear import Linear
from nbconv.ops.loss import CrossEntropy

from .base import FORWARD_GRADIENTS, Kind


def rows(shape) -> tuple[int, int]:
    return shape["N"], shape["C"]


LINEAR = Kind(
    "linear",
    lambda shape: Linear(shape["K"]),
    needs=("N", "C", "K"),
    directions=FORWARD_GRADIENTS,
    x=rows,
    label=lambda shape: f"{shape['N']}x{shape['C']} to {shape['K']}",
    named=(
        (32, 128, 10),
        (64, 784, 10),
        (64, 2048, 10),
        (64, 64, 10),
        (64, 1024, 256),
        (256, 1024, 1024),
        (1, 2048, 1000),
        (37, 123, 77),
    ),
)
CROSS_ENTROPY = Kind(
    "cross_entropy",
    lambda shape: CrossEntropy(),
    needs=("N", "C"),
    x=rows,
    label=lambda shape: f"{shape['N']}x{shape['C']}",
    named=((32, 10), (64, 10), (256, 100), (64, 1000), (4096, 10), (512, 1000), (37, 123)),
)
