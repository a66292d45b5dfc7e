"""Samples that lie on a device already: they never come to the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..ops.base import Op, Shape
from ..ops.reshape import Flatten
from ..ops.stage import Gather, OutOfRange
from .bind import bind_forward
from .registry import Device, scratch_shapes


class Resident:
    """An array of a device as its owner has it: in any real dtype, images (N, C, H, W) if ``channels_first``.

    ``Resident(array, device, channels_first=True).take(target, index)`` fills a plan's source. The memory is the
    owner's: what he changes is changed here.
    """

    def __init__(self, array: Any, device: Device, *, channels_first: bool):
        self.array, self.device = array, device
        self.channels_first = channels_first and array.ndim in (3, 4)
        self._calls: dict[int, tuple] = {}

    @property
    def shape(self) -> Shape:
        """In the owner's order of axes."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype:
        """The owner's."""
        return np.dtype(self.array.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def out_of_range(self, least: float, most: float) -> tuple[int, tuple[int, ...]]:
        """Return how many elements are not from ``least`` to ``most``, NaN among them, and where the first is."""
        flat = self.array.reshape(-1)
        found = self.device.memory.put(np.zeros(2, np.int64))
        _bound(OutOfRange(least, most), self.device, {"x": flat, "out": found}, flat.shape)()
        count, first = self.device.memory.get(found).tolist()
        return count, tuple(map(int, np.unravel_index(max(first, 0), self.shape)))

    def take(self, target: Any, index: np.ndarray | slice) -> None:
        """Copy the samples of a batch into an array of the device, channels last, in that array's dtype."""
        memory = self.device.memory
        if id(target) not in self._calls:
            rows = memory.put(np.zeros(len(target), np.int64))
            arrays = {"x": self.array, "rows": rows, "out": target}
            call = _bound(Gather(self.channels_first), self.device, arrays, self.shape, rows.shape)
            self._calls[id(target)] = (target, rows, call)
        _, rows, call = self._calls[id(target)]
        memory.write(rows, np.arange(*index.indices(len(self))) if isinstance(index, slice) else index)
        call()

    def whole(self, dtype: str) -> Any:
        """Return all of it in an array of its own, channels last, in this dtype."""
        order = (0, *range(2, len(self.shape)), 1) if self.channels_first else range(len(self.shape))
        target = self.device.memory.empty(tuple(self.shape[axis] for axis in order), dtype)
        self.take(target, slice(0, len(self)))
        return target


def to_channels_first(array: Any, device: Device) -> Any:
    """Return a copy of images (N, H, W, C) as (N, C, H, W), or of sequences, in memory of their own."""
    n, *pixels, channels = array.shape
    out = device.memory.empty((n, channels, *pixels), array.dtype)
    images = array if len(pixels) == 2 else array.reshape((n, 1, *pixels, channels))
    _bound(Flatten(), device, {"x": images, "out": out.reshape((n, out.size // n))}, images.shape)()
    return out


def _bound(op: Op, device: Device, arrays: Mapping, *shapes: Shape):
    """Return the call that computes one op by itself."""
    forward, _ = scratch_shapes(op, device, str(arrays["out"].dtype), *shapes)
    scratch = {name: device.memory.empty(buffer.shape, buffer.dtype) for name, buffer in forward.items()}
    return device.memory.sequence([bind_forward(op, device, arrays, scratch)])
