"""Updates: N numbers, which PyTorch has in some tensors and nbconv in one array."""

from nbconv.ops.optimizer import SGD, Adam

from .base import Kind

LR, MOMENTUM = 1e-3, 0.9
NETS = (
    (1_370, 4),  # digits
    (9_098, 6),  # LeNet
    (113_962, 11),  # CIFARNet
    (78_042, 29),  # ResNet8
    (1_000_000, 50),
    (11_200_000, 62),  # ResNet18
)


def _update(name: str, op) -> Kind:
    return Kind(
        name,
        lambda shape: op,
        needs=("N",),
        may_have={"tensors": 1},
        directions=("forward",),
        x=lambda shape: (shape["N"],),
        label=lambda shape: f"{shape['N']} in {shape['tensors']} tensors",
        named=NETS,
    )


SGD_UPDATE = _update("sgd", SGD(lr=LR, momentum=MOMENTUM))
ADAM_UPDATE = _update("adam", Adam(lr=LR))
