"""What is measured kernel by kernel: the ops, by the names they have in a shapes file."""

from .base import Case, Kind
from .conv import CONV2D
from .elementwise import ADD, DROPOUT, FLATTEN, RELU
from .linear import CROSS_ENTROPY, LINEAR
from .norm import BATCHNORM
from .optimizer import ADAM_UPDATE, SGD_UPDATE
from .pool import AVGPOOL2D, GLOBALAVGPOOL, MAXPOOL2D

__all__ = ["KINDS", "Case", "Kind"]

KINDS = {
    kind.name: kind
    for kind in (
        *(CONV2D, MAXPOOL2D, AVGPOOL2D, BATCHNORM, RELU, LINEAR, CROSS_ENTROPY, SGD_UPDATE, ADAM_UPDATE),
        *(ADD, GLOBALAVGPOOL, DROPOUT, FLATTEN),
    )
}
