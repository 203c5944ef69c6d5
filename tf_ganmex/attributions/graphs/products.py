"""3×3 convolutions of small maps in a graph, by the algorithm of :mod:`~tf_ganmex.attributions.graphs.winograd`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from tf_ganmex.attributions.graphs.linear import varying_nodes
from tf_ganmex.attributions.graphs.rewriting import (
    Node,
    Rewritten,
    Shapes,
    copied,
    is_by_channel,
    is_channels_last,
    readers,
    with_more_weights,
    with_weights,
)
from tf_ganmex.attributions.graphs.winograd import CHANNELS, LARGEST, TAPS, convolve, shape_of_values, values_of_kernel
from tf_ganmex.classifier.graph import FrozenGraph, Weight, node_name, tensor_name

_PREFIX = "tf_ganmex_winograd/"
_ELEMENTWISE = {"Add", "AddV2", "BiasAdd", "Identity", "Mul", "Relu", "Relu6", "Sub"}


def with_fewer_products(graph: FrozenGraph, shapes: Shapes, left: Collection[str] = ()) -> Rewritten:
    """The same function of images of one size, 3×3 convolutions of small maps with many channels by this algorithm.

    Args:
        graph: any frozen graph.
        shapes: of its tensors for images of that size, by name.
        left: names of nodes that stay as they are.
    """
    search = _Search(graph, with_weights(shapes, graph), left)
    found = {node.name: search.convolution(node) for node in graph.graph_def.node if search.is_taken(node)}
    if not found:
        return Rewritten(graph, tuple)
    definition, nodes = copied(graph)
    for convolution in found.values():
        convolution.replace(nodes[convolution.name], definition)
    nodes = {node.name: node for node in definition.node}
    for convolution in found.values():
        search.join(convolution, nodes, found)
    fed, read = [each.fed for each in found.values()], [each.kernel for each in found.values()]
    return with_more_weights(graph, definition, fed, read, lambda kernels: map(values_of_kernel, kernels))


class _Convolution(NamedTuple):
    """A convolution of maps of ``size``, by the algorithm.

    Its maps have the batch behind the positions. Other nodes have it first; between two such convolutions nothing
    needs to be turned round and back.
    """

    name: str
    source: str
    kernel: str
    size: tuple[int, int]
    fed: Weight  # the values of the kernel

    @property
    def read(self) -> str:
        """The name of the node that turns what is read."""
        return f"{_PREFIX}{self.name}/read"

    @property
    def made(self) -> str:
        """The name of the node that makes the result, before it is turned back."""
        return f"{_PREFIX}{self.name}/made"

    def replace(self, node: Node, definition: graph_pb2.GraphDef) -> None:
        """Gives ``definition`` the nodes of the algorithm, the last in the place of ``node``."""
        spec = self.fed.spec
        with tf.Graph().as_default() as traced:
            x = tf.compat.v1.placeholder(spec.dtype, (None, *self.size, spec.shape[-2]), name="x")
            values = tf.compat.v1.placeholder(spec.dtype, spec.shape, name="values")
            made = convolve(tf.transpose(x, (1, 2, 0, 3), name="read"), values)
            tf.transpose(tf.identity(made, name="made"), (2, 0, 1, 3), name="result")
        names = {"x": self.source, "values": self.fed.node, "result": self.name}
        for new in traced.as_graph_def().node:
            if new.op == "Placeholder":
                continue
            new.input[:] = [names.get(read, f"{_PREFIX}{self.name}/{read}") for read in new.input]
            new.name = names.get(new.name, f"{_PREFIX}{self.name}/{new.name}")
            (node if new.name == self.name else definition.node.add()).CopyFrom(new)


class _Search:
    """Looks for convolutions that the algorithm is for, and for what lies between two of them."""

    def __init__(self, graph: FrozenGraph, shapes: Shapes, left: Collection[str]):
        self.shapes, self.left = shapes, left
        self.nodes = {node.name: node for node in graph.graph_def.node}
        self.varying = {node.name: which for node, which in varying_nodes(graph)}
        self.readers = readers(graph)

    def is_taken(self, node: Node) -> bool:
        """Whether a node is a convolution with a fixed kernel that takes less time by the algorithm."""
        if node.op != "Conv2D" or node.name in self.left or self.varying.get(node.name) != [0]:
            return False
        one, known = [1] * 4, is_channels_last(node) and node.attr["padding"].s == b"SAME"
        if not known or any(list(node.attr[name].list.i) not in ([], one) for name in ("strides", "dilations")):
            return False
        read, kernel = (self._shape(reference) for reference in node.input)
        if not read.is_fully_defined() or not kernel.is_fully_defined() or read[3] != kernel[2]:
            return False
        is_small = max(read[1:3]) <= LARGEST and min(kernel[2:]) >= CHANNELS
        return is_small and kernel[:2] == [TAPS, TAPS]

    def convolution(self, node: Node) -> _Convolution:
        """What replaces a node."""
        read, kernel = (self._shape(reference) for reference in node.input)
        name = f"{_PREFIX}{node.name}/values"
        spec = tf.TensorSpec(shape_of_values(kernel), tf.as_dtype(node.attr["T"].type))
        return _Convolution(
            node.name, node.input[0], tensor_name(node.input[1]), tuple(read[1:3]), Weight(name, name, spec)
        )

    def join(self, convolution: _Convolution, nodes: Mapping[str, Node], found: Mapping[str, _Convolution]) -> None:
        """Leaves out the turns between a convolution and the one before, where only elementwise nodes lie there."""
        name, turn = node_name(convolution.source), nodes[convolution.read]
        reader, position = turn, 0
        while name not in found:
            if not self._is_elementwise(name, convolution.fed.spec.shape[-2]):
                return
            reader, (position,) = nodes[name], self.varying[name]
            name = node_name(reader.input[position])
        if len(self.readers[name]) > 1:
            return
        reader.input[position] = found[name].made
        same = Node(name=turn.name, op="Identity", input=[turn.input[0]])
        same.attr["T"].CopyFrom(turn.attr["T"])
        turn.CopyFrom(same)

    def _is_elementwise(self, name: str, channels: int) -> bool:
        """Whether a node does the same at all positions, and only one other reads it."""
        node, varying = self.nodes.get(name), self.varying.get(name, ())
        if node is None or node.op not in _ELEMENTWISE or len(varying) != 1 or len(self.readers[name]) > 1:
            return False
        others = (reference for index, reference in enumerate(node.input) if index not in varying)
        return is_channels_last(node) and all(is_by_channel(self._shape(other), channels) for other in others)

    def _shape(self, reference: str) -> tf.TensorShape:
        return self.shapes.get(tensor_name(reference), tf.TensorShape(None))
