"""Frozen graphs that compute the same as others in another way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from tf_ganmex.attributions.graphs.parts import evaluate_between, weight_feeds
from tf_ganmex.classifier.graph import FrozenGraph, Weight, import_graph, node_name

Node: TypeAlias = node_def_pb2.NodeDef
Shapes = Mapping[str, tf.TensorShape]
Weights = tuple[tf.Tensor, ...]

_TRIED_BATCH = 1_000_003  # no size that a layer has; nothing is computed for it


class Rewritten(NamedTuple):
    """A graph that computes the same as another.

    Attributes:
        graph: the new one.
        weights: from the weights of the other to its own; for a function that is being compiled.
    """

    graph: FrozenGraph
    weights: Callable[[Sequence[tf.Tensor]], Weights]

    def after(self, first: Rewritten) -> Rewritten:
        """Both one after the other, this one of the graph that the ``first`` made."""
        return Rewritten(self.graph, lambda values: self.weights(first.weights(values)))


def copied(graph: FrozenGraph) -> tuple[graph_pb2.GraphDef, dict[str, Node]]:
    """The nodes of a graph to be changed, and each by its name."""
    definition = graph_pb2.GraphDef()
    definition.CopyFrom(graph.graph_def)
    return definition, {node.name: node for node in definition.node}


def with_more_weights(
    graph: FrozenGraph,
    definition: graph_pb2.GraphDef,
    fed: Iterable[Weight],
    read: Sequence[str],
    made: Callable[[Iterator[tf.Tensor]], Iterable[tf.Tensor]],
) -> Rewritten:
    """A graph with other nodes that is fed more weights.

    Args:
        graph: the one before.
        definition: the nodes.
        fed: what the new weights are.
        read: names of the tensors of ``graph`` that they are made of.
        made: from those to the new weights.
    """

    def weights(values: Sequence[tf.Tensor]) -> Weights:
        found = evaluate_between(graph, weight_feeds(graph, values), read)
        return *values, *made(iter(found))

    return Rewritten(replace(graph, graph_def=definition, weights=(*graph.weights, *fed), kernels={}), weights)


def shapes_of(graph: FrozenGraph, shape: Sequence[int]) -> Shapes | None:
    """The shapes of all tensors for a batch of inputs of ``shape``; None of a graph that is more than its nodes."""
    with tf.Graph().as_default() as imported:
        x = tf.compat.v1.placeholder(graph.fed_dtype, (_TRIED_BATCH, *shape))
        weights = tuple(tf.compat.v1.placeholder(weight.spec.dtype, weight.spec.shape) for weight in graph.weights)
        (output,) = import_graph(graph.graph_def, graph.feeds(x, weights), [graph.output])
    operations = imported.get_operations()
    if any(operation.op_def.is_stateful or _calls(operation) for operation in operations):
        return None
    scope = output.name.removesuffix(graph.output)
    made = (tensor for operation in operations for tensor in operation.outputs)
    shapes = {tensor.name.removeprefix(scope): tensor.shape for tensor in made if tensor.name.startswith(scope)}
    return shapes | dict.fromkeys(graph.inputs, x.shape)


def _calls(operation: tf.Operation) -> bool:
    return any(value.HasField("func") or value.list.func for value in operation.node_def.attr.values())


def is_batch(shape: tf.TensorShape | None) -> bool:
    """Whether a shape, of those of :func:`shapes_of`, is known and its first axis that of the batch."""
    return shape is not None and shape.is_fully_defined() and shape.rank > 1 and shape[0] == _TRIED_BATCH


def with_weights(shapes: Shapes, graph: FrozenGraph) -> Shapes:
    """The shapes of tensors by name, those of the weights that are fed among them."""
    return {f"{weight.node}:0": weight.spec.shape for weight in graph.weights} | dict(shapes)


def readers(graph: FrozenGraph) -> dict[str, list[tuple[str, Node | None]]]:
    """For each node who reads it and by what reference; the output is read by None."""
    found: dict[str, list[tuple[str, Node | None]]] = {node_name(graph.output): [("", None)]}
    for node in graph.graph_def.node:
        for reference in node.input:
            found.setdefault(node_name(reference), []).append((reference, node))
    return found


def is_channels_last(node: Node) -> bool:
    """Whether the last axis of what a node reads is that of the channels."""
    return "data_format" not in node.attr or node.attr["data_format"].s == b"NHWC"


def is_by_channel(shape: tf.TensorShape, channels: int) -> bool:
    """Whether a tensor of ``shape`` is one number, or one for each channel."""
    if not shape.is_fully_defined() or shape.rank > 4:
        return False
    return shape.num_elements() == 1 or shape.num_elements() == shape[-1] == channels
