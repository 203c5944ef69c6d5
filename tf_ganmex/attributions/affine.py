"""The leading part of a classifier's graph that is affine in the image.

On a straight path its result moves in a straight line too: it is known from its values at the two ends. And as its
gradient is the same everywhere, gradients behind it may be summed over the path first and pulled back once.
"""

from __future__ import annotations

from collections.abc import Collection

import tensorflow as tf

from tf_ganmex.attributions.folding import with_folded_norms, with_folded_pads
from tf_ganmex.attributions.linear import is_linear, varying_nodes
from tf_ganmex.attributions.local.layers import ImageShape
from tf_ganmex.attributions.local.parts import evaluate_between, weight_feeds
from tf_ganmex.attributions.pointwise import with_gradients_as_products
from tf_ganmex.attributions.rewriting import Rewritten, Shapes, Weights
from tf_ganmex.attributions.scales import with_scales_before_relus
from tf_ganmex.attributions.switches import SwitchingLayer
from tf_ganmex.attributions.winograd import with_fewer_products
from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.graph import FrozenGraph, import_graph, node_name, tensor_name

_TRIED_BATCH = 7  # no size that a layer is likely to have


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
    shapes = _shapes(graph, shape)
    if shapes is None:
        return None
    scaled = with_scales_before_relus(with_folded_pads(graph, shapes), shapes)
    folded = with_folded_norms(scaled.graph, shapes).after(scaled)
    graph = folded.graph
    shapes = _shapes(graph, shape) or {}
    refused: set[str] = set()
    while True:
        affine = _affine_nodes(graph, refused)
        frontier = _frontier(graph, affine)
        strange = {node_name(name) for name in frontier if not _is_batch(shapes.get(name))} - refused
        if not strange:
            break
        refused |= strange
    if not frontier or set(frontier) <= set(graph.inputs):
        return None
    return AffinePart(folded, affine, frontier, shapes)


def _shapes(graph: FrozenGraph, shape: ImageShape) -> Shapes | None:
    """The shapes of all tensors for a batch of images of ``shape``; None of a graph that is more than its nodes."""
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


def _is_batch(shape: tf.TensorShape | None) -> bool:
    return shape is not None and shape.is_fully_defined() and shape.rank > 1 and shape[0] == _TRIED_BATCH


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
