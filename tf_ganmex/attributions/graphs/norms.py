"""Norms behind convolutions made part of the convolutions.

Frozen, x ↦ s ⊙ (k ∗ x) + t is (s ⊙ k) ∗ x + t: two passes less over every map on the way forward, one less on the way
back, and a convolution, its bias and a ReLU behind are one operation to TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

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
from tf_ganmex.classifier.graph import FrozenGraph, Weight, node_name, tensor_name

_PREFIX = "tf_ganmex_folded/"


def with_folded_norms(graph: FrozenGraph, shapes: Shapes) -> Rewritten:
    """The same function of images, its norms in the kernels and biases of the convolutions before them.

    Args:
        graph: any frozen graph.
        shapes: of its tensors, by name.
    """
    search = Search(graph, shapes)
    norms = tuple(norm for node in graph.graph_def.node if (norm := search.norm_behind(node)) is not None)
    if not norms:
        return Rewritten(graph, tuple)
    definition, nodes = copied(graph)
    for norm in norms:
        norm.fold_into(nodes)
    return with_more_weights(
        graph,
        definition,
        [weight for norm in norms for weight in (norm.kernel, norm.bias)],
        [name for norm in norms for name in norm.reads],
        lambda values: (weight for norm in norms for weight in norm.folded(values)),
    )


def is_convolution(node: Node) -> bool:
    """Whether a node is a convolution, maybe a depthwise one, of maps with the channels last."""
    known = node.op in {"Conv2D", "DepthwiseConv2dNative"} and len(node.input) == 2
    return known and is_channels_last(node)


# --- norms ------------------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """A node that is an affine function of each channel."""

    node: Node
    reads: tuple[str, ...]  # beside the map

    def scale_and_shift(self, values: Iterator[tf.Tensor]) -> tuple[tf.Tensor | float, tf.Tensor | float]:
        """What it multiplies by and what it adds then, of what it reads."""
        first, *others = (tf.reshape(next(values), [-1]) for _ in self.reads)
        if others:  # a fused norm
            offset, mean, variance = others
            scale = first * tf.math.rsqrt(variance + self.node.attr["epsilon"].f)
            return scale, offset - mean * scale
        if self.node.op == "Mul":
            return first, 0.0
        return 1.0, -first if self.node.op == "Sub" else first


def scale_and_shift(
    steps: Sequence[Step], values: Iterator[tf.Tensor], spec: tf.TensorSpec
) -> tuple[tf.Tensor, tf.Tensor]:
    """What steps one after the other multiply by and add, of the ``values`` that they read; each as ``spec`` says."""
    scale, shift = tf.ones(spec.shape, spec.dtype), tf.zeros(spec.shape, spec.dtype)
    for step in steps:
        factor, added = step.scale_and_shift(values)
        scale, shift = scale * factor, shift * factor + added
    return scale, shift


class _Norm(NamedTuple):
    """Affine functions of each channel, one after the other, behind a convolution."""

    convolution: Node
    steps: tuple[Step, ...]
    kernel: Weight  # with which the convolution does the same alone
    bias: Weight

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors that the new weights are made of."""
        return tensor_name(self.convolution.input[1]), *(name for step in self.steps for name in step.reads)

    def folded(self, values: Iterator[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """The new kernel and bias, of what is read."""
        kernel = next(values)
        scale, bias = scale_and_shift(self.steps, values, self.bias.spec)
        if self.convolution.op == "DepthwiseConv2dNative":
            scale = tf.reshape(scale, self.kernel.spec.shape[2:])
        return kernel * scale, bias

    def fold_into(self, nodes: Mapping[str, Node]) -> None:
        """Gives the convolution its new kernel, and adds the new bias in the place of the last step."""
        nodes[self.convolution.name].input[1] = self.kernel.node
        last = nodes[self.steps[-1].node.name]
        added = Node(name=last.name, op="BiasAdd", input=[self.convolution.name, self.bias.node])
        added.attr["T"].CopyFrom(self.convolution.attr["T"])
        last.CopyFrom(added)


class Search:
    """Looks for norms."""

    def __init__(self, graph: FrozenGraph, shapes: Shapes):
        self.shapes = with_weights(shapes, graph)
        self.varying = {node.name for node, _ in varying_nodes(graph)} | {node_name(name) for name in graph.inputs}
        self.readers = readers(graph)

    def norm_behind(self, node: Node) -> _Norm | None:
        """The norm behind a convolution with a fixed kernel; None where there is none."""
        if not self.has_fixed_kernel(node):
            return None
        kernel, dtype, channels = self.shape(node.input[1]), tf.as_dtype(node.attr["T"].type), self.channels(node)
        steps, _ = self.steps_behind(node, channels)
        if all(step.node.op == "BiasAdd" for step in steps):
            return None
        specs = {"kernel": tf.TensorSpec(kernel, dtype), "bias": tf.TensorSpec((channels,), dtype)}
        names = {kind: f"{_PREFIX}{node.name}/{kind}" for kind in specs}
        return _Norm(node, steps, *(Weight(names[kind], names[kind], spec) for kind, spec in specs.items()))

    def steps_behind(self, node: Node, channels: int) -> tuple[tuple[Step, ...], Node | None]:
        """The affine functions of each channel that all of a node's result goes through, and who alone reads theirs."""
        steps: list[Step] = []
        while (reader := self.only_reader(node)) is not None:
            position = [node_name(reference) for reference in reader.input].index(node.name)
            reads = tuple(tensor_name(name) for index, name in enumerate(reader.input) if index != position)
            if not _is_affine(reader, position) or not all(self._is_by_channel(name, channels) for name in reads):
                break
            if reads:
                steps.append(Step(reader, reads))
            node = reader
        return tuple(steps), reader

    def only_reader(self, node: Node) -> Node | None:
        """The node that reads a node's first result, if nothing else reads any; None otherwise."""
        (reference, reader), *others = self.readers[node.name]
        return reader if not others and tensor_name(reference) == f"{node.name}:0" else None

    def has_fixed_kernel(self, node: Node) -> bool:
        """Whether a node is a convolution whose kernel does not depend on the image and has a known shape."""
        fixed = is_convolution(node) and node_name(node.input[1]) not in self.varying
        return fixed and self.shape(node.input[1]).is_fully_defined()

    def channels(self, convolution: Node) -> int:
        """The number of channels of what a convolution with a fixed kernel makes."""
        kernel = self.shape(convolution.input[1])
        return kernel[3] if convolution.op == "Conv2D" else kernel[2] * kernel[3]

    def _is_by_channel(self, name: str, channels: int) -> bool:
        return node_name(name) not in self.varying and is_by_channel(self.shape(name), channels)

    def shape(self, reference: str) -> tf.TensorShape:
        """The shape of a tensor; of unknown rank where it is not known."""
        return self.shapes.get(tensor_name(reference), tf.TensorShape(None))


def _is_affine(node: Node, position: int) -> bool:
    """Whether a node is an affine function of its input of a position, if its others are numbers by channel."""
    if node.op in {"Mul", "Add", "AddV2"}:
        return True
    if node.op in {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}:
        same_type = "U" not in node.attr or node.attr["U"].type == node.attr["T"].type
        return position == 0 and same_type and not node.attr["is_training"].b and is_channels_last(node)
    return node.op in {"BiasAdd", "Identity", "Sub"} and position == 0 and is_channels_last(node)
