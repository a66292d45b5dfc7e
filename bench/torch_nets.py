"""The nets of ``nets.py`` in PyTorch, in both layouts, eager and compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from shutil import which

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .nets import CLASSES, LR, MOMENTUM

LAYOUTS = {"torch NCHW": torch.contiguous_format, "torch channels_last": torch.channels_last}


def digits() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, CLASSES)
    )


def lenet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * 7 * 7, CLASSES)),
    )


def cifar() -> nn.Module:
    layers = [
        layer
        for before, after in ((3, 32), (32, 64), (64, 128))
        for layer in (*_conv_norm(before, after), nn.ReLU(), nn.MaxPool2d(2))
    ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 4 * 4, CLASSES))


class resnet8(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(*_conv_norm(3, 16), nn.ReLU())
        self.blocks = nn.Sequential(_Residual(16, 16, 1), _Residual(16, 32, 2), _Residual(32, 64, 2))
        self.head = nn.Linear(64, CLASSES)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class _Residual(nn.Module):
    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(*_conv_norm(before, after, 3, stride), nn.ReLU(), *_conv_norm(after, after))
        self.shortcut = nn.Sequential(*_conv_norm(before, after, 1, stride)) if stride > 1 else nn.Identity()

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x))


def _conv_norm(before: int, after: int, kernel: int = 3, stride: int = 1):
    return nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(after)


NETS = {"digits": digits, "lenet": lenet, "cifar": cifar, "resnet8": resnet8}


class Trained:
    """A net in training, with softmax cross entropy and SGD: ``step()`` makes one step and returns the loss."""

    def __init__(
        self, name: str, x, labels, layout, state: Mapping[str, np.ndarray] | None = None, device: str = "cpu"
    ):
        self._net = _net(name, state, layout).to(device).train()
        self._x = torch.from_numpy(x).to(device).contiguous(memory_format=layout)
        self._labels = torch.from_numpy(labels).to(device)
        self._optimizer = torch.optim.SGD(self._net.parameters(), lr=LR, momentum=MOMENTUM, fused=True)
        self._forward: Callable = self._loss

    def compile(self) -> None:
        """Compile the net and its loss by ``torch.compile``, now: that takes seconds. Nothing is learnt."""
        self._forward = torch.compile(self._loss)
        before = {name: array.clone() for name, array in self._net.state_dict().items()}
        self._forward(self._x, self._labels).backward()
        self._net.load_state_dict(before)

    def _loss(self, x, labels):
        return F.cross_entropy(self._net(x), labels)

    def step(self) -> float:
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._forward(self._x, self._labels)
        loss.backward()
        self._optimizer.step()
        return loss.item()


class Inferring:
    """A net at inference: ``run()`` returns the logits of one batch."""

    def __init__(self, name: str, x, layout, state: Mapping[str, np.ndarray] | None = None, device: str = "cpu"):
        self._net = _net(name, state, layout).to(device).eval()
        self._x = torch.from_numpy(x).to(device).contiguous(memory_format=layout)

    def compile(self) -> None:
        """Compile the net by ``torch.compile``, now."""
        self._net = torch.compile(self._net)
        self.run()

    def run(self) -> np.ndarray:
        with torch.inference_mode():
            return self._net(self._x).cpu().numpy()


def compiler() -> str | None:
    """The C++ compiler that ``torch.compile`` would use; ``None`` where there is none."""
    return which("g++") or which("clang++") or which("c++")


def _net(name: str, state: Mapping[str, np.ndarray] | None, layout) -> nn.Module:
    """A net with nbconv's weights, if given; both have their arrays in the order in which the net is computed."""
    net = NETS[name]()
    if state:
        own = [key for key in net.state_dict() if not key.endswith("num_batches_tracked")]
        arrays = {key: torch.from_numpy(value) for key, value in zip(own, state.values(), strict=True)}
        net.load_state_dict(arrays, strict=False)
    return net.to(memory_format=layout)
