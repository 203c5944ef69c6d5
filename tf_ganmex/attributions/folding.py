"""Norms behind convolutions, and zeros around what convolutions read, made part of the convolutions.

Frozen, x ↦ s ⊙ (k ∗ x) + t is (s ⊙ k) ∗ x + t: two passes less over every map on the way forward, one less on the way
back, and a convolution, its bias and a ReLU behind are one operation to TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from tf_ganmex.attributions.linear import varying_nodes
from tf_ganmex.attributions.local.parts import evaluate_between, weight_feeds
from tf_ganmex.classifier.graph import FrozenGraph, Weight, node_name, tensor_name

Shapes = Mapping[str, tf.TensorShape]
Weights = tuple[tf.Tensor, ...]

_PREFIX = "tf_ganmex_folded/"


class FoldedGraph(NamedTuple):
    """A graph without the norms that directly followed convolutions.

    Attributes:
        graph: that graph; it is fed a kernel and a bias more for each of them.
        original: the graph that it was made of.
        norms: those that it is without.
    """

    graph: FrozenGraph
    original: FrozenGraph
    norms: tuple[_Norm, ...]

    def weights(self, weights: Sequence[tf.Tensor]) -> Weights:
        """The weights of :attr:`graph`, made of those of the original; for a function that is being compiled."""
        read = [name for norm in self.norms for name in norm.reads]
        values = iter(evaluate_between(self.original, weight_feeds(self.original, weights), read))
        return *weights, *(weight for norm in self.norms for weight in norm.folded(values))


def with_folded_norms(graph: FrozenGraph, shapes: Shapes) -> FoldedGraph:
    """The same function of images, its norms in the kernels and biases of the convolutions before them.

    Args:
        graph: any frozen graph.
        shapes: of its tensors, by name.
    """
    search = _Search(graph, shapes)
    norms = tuple(norm for node in graph.graph_def.node if (norm := search.norm_behind(node)) is not None)
    if not norms:
        return FoldedGraph(graph, graph, ())
    definition, nodes = _copied(graph)
    for norm in norms:
        norm.fold_into(nodes)
    weights = graph.weights + tuple(weight for norm in norms for weight in (norm.kernel, norm.bias))
    return FoldedGraph(replace(graph, graph_def=definition, weights=weights, kernels={}), graph, norms)


def with_folded_pads(graph: FrozenGraph, shapes: Shapes) -> FrozenGraph:
    """The same function of images of one size; its convolutions pad themselves where "SAME" is what a pad adds.

    Args:
        graph: any frozen graph.
        shapes: of its tensors for images of that size, by name.
    """
    shapes = _with_weights(shapes, graph)
    definition, nodes = _copied(graph)
    convolutions = [node for node in definition.node if _is_convolution(node) and _pads_same(node, nodes, shapes)]
    for node in convolutions:
        node.input[0] = nodes[node_name(node.input[0])].input[0]
        node.attr["padding"].s = b"SAME"
    return replace(graph, graph_def=definition, kernels={}) if convolutions else graph


def _copied(graph: FrozenGraph) -> tuple[graph_pb2.GraphDef, dict[str, node_def_pb2.NodeDef]]:
    definition = graph_pb2.GraphDef()
    definition.CopyFrom(graph.graph_def)
    return definition, {node.name: node for node in definition.node}


def _with_weights(shapes: Shapes, graph: FrozenGraph) -> Shapes:
    return {f"{weight.node}:0": weight.spec.shape for weight in graph.weights} | dict(shapes)


def _is_convolution(node: node_def_pb2.NodeDef) -> bool:
    known = node.op in {"Conv2D", "DepthwiseConv2dNative"} and len(node.input) == 2
    return known and _is_channels_last(node)


def _is_channels_last(node: node_def_pb2.NodeDef) -> bool:
    return "data_format" not in node.attr or node.attr["data_format"].s == b"NHWC"


# --- norms ------------------------------------------------------------------------------------------------------------


class _Step(NamedTuple):
    """A node that is an affine function of each channel."""

    node: node_def_pb2.NodeDef
    reads: tuple[str, ...]  # beside the map

    def scale_and_shift(self, values: Iterator[tf.Tensor]) -> tuple[tf.Tensor | float, tf.Tensor | float]:
        first, *others = (tf.reshape(next(values), [-1]) for _ in self.reads)
        if others:  # a fused norm
            offset, mean, variance = others
            scale = first * tf.math.rsqrt(variance + self.node.attr["epsilon"].f)
            return scale, offset - mean * scale
        if self.node.op == "Mul":
            return first, 0.0
        return 1.0, -first if self.node.op == "Sub" else first


class _Norm(NamedTuple):
    """Affine functions of each channel, one after the other, behind a convolution."""

    convolution: node_def_pb2.NodeDef
    steps: tuple[_Step, ...]
    kernel: Weight  # with which the convolution does the same alone
    bias: Weight

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors that the new weights are made of."""
        return tensor_name(self.convolution.input[1]), *(name for step in self.steps for name in step.reads)

    def folded(self, values: Iterator[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """The new kernel and bias, of what is read."""
        kernel = next(values)
        scale, bias = tf.ones(self.bias.spec.shape, kernel.dtype), tf.zeros(self.bias.spec.shape, kernel.dtype)
        for step in self.steps:
            factor, shift = step.scale_and_shift(values)
            scale, bias = scale * factor, bias * factor + shift
        if self.convolution.op == "DepthwiseConv2dNative":
            scale = tf.reshape(scale, self.kernel.spec.shape[2:])
        return kernel * scale, bias

    def fold_into(self, nodes: Mapping[str, node_def_pb2.NodeDef]) -> None:
        """Gives the convolution its new kernel, and adds the new bias in the place of the last step."""
        nodes[self.convolution.name].input[1] = self.kernel.node
        last = nodes[self.steps[-1].node.name]
        added = node_def_pb2.NodeDef(name=last.name, op="BiasAdd", input=[self.convolution.name, self.bias.node])
        added.attr["T"].CopyFrom(self.convolution.attr["T"])
        last.CopyFrom(added)


class _Search:
    """Looks for norms behind convolutions."""

    def __init__(self, graph: FrozenGraph, shapes: Shapes):
        self.shapes = _with_weights(shapes, graph)
        self.varying = {node.name for node, _ in varying_nodes(graph)} | {node_name(name) for name in graph.inputs}
        self.readers: dict[str, list[tuple[str, node_def_pb2.NodeDef | None]]] = {node_name(graph.output): [("", None)]}
        for node in graph.graph_def.node:
            for reference in node.input:
                self.readers.setdefault(node_name(reference), []).append((reference, node))

    def norm_behind(self, node: node_def_pb2.NodeDef) -> _Norm | None:
        """The norm behind a convolution with a fixed kernel; None where there is none."""
        if not _is_convolution(node) or node_name(node.input[1]) in self.varying:
            return None
        kernel, dtype = self._shape(node.input[1]), tf.as_dtype(node.attr["T"].type)
        if not kernel.is_fully_defined():
            return None
        channels = kernel[3] if node.op == "Conv2D" else kernel[2] * kernel[3]
        steps = tuple(self._steps_behind(node, channels))
        if all(step.node.op == "BiasAdd" for step in steps):
            return None
        specs = {"kernel": tf.TensorSpec(kernel, dtype), "bias": tf.TensorSpec((channels,), dtype)}
        names = {kind: f"{_PREFIX}{node.name}/{kind}" for kind in specs}
        return _Norm(node, steps, *(Weight(names[kind], names[kind], spec) for kind, spec in specs.items()))

    def _steps_behind(self, node: node_def_pb2.NodeDef, channels: int) -> Iterator[_Step]:
        while True:
            (reference, reader), *others = self.readers[node.name]
            if others or reader is None or tensor_name(reference) != f"{node.name}:0":
                return
            position = list(reader.input).index(reference)
            reads = tuple(tensor_name(name) for index, name in enumerate(reader.input) if index != position)
            if not _is_affine(reader, position) or not all(self._is_by_channel(name, channels) for name in reads):
                return
            if reads:
                yield _Step(reader, reads)
            node = reader

    def _is_by_channel(self, name: str, channels: int) -> bool:
        shape = self._shape(name)
        if node_name(name) in self.varying or not shape.is_fully_defined() or shape.rank > 4:
            return False
        return shape.num_elements() == 1 or shape.num_elements() == shape[-1] == channels

    def _shape(self, reference: str) -> tf.TensorShape:
        return self.shapes.get(tensor_name(reference), tf.TensorShape(None))


def _is_affine(node: node_def_pb2.NodeDef, position: int) -> bool:
    """Whether a node is an affine function of its input of a position, if its others are numbers by channel."""
    if node.op in {"Mul", "Add", "AddV2"}:
        return True
    if node.op in {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}:
        same_type = "U" not in node.attr or node.attr["U"].type == node.attr["T"].type
        return position == 0 and same_type and not node.attr["is_training"].b and _is_channels_last(node)
    return node.op in {"BiasAdd", "Identity", "Sub"} and position == 0 and _is_channels_last(node)


# --- pads -------------------------------------------------------------------------------------------------------------


def _pads_same(node: node_def_pb2.NodeDef, nodes: Mapping[str, node_def_pb2.NodeDef], shapes: Shapes) -> bool:
    """Whether a pad adds to what a convolution reads as much as it would itself, were its padding "SAME"."""
    pad = nodes.get(node_name(node.input[0]))
    if pad is None or pad.op != "Pad" or len(pad.input) != 2 or node.attr["padding"].s != b"VALID":
        return False
    paddings = nodes.get(pad.input[1])
    read, kernel = (shapes.get(tensor_name(name), tf.TensorShape(None)) for name in (pad.input[0], node.input[1]))
    if paddings is None or paddings.op != "Const" or not (read.is_fully_defined() and kernel.is_fully_defined()):
        return False
    strides = node.attr["strides"].list.i
    dilations = node.attr["dilations"].list.i if "dilations" in node.attr else [1] * 4
    added = [[0, 0]] * 4
    for axis in (1, 2):
        reach = (kernel[axis - 1] - 1) * dilations[axis] + 1
        total = max(0, (-(-read[axis] // strides[axis]) - 1) * strides[axis] + reach - read[axis])
        added[axis] = [total // 2, total - total // 2]
    return tf.make_ndarray(paddings.attr["value"].tensor).tolist() == added
