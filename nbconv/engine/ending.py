"""What a net ends in: the last layer that computes something at inference."""

from __future__ import annotations

from ..ops.dropout import Dropout
from ..ops.reshape import Flatten
from .graph import Graph

IDLE = (Dropout, Flatten)
"""Layers that hand on at inference what they are given, in another shape perhaps."""


def ending(graph: Graph) -> int:
    """The position of the layer that makes the one output of a graph: not a ``Flatten`` or ``Dropout`` behind it."""
    (position,) = graph.outputs
    while isinstance(graph.nodes[position].op, IDLE):
        (position,) = graph.nodes[position].inputs
    return position
