"""The learned arrays of a net: one flat arena each for parameters, gradients and state, with a view per array.

Inside, arrays have the layout the kernels like; outside (``state_dict``) they have PyTorch's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from math import prod

import numpy as np

from ..errors import DataError, ShapeError
from ..ops.base import Shape
from .graph import Graph, Source
from .memory import aligned
from .registry import Device

Key = tuple[str, str]
"""A node's name and the name of its parameter: ("0", "weight")."""


class Arena:
    """A flat array on a device, and views of it by key, each aligned. Behind the last there is at least one number."""

    def __init__(self, shapes: Mapping[Key, Shape], device: Device, dtype: str):
        itemsize = np.dtype(dtype).itemsize
        sizes = [aligned(prod(shape) * itemsize) // itemsize for shape in shapes.values()]
        self._starts = [0, *accumulate(sizes)]
        views_end = self._starts[-2] + prod(list(shapes.values())[-1]) if shapes else 0
        size = aligned((views_end + 1) * itemsize) // itemsize
        self.flat = device.memory.empty((size,), dtype)
        device.memory.fill(self.flat, 0)
        self.spare = self.flat[size - 1 :]
        """The last number, which belongs to no view."""
        self.views = {
            key: self.flat[start : start + prod(shape)].reshape(shape)
            for (key, shape), start in zip(shapes.items(), self._starts, strict=False)
        }

    def end_of(self, count: int) -> int:
        """Where the first ``count`` views end; what lies between them is zero."""
        return self._starts[count]


class Parameters:
    """Parameters, their gradients and the state (running statistics) of a graph, on a device."""

    def __init__(self, graph: Graph, device: Device, dtype: str):
        self.device = device
        self.dtype = dtype
        regularized: dict[Key, Shape] = {}
        others: dict[Key, Shape] = {}
        state: dict[Key, Shape] = {}
        self.axes: dict[Key, tuple[int, ...]] = {}
        shapes = graph.shapes(1)
        for node in graph.nodes:
            if isinstance(node.op, Source):
                continue
            inputs = [shapes[i] for i in node.inputs]
            own = node.op.param_shapes(*inputs)
            for n, s in own.items():
                (regularized if n in node.op.regularized() else others)[node.name, n] = s
            state.update({(node.name, n): s for n, s in node.op.state_shapes(*inputs).items()})
            self.axes.update({(node.name, n): node.op.axes_outside(n, len(s)) for n, s in own.items()})
        params = {**regularized, **others}
        self.params = Arena(params, device, dtype)
        self.grads = Arena(params, device, dtype)
        self.state = Arena(state, device, dtype)
        end = self.params.end_of(len(regularized))
        self.regularized = self.params.flat[:end], self.grads.flat[:end]
        """The weights that L2 regularisation draws to zero, which lie first, and their gradients: two flat arrays."""
        self.names: list[Key] = [
            (node.name, n)
            for node in graph.nodes
            for n in _names(node)
            if (node.name, n) in params or (node.name, n) in state
        ]

    def view(self, key: Key):
        """The array of a parameter or of state, as the kernels see it; ``None`` if the net has no such array."""
        return self.params.views.get(key, self.state.views.get(key))

    def read(self, key: Key, arena: Arena | None = None) -> np.ndarray:
        """A copy on the host, in PyTorch's layout; ``arena`` names another arena of the parameters' shapes."""
        array = arena.views[key] if arena else self.view(key)
        host = self.device.memory.get(array)
        return np.ascontiguousarray(host.transpose(self.axes[key])) if key in self.axes else host

    def write(self, key: Key, value: np.ndarray, arena: Arena | None = None) -> None:
        """Set an array from one in PyTorch's layout."""
        array = arena.views[key] if arena else self.view(key)
        host = value.transpose(np.argsort(self.axes[key])) if key in self.axes else value
        self.device.memory.write(array, host)

    def shape(self, key: Key) -> Shape:
        """The shape of an array in PyTorch's layout."""
        shape = self.view(key).shape
        return tuple(shape[a] for a in self.axes[key]) if key in self.axes else shape

    def items(self) -> Iterator[tuple[str, np.ndarray]]:
        """All arrays as ("0.weight", copy in PyTorch's layout), in PyTorch's order."""
        for key in self.names:
            yield ".".join(key), self.read(key)

    def gradients(self) -> dict[str, np.ndarray]:
        """A copy of every gradient, in PyTorch's layout."""
        return {".".join(key): self.read(key, self.grads) for key in self.names if key in self.grads.views}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Set every array from a dict such as ``items`` gives; nothing is changed unless all of it fits.

        ``num_batches_tracked``, which PyTorch's batch norm saves and no formula here uses, is passed over.
        """
        given = {name: array for name, array in arrays.items() if not name.endswith(".num_batches_tracked")}
        wanted = {".".join(key): key for key in self.names}
        missing, unknown = wanted.keys() - given.keys(), given.keys() - wanted.keys()
        if missing or unknown:
            raise DataError(
                f"the arrays do not match the net: missing {sorted(missing) or 'none'}, "
                f"unknown {sorted(unknown) or 'none'}; the net has {list(wanted)}"
            )
        ready = {key: self._checked(name, given[name], self.shape(key)) for name, key in wanted.items()}
        for key, value in ready.items():
            self.write(key, value)

    def _checked(self, name: str, array, shape: Shape) -> np.ndarray:
        value = np.asarray(array)
        if value.dtype.kind not in "fiu":
            raise DataError(f"{name} must be an array of numbers, got dtype {value.dtype}")
        if value.shape != shape:
            raise ShapeError(f"{name} has shape {value.shape}, the net needs {shape}")
        with np.errstate(over="ignore"):
            cast = value.astype(self.dtype)
        if not np.array_equal(np.isfinite(cast), np.isfinite(value)):
            raise DataError(f"{name} has values beyond the range of {self.dtype}")
        return cast


def _names(node) -> tuple[str, ...]:
    return () if isinstance(node.op, Source) else (*node.op.params, *node.op.state)
