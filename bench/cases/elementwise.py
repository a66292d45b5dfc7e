"""What works on each number by itself, or only moves it."""

from nbconv.ops.activation import ReLU
from nbconv.ops.dropout import Dropout
from nbconv.ops.merge import Add
from nbconv.ops.reshape import Flatten

from .base import Kind

IMAGES = ("N", "C", "H", "W")

RELU = Kind(
    "relu",
    lambda shape: ReLU(),
    needs=IMAGES,
    named=(
        (32, 8, 8, 8),
        (64, 8, 28, 28),
        (64, 16, 14, 14),
        (64, 32, 14, 14),
        (64, 16, 32, 32),
        (64, 32, 32, 32),
        (8, 64, 112, 112),
        (16, 20, 17, 23),
    ),
)
ADD = Kind(
    "add",
    lambda shape: Add(),
    needs=IMAGES,
    named=((64, 16, 32, 32), (64, 32, 16, 16), (64, 64, 8, 8), (8, 64, 56, 56)),
)
DROPOUT = Kind("dropout", lambda shape: Dropout(0.5), needs=IMAGES, named=((64, 64, 2, 2), (64, 64, 16, 16)))
FLATTEN = Kind("flatten", lambda shape: Flatten(), needs=IMAGES, named=((32, 8, 4, 4), (64, 16, 7, 7), (64, 128, 4, 4)))
