"""Parts of a frozen graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, types_pb2

from tf_ganmex.classifier.graph import FrozenGraph, import_graph, node_name, tensor_name

# Operations with a kernel for float64 too, of those that follow the first dense layer of a classifier.
_DOUBLE = {
    *("Add", "AddV2", "BiasAdd", "Const", "ConcatV2", "Elu", "Exp", "ExpandDims", "Identity", "IdentityN", "LeakyRelu"),
    *("Log", "LogSoftmax", "MatMul", "Max", "Maximum", "Mean", "Minimum", "Mul", "Neg", "Pack", "RealDiv", "Relu"),
    *("Relu6", "Reshape", "Rsqrt", "Selu", "Shape", "Sigmoid", "Softmax", "Softplus", "Sqrt", "Square", "Squeeze"),
    *("StopGradient", "StridedSlice", "Sub", "Sum", "Tanh"),
}


def evaluate_between(
    graph: FrozenGraph, inputs: Mapping[str, tf.Tensor], outputs: Sequence[str]
) -> tuple[tf.Tensor, ...]:
    """The tensors ``outputs`` of a graph, where its tensors ``inputs`` have the values given; in their precision."""
    wanted = [name for name in outputs if name not in inputs]
    definition = graph_between(graph, inputs, wanted)
    if any(value.dtype == tf.float64 for value in inputs.values()):
        definition = in_double(definition)
    read = {tensor_name(reference) for node in definition.node for reference in node.input}
    # Of tensors from outside a loop that is traced, an import takes copies only.
    feeds = {name: tf.identity(value) for name, value in inputs.items() if name in read}
    made = dict(zip(wanted, import_graph(definition, feeds, wanted), strict=True)) if wanted else {}
    return tuple(inputs[name] if name in inputs else made[name] for name in outputs)


def graph_between(graph: FrozenGraph, inputs: Collection[str], outputs: Sequence[str]) -> graph_pb2.GraphDef:
    """The nodes that make the tensors ``outputs`` of the tensors ``inputs``."""
    nodes = {node.name: node for node in graph.graph_def.node}
    needed: set[str] = set()
    waiting = list(outputs)
    while waiting:
        node = nodes.get(node_name(waiting.pop()))
        if node is not None and node.name not in needed:
            needed.add(node.name)
            waiting.extend(reference for reference in node.input if tensor_name(reference) not in inputs)
    definition = graph_pb2.GraphDef(library=graph.graph_def.library, versions=graph.graph_def.versions)
    definition.node.extend(node for node in graph.graph_def.node if node.name in needed)
    return definition


def runs_in_double(graph: FrozenGraph, source: str) -> bool:
    """Whether what follows a tensor can be evaluated in float64."""
    nodes = graph_between(graph, {source}, [graph.output]).node
    read = {weight.node for weight in graph.weights}
    return all(node.op in _DOUBLE or node.name in read for node in nodes)


def in_double(definition: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """The same with float64 for float32."""
    doubled = graph_pb2.GraphDef()
    doubled.CopyFrom(definition)
    for node in doubled.node:
        for attribute in node.attr.values():
            if attribute.type == types_pb2.DT_FLOAT:
                attribute.type = types_pb2.DT_DOUBLE
            for index, kind in enumerate(attribute.list.type):
                attribute.list.type[index] = types_pb2.DT_DOUBLE if kind == types_pb2.DT_FLOAT else kind
            if attribute.tensor.dtype == types_pb2.DT_FLOAT:
                values = tf.make_ndarray(attribute.tensor).astype("float64")
                attribute.tensor.CopyFrom(tf.make_tensor_proto(values))
    return doubled


def weights_between(graph: FrozenGraph, inputs: Collection[str], outputs: Sequence[str]) -> list[int]:
    """The numbers of the weights that are read between the tensors ``inputs`` and the tensors ``outputs``."""
    read = {node_name(reference) for node in graph_between(graph, inputs, outputs).node for reference in node.input}
    return [number for number, weight in enumerate(graph.weights) if weight.node in read]


def weight_feeds(graph: FrozenGraph, weights: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
    """The weights by the names of the tensors that stand for them."""
    return {f"{weight.node}:0": value for weight, value in zip(graph.weights, weights, strict=True)}
