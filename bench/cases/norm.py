"""Batch norm, with the statistics of the batch (``"training": true``) and with the running ones."""

from nbconv.ops.norm import BatchNorm

from .base import Kind, layers_label

SIZES = (
    (64, 32, 32, 32),
    (64, 64, 16, 16),
    (64, 128, 8, 8),
    (64, 16, 32, 32),
    (64, 64, 8, 8),
    (8, 64, 112, 112),
    (256, 512, 1, 1),
    (16, 20, 17, 23),
)

BATCHNORM = Kind(
    "batchnorm",
    lambda shape: BatchNorm(training=shape["training"]),
    needs=("N", "C", "H", "W"),
    may_have={"training": True},
    label=lambda shape: f"{layers_label(shape)} {'train' if shape['training'] else 'eval'}",
    named=tuple((*sizes, training) for training in (True, False) for sizes in SIZES),
)
