"""Graph to graph: linear layers become convolutions, so that the net slides over images larger than its own."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ..errors import GraphError, ShapeError
from ..ops.activation import LeakyReLU, ReLU, Sigmoid, Tanh
from ..ops.augment import RandomCrop
from ..ops.base import Op, Shape
from ..ops.conv import Conv2d
from ..ops.dropout import Dropout
from ..ops.linear import Linear
from ..ops.merge import Add
from ..ops.pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from ..ops.reshape import Flatten
from .graph import Graph, Node, Source

ELEMENTWISE: tuple[type[Op], ...] = (Add, Dropout, LeakyReLU, ReLU, Sigmoid, Tanh)
"""Ops that do the same to each value of a flattened image as to each value of the image."""
GLOBAL_POOLS: dict[type[Op], type[Op]] = {GlobalAvgPool2d: AvgPool2d, GlobalMaxPool2d: MaxPool2d}
"""Pools over the whole image, and those over a window that can be as large."""

PIXEL = (1, 1)
Patch = tuple[int, int]


class Value(NamedTuple):
    """What a value of the old graph is in the new one: an image there, be it features of a patch here."""

    position: int
    patch: Patch | None = None
    """The (height, width) of the image that the old features were made of; ``None`` for what is an image in both."""


def fully_convolutional(graph: Graph, image: Shape) -> Graph:
    """Return the graph with convolutions for linear layers, on images of this shape (H, W, C).

    A linear layer behind the ``Flatten`` of an image becomes a convolution with a kernel as large as that image, any
    other one a convolution of 1x1; a global pool becomes a pool of a window as large as the image it saw. Nodes keep
    their names, and weights their order of elements, in PyTorch's layout.

    Raises ``GraphError`` for a layer that looks at the whole of an image, or at more than one pixel of what was
    flattened, in another way, and for a pool whose windows hang over the edge: it would see another image in the larger
    one. So it does for a layer that enlarges, whose places are no crops.
    """
    shapes = graph.shapes(1)
    nodes: list[Node] = []
    values: list[Value] = []
    for position, node in enumerate(graph.nodes):
        read = [values[i] for i in node.inputs]
        inputs = [shapes[i] for i in node.inputs]
        if isinstance(node.op, Flatten):
            value = read[0]
            values.append(value if value.patch else Value(value.position, _size(inputs[0])))
            continue
        if isinstance(node.op, Source):
            values.append(Value(len(nodes), None))
            nodes.append(Node(node.name, replace(node.op, shape=image)))
            continue
        op, patch = _converted(graph, position, read, inputs)
        index = sum(n.layer_index is not None for n in nodes)
        values.append(Value(len(nodes), patch))
        nodes.append(Node(node.name, op, tuple(value.position for value in read), index))
    for position in graph.outputs:
        if values[position].patch not in (None, PIXEL):
            raise GraphError(
                f"{graph.describe(position)} returns a flattened image, which a larger image has many of; "
                f"put a Linear layer behind it"
            )
    return Graph(tuple(nodes), tuple(values[position].position for position in graph.outputs))


def _converted(graph: Graph, position: int, read: list[Value], inputs: list[Shape]) -> tuple[Op, Patch | None]:
    """The op that does a layer's work in the new graph, and the patch that its result stands for."""
    op, patch = graph.nodes[position].op, read[0].patch
    name = getattr(op, "name", None)
    if isinstance(op, Linear) and patch:
        return Conv2d(op.out_features, patch, bias=op.bias, init=op.init, name=name), PIXEL
    if type(op) in GLOBAL_POOLS and not patch:
        pool: type = GLOBAL_POOLS[type(op)]
        return pool(_size(inputs[0]), stride=1, name=name), PIXEL
    if any(value.patch != patch for value in read):
        raise GraphError(
            f"{graph.describe(position)} joins features of a flattened image with features of its pixels; "
            f"put a Linear layer behind Flatten first"
        )
    if patch not in (None, PIXEL) and type(op) not in ELEMENTWISE:
        raise GraphError(
            f"{graph.describe(position)} works on a flattened image of {patch[0]}x{patch[1]} pixels, and does not do "
            f"the same to each of its values; move it before Flatten or behind the Linear layer"
        )
    images = [(1, *PIXEL, shape[-1]) for shape in inputs] if patch else inputs
    windows = op.windows(*images)
    if windows is None:
        raise GraphError(
            f"{graph.describe(position)} looks at the whole of its input at once, which a larger image has more of; "
            f"replace it by a layer that does not, such as BatchNorm"
        )
    if any(window.step < 1 for window in windows):
        raise GraphError(
            f"{graph.describe(position)} makes several values of one pixel, so that the steps of what follows are no "
            f"whole pixels of what precedes, and places are no crops; leave it out, and enlarge the result instead"
        )
    if isinstance(op, RandomCrop):
        return _uncropped(graph, position, op, inputs[0]), patch
    if isinstance(op, (MaxPool2d, AvgPool2d)) and op.ceil_mode:
        return _within(graph, position, op, inputs[0]), patch
    return op, patch


def _within(graph: Graph, position: int, pool: MaxPool2d | AvgPool2d, x: Shape) -> Op:
    """A pool whose windows end where the image does: ``ceil_mode`` must have made no difference on its own images."""
    same = replace(pool, ceil_mode=False)
    try:
        fits = same.out_shape(x) == pool.out_shape(x)
    except ShapeError:  # one window, and it hangs over
        fits = False
    if not fits:
        height, width = _size(x)
        raise GraphError(
            f"{graph.describe(position)} has ceil_mode=True, and windows that hang over the edge of its input of "
            f"{height}x{width}, where a larger image goes on; use ceil_mode=False, or a size that its windows divide"
        )
    return same


def _uncropped(graph: Graph, position: int, crop: RandomCrop, x: Shape) -> Op:
    """A crop that keeps the size of its image, whatever that is, as it did on its own images."""
    if crop.out_shape(x) != x:
        raise GraphError(
            f"{graph.describe(position)} cuts a part out of its input, which is not larger in a larger image; leave it "
            f"out, or use size=None"
        )
    return replace(crop, size=None)


def _size(shape: Shape) -> Patch:
    _, height, width, _ = shape
    return height, width
