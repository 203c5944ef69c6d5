"""Norms around convolutions, and zeros around what they read, made part of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import tensorflow as tf

from tf_ganmex.attributions.graphs.norms import is_convolution, with_folded_norms
from tf_ganmex.attributions.graphs.rewriting import Node, Rewritten, Shapes, copied, shapes_of, with_weights
from tf_ganmex.attributions.graphs.scales import with_scales_before_relus
from tf_ganmex.classifier.graph import FrozenGraph, node_name, tensor_name


def with_folded_layers(graph: FrozenGraph, shape: Sequence[int]) -> Rewritten:
    """The same function of inputs of ``shape``, its convolutions with the paddings and norms around them.

    A graph that calls functions or keeps a state stays as it is.
    """
    shapes = shapes_of(graph, shape)
    if shapes is None:
        return Rewritten(graph, tuple)
    # Of nodes that one changes, the next asks for the shapes of kernels and norms only, which stay.
    scaled = with_scales_before_relus(with_folded_pads(graph, shapes), shapes)
    return with_folded_norms(scaled.graph, shapes).after(scaled)


def with_folded_pads(graph: FrozenGraph, shapes: Shapes) -> FrozenGraph:
    """The same function of images of one size; its convolutions pad themselves where "SAME" is what a pad adds.

    Args:
        graph: any frozen graph.
        shapes: of its tensors for images of that size, by name.
    """
    shapes = with_weights(shapes, graph)
    definition, nodes = copied(graph)
    convolutions = [node for node in definition.node if is_convolution(node) and _pads_same(node, nodes, shapes)]
    for node in convolutions:
        node.input[0] = nodes[node_name(node.input[0])].input[0]
        node.attr["padding"].s = b"SAME"
    return replace(graph, graph_def=definition, kernels={}) if convolutions else graph


def _pads_same(node: Node, nodes: Mapping[str, Node], shapes: Shapes) -> bool:
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
