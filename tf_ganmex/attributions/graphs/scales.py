"""Norms behind a ReLU: what they multiply by is taken before the ReLU, where the convolution before can do it.

s · relu(z) is ± relu(|s| z), and the sign goes into the kernel of the convolution behind. What a norm adds is added
right before that, behind averages of pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from tf_ganmex.attributions.graphs.norms import Search, Step, scale_and_shift
from tf_ganmex.attributions.graphs.rewriting import Node, Rewritten, Shapes, copied, is_channels_last, with_more_weights
from tf_ganmex.classifier.graph import FrozenGraph, Weight, tensor_name

_PREFIX = "tf_ganmex_scaled/"


def with_scales_before_relus(graph: FrozenGraph, shapes: Shapes) -> Rewritten:
    """The same function of images; norms between a convolution's ReLU and another convolution only add.

    Args:
        graph: any frozen graph.
        shapes: of its tensors, by name.
    """
    search = _Search(graph, shapes)
    norms = [norm for node in graph.graph_def.node if (norm := search.norm_behind_relu_of(node)) is not None]
    if not norms:
        return Rewritten(graph, tuple)
    definition, nodes = copied(graph)
    for norm in norms:
        norm.move(nodes, definition)
    return with_more_weights(
        graph,
        definition,
        [weight for norm in norms for weight in norm.fed],
        [name for norm in norms for name in norm.reads],
        lambda values: (weight for norm in norms for weight in norm.weights(next(values), values)),
    )


class _Norm(NamedTuple):
    """Affine functions of each channel, one after the other, between a ReLU and a convolution."""

    relu: Node
    steps: tuple[Step, ...]
    behind: Node
    fed: tuple[Weight, ...]  # the scales before the ReLU, what is added behind it, the kernel behind

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors that the new weights are made of."""
        return tensor_name(self.behind.input[1]), *(name for step in self.steps for name in step.reads)

    def weights(self, kernel: tf.Tensor, values: Iterator[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The new weights, of what is read."""
        scale, shift = scale_and_shift(self.steps, values, self.fed[1].spec)
        sign = tf.where(scale < 0, -tf.ones_like(scale), tf.ones_like(scale))
        return abs(scale), sign * shift, sign[:, None] * kernel

    def move(self, nodes: Mapping[str, Node], definition: graph_pb2.GraphDef) -> None:
        """Multiplies before the ReLU, adds where averages are taken already, and gives what is behind its kernel."""
        scales, added, kernel = (weight.node for weight in self.fed)
        relu, last, behind = (nodes[node.name] for node in (self.relu, self.steps[-1].node, self.behind))
        name = f"{_PREFIX}{relu.name}"
        before = definition.node.add(name=f"{name}/scaled", op="Mul", input=[relu.input[0], scales])
        relu.input[0] = before.name
        last.CopyFrom(Node(name=last.name, op="Identity", input=[relu.name]))
        after = definition.node.add(name=f"{name}/shifted", op="AddV2", input=[behind.input[0], added])
        behind.input[:] = [after.name, kernel]
        for node in (before, last, after):
            node.attr["T"].CopyFrom(relu.attr["T"])


class _Search(Search):
    """Looks for norms between a ReLU and a convolution."""

    def norm_behind_relu_of(self, convolution: Node) -> _Norm | None:
        """The norm between the ReLU of a convolution and another convolution; None where there is none."""
        if not self.has_fixed_kernel(convolution):
            return None
        channels = self.channels(convolution)
        _, relu = self.steps_behind(convolution, channels)
        if relu is None or relu.op != "Relu":
            return None
        steps, behind = self.steps_behind(relu, channels)
        while behind is not None and behind.op in {"AvgPool", "Identity"} and is_channels_last(behind):
            behind = self.only_reader(behind)
        if behind is None or not self.has_fixed_kernel(behind) or self.shape(behind.input[1])[2] != channels:
            return None
        if all(step.node.op in {"Add", "AddV2", "BiasAdd", "Sub"} for step in steps):
            return None
        dtype, name = tf.as_dtype(relu.attr["T"].type), f"{_PREFIX}{relu.name}"
        specs = [tf.TensorSpec((channels,), dtype)] * 2 + [tf.TensorSpec(self.shape(behind.input[1]), dtype)]
        names = [f"{name}/{kind}" for kind in ("scales", "added", "kernel")]
        return _Norm(relu, steps, behind, tuple(Weight(one, one, spec) for one, spec in zip(names, specs, strict=True)))
