"""Graph to graph: the same function of the input in fewer kernels. Nodes keep their names, and so their parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..ops.activation import ReLU
from ..ops.augment import RandomCrop, RandomHorizontalFlip
from ..ops.conv import Conv2d
from ..ops.conv_transpose import ConvTranspose2d
from ..ops.dropout import Dropout
from ..ops.linear import Linear
from ..ops.merge import Add
from ..ops.norm import BatchNorm
from ..ops.pool import MaxPool2d
from ..ops.sequence import Conv1d, MaxPool1d
from .graph import Graph, Node

Rule = Callable[[Node, Node], Node | None]
CONVOLUTIONS = (Conv1d, Conv2d)
RANDOM = (Dropout, RandomCrop, RandomHorizontalFlip)
"""Ops that hand on their input at inference, or the middle of it."""


def for_training(graph: Graph, *, rewrite: bool = True) -> Graph:
    """Return the graph a training step runs: activations and pools, and statistics, fused into the ops before them."""
    return fuse_statistics(merge(graph, (fuse_relu, fuse_max_pool))) if rewrite else graph


def for_inference(graph: Graph, *, rewrite: bool = True) -> Graph:
    """Return the graph inference runs: running statistics, nothing random, batch norm inside the weights, ops fused."""
    graph = Graph(tuple(_at_inference(node) for node in graph.nodes), graph.outputs)
    if not rewrite:
        return graph
    return merge(drop_identities(graph), (fold_batch_norm, fuse_relu, fuse_max_pool))


def _at_inference(node: Node) -> Node:
    return node._replace(op=replace(node.op, training=False)) if isinstance(node.op, (BatchNorm, *RANDOM)) else node


def merge(graph: Graph, rules: tuple[Rule, ...]) -> Graph:
    """Join pairs (producer, its only consumer) by the first rule that applies, until none does."""
    while (joined := _merge_once(graph, rules)) is not None:
        graph = joined
    return graph


def _merge_once(graph: Graph, rules: tuple[Rule, ...]) -> Graph | None:
    for position, node in enumerate(graph.nodes):
        if len(node.inputs) != 1 or node.inputs[0] in graph.outputs or len(graph.consumers[node.inputs[0]]) != 1:
            continue
        producer = graph.nodes[node.inputs[0]]
        for rule in rules:
            joined = rule(producer, node)
            if joined is not None:
                return _substitute(graph, position, joined._replace(inputs=producer.inputs))
    return None


def _substitute(graph: Graph, position: int, joined: Node) -> Graph:
    """Put ``joined`` in the place of a node and of the one it reads."""
    (removed,) = graph.nodes[position].inputs
    nodes = (*graph.nodes[:position], joined, *graph.nodes[position + 1 :])
    return _without(nodes, graph.outputs, removed, instead=position)


def _without(nodes: tuple[Node, ...], outputs: tuple[int, ...], removed: int, *, instead: int) -> Graph:
    """Take a node out; whoever read it reads ``instead``."""
    new = {i: i - (i > removed) for i in range(len(nodes))}
    new[removed] = new[instead]
    left = (n._replace(inputs=tuple(new[i] for i in n.inputs)) for i, n in enumerate(nodes) if i != removed)
    return Graph(tuple(left), tuple(new[i] for i in outputs))


def drop_identities(graph: Graph) -> Graph:
    """Remove what does nothing at inference: dropout, flips, and crops of the whole."""
    shapes = graph.shapes(1)
    for position in reversed(graph.steps):
        op, inputs = graph.nodes[position].op, graph.nodes[position].inputs
        if isinstance(op, RANDOM) and not op.training and shapes[position] == shapes[inputs[0]]:
            graph = _without(graph.nodes, graph.outputs, position, instead=inputs[0])
    return graph


def fuse_relu(producer: Node, consumer: Node) -> Node | None:
    """Convolution, linear, batch norm or sum, then ReLU: one kernel."""
    before = (*CONVOLUTIONS, ConvTranspose2d, Linear, BatchNorm, Add)
    if type(consumer.op) is not ReLU or not isinstance(producer.op, before):
        return None
    if producer.op.activation or getattr(producer.op, "pool", None):
        return None
    return producer._replace(op=replace(producer.op, activation="relu"))


def fuse_max_pool(producer: Node, consumer: Node) -> Node | None:
    """Convolution or batch norm (and ReLU), then max-pool: one kernel that keeps the pooled output and the winners."""
    if isinstance(producer.op, Conv1d):
        if type(consumer.op) is not MaxPool1d or producer.op.pool:
            return None
        return producer._replace(op=replace(producer.op, pool=consumer.op))
    if type(consumer.op) is not MaxPool2d or not isinstance(producer.op, (Conv2d, BatchNorm)) or producer.op.pool:
        return None
    if isinstance(producer.op, BatchNorm) and not producer.op.can_fuse(consumer.op):
        return None
    return producer._replace(op=replace(producer.op, pool=consumer.op))


def fuse_statistics(graph: Graph) -> Graph:
    """Have each convolution before a batch norm leave what the statistics of its output are made of."""
    return Graph(tuple(_measuring(graph, position) for position in range(len(graph.nodes))), graph.outputs)


def _measuring(graph: Graph, position: int) -> Node:
    node, readers = graph.nodes[position], [graph.nodes[i].op for i in graph.consumers[position]]
    if not isinstance(node.op, CONVOLUTIONS) or node.op.activation or node.op.pool:
        return node
    if not any(isinstance(op, BatchNorm) and op.training for op in readers):
        return node
    return node._replace(op=replace(node.op, measures=True))


def fold_batch_norm(producer: Node, consumer: Node) -> Node | None:
    """Convolution or linear, then batch norm with running statistics: the same op with other weights and a bias."""
    if not isinstance(producer.op, (*CONVOLUTIONS, Linear)):
        return None
    if not isinstance(consumer.op, BatchNorm) or consumer.op.training:
        return None
    if producer.op.activation or producer.folded or getattr(producer.op, "pool", None) or consumer.op.pool:
        return None
    op = replace(producer.op, bias=True, activation=consumer.op.activation)
    return producer._replace(op=op, folded=(consumer.name, consumer.op))


def folded_parameters(norm: BatchNorm, weight, bias, gamma, beta, mean, var) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight and bias of an op that does the work of itself and the batch norm behind it.

    norm(w x + b) = (gamma s w) x + gamma s (b - mean) + beta with s = 1 / sqrt(var + eps), computed in float64.
    Output channels are the last axis of ``weight``; ``None`` stands for no bias, gamma or beta.
    """
    scale = 1 / np.sqrt(np.asarray(var, np.float64) + norm.eps)
    scale = scale if gamma is None else scale * gamma
    shift = (0.0 if bias is None else np.asarray(bias, np.float64)) - mean
    shift = shift * scale + (0.0 if beta is None else beta)
    return (weight * scale).astype(weight.dtype), shift.astype(weight.dtype)
