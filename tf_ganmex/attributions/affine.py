"""The leading part of a classifier's graph that is affine in the image.

On a straight path its result moves in a straight line too: it is known from its values at the two ends. And as its
gradient is the same everywhere, gradients behind it may be summed over the path first and pulled back once.
"""

from __future__ import annotations

from collections.abc import Collection

import tensorflow as tf

from tf_ganmex.attributions.graphs.folding import with_folded_layers
from tf_ganmex.attributions.graphs.linear import is_linear, varying_nodes
from tf_ganmex.attributions.graphs.parts import evaluate_between, weight_feeds
from tf_ganmex.attributions.graphs.pointwise import with_gradients_as_products
from tf_ganmex.attributions.graphs.products import with_fewer_products
from tf_ganmex.attributions.graphs.rewriting import Rewritten, Shapes, Weights, is_batch, shapes_of
from tf_ganmex.attributions.local.layers import ImageShape
from tf_ganmex.attributions.switches import SwitchingLayer
from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.graph import FrozenGraph, node_name, tensor_name


class AffinePart:
    """A graph as its frontier divides it: the tensors where what is affine in the image ends.

    Attributes:
        graph: the whole graph, norms and paddings folded into its convolutions.
        weights: of the classifier's weights those of this graph, in a function that is being compiled.
        frontier: names of the tensors, the batch their first axis.
        switching: the layer behind, if a ReLU is all between.
        plain: that graph, as it is, for what lies behind the frontier.
        faster: another for the same, for many images at a time.
    """

    def __init__(self, folded: Rewritten, affine: Collection[str], frontier: tuple[str, ...], shapes: Shapes):
        self.graph = graph = folded.graph
        self.weights = folded.weights
        self.frontier = frontier
        self.switching = None
        if len(frontier) == 1:
            self.switching = SwitchingLayer.behind(graph, frontier[0], shapes[graph.inputs[0]][1:].as_list())
        left = {*affine, *([node_name(self.switching.layer.result)] if self.switching else [])}
        self.plain = Rewritten(graph, tuple)
        products = with_gradients_as_products(graph, shapes, left)
        self.faster = with_fewer_products(products.graph, shapes, left).after(products)

    @classmethod
    def of(cls, clf: Classifier, shape: ImageShape) -> AffinePart | None:
        """The affine part for images of ``shape``; None where there is none, or its graph is not known."""
        kernels = clf.engine.kernels
        if ("affine", shape) not in kernels:
            part = _find(clf.engine, shape) if isinstance(clf.engine, FrozenGraph) else None
            kernels["affine", shape] = part  # type: ignore[assignment]
        return kernels["affine", shape]  # type: ignore[return-value]

    def values(self, x: tf.Tensor, weights: Weights) -> tuple[tf.Tensor, ...]:
        """The tensors of the frontier for images (n, h, w, c)."""
        images = dict.fromkeys(self.graph.inputs, tf.cast(x, self.graph.dtype))
        return evaluate_between(self.graph, images | weight_feeds(self.graph, weights), self.frontier)


# --- where it ends ----------------------------------------------------------------------------------------------------


def _find(graph: FrozenGraph, shape: ImageShape) -> AffinePart | None:
    if graph.batch is not None or graph.dtype != graph.fed_dtype:
        return None
    folded = with_folded_layers(graph, shape)
    graph = folded.graph
    shapes = shapes_of(graph, shape)
    if shapes is None:
        return None
    refused: set[str] = set()
    while True:
        affine = _affine_nodes(graph, refused)
        frontier = _frontier(graph, affine)
        strange = {node_name(name) for name in frontier if not is_batch(shapes.get(name))} - refused
        if not strange:
            break
        refused |= strange
    if not frontier or set(frontier) <= set(graph.inputs):
        return None
    return AffinePart(folded, affine, frontier, shapes)


def _affine_nodes(graph: FrozenGraph, refused: Collection[str]) -> set[str]:
    affine = {node_name(name) for name in graph.inputs}
    for node, which in varying_nodes(graph):
        taken = is_linear(node, which) and node.op != "Cast" and node.name not in refused
        if taken and all(node_name(node.input[index]) in affine for index in which):
            affine.add(node.name)
    return affine


def _frontier(graph: FrozenGraph, affine: Collection[str]) -> tuple[str, ...]:
    """The results of affine nodes that other nodes read on the way to the output; none if one only waits for them."""
    nodes = {node.name: node for node in graph.graph_def.node}
    frontier: dict[str, None] = {}
    seen: set[str] = set()
    waiting = [graph.output]
    while waiting:
        reference = waiting.pop()
        name = node_name(reference)
        if name in affine:
            if reference.startswith("^"):
                return ()
            frontier[tensor_name(reference)] = None
        elif name in nodes and name not in seen:
            seen.add(name)
            waiting.extend(nodes[name].input)
    return tuple(frontier)
