"""1×1 convolutions, whose gradients are products with a kernel that was transposed beforehand.

TensorFlow's gradient of such a convolution takes longer than the product of matrices that it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from tf_ganmex.attributions.graphs.norms import Search
from tf_ganmex.attributions.graphs.rewriting import Node, Rewritten, Shapes, copied, with_more_weights
from tf_ganmex.classifier.graph import FrozenGraph, Weight, tensor_name

_PREFIX = "tf_ganmex_pointwise/"
_GRADIENT = "TfGanmexPointwise"
_ACTIVATIONS = {"Relu": tf.raw_ops.ReluGrad, "Relu6": tf.raw_ops.Relu6Grad}


def with_gradients_as_products(graph: FrozenGraph, shapes: Shapes, left: Collection[str] = ()) -> Rewritten:
    """The same function of images, with other gradients of its 1×1 convolutions, their biases and ReLUs.

    Args:
        graph: any frozen graph.
        shapes: of its tensors, by name.
        left: names of nodes that stay as they are.
    """
    search = _Search(graph, shapes)
    nodes = [node for node in graph.graph_def.node if node.name not in left]
    layers = [layer for node in nodes if (layer := search.layer(node)) is not None]
    if not layers:
        return Rewritten(graph, tuple)
    definition, copies = copied(graph)
    for layer in layers:
        layer.replace(copies, definition)
    return with_more_weights(
        graph,
        definition,
        [layer.transposed for layer in layers],
        [tensor_name(layer.kernel) for layer in layers],
        lambda kernels: (tf.transpose(kernel[0, 0]) for kernel in kernels),
    )


class _Layer(NamedTuple):
    """A 1×1 convolution with what follows it, maybe a bias, maybe a ReLU."""

    source: str
    kernel: str
    last: Node
    transposed: Weight

    def replace(self, nodes: Mapping[str, Node], definition: graph_pb2.GraphDef) -> None:
        """Puts a node behind the last one that has the same value and the gradient of the layer."""
        node = nodes[self.last.name]
        made = definition.node.add()
        made.CopyFrom(node)
        made.name = f"{_PREFIX}{node.name}"
        node.CopyFrom(Node(name=node.name, op="IdentityN", input=[made.name, self.source, self.transposed.node]))
        node.attr["T"].list.type.extend([self.transposed.spec.dtype.as_datatype_enum] * 3)
        node.attr["_gradient_op_type"].s = _GRADIENT.encode()


class _Search(Search):
    """Looks for 1×1 convolutions."""

    def layer(self, node: Node) -> _Layer | None:
        """The layer that begins with a node; None where it is no such convolution."""
        if node.op != "Conv2D" or not self.has_fixed_kernel(node) or node.attr["padding"].s == b"EXPLICIT":
            return None
        kernel, read = self.shape(node.input[1]), self.shape(node.input[0])
        sizes = {*kernel[:2], *node.attr["strides"].list.i}
        if sizes != {1} or read.rank != 4 or read[3] != kernel[2]:
            return None
        last = node
        for kinds in ({"BiasAdd"}, _ACTIVATIONS):
            reader = self.only_reader(last)
            if reader is not None and reader.op in kinds:
                last = reader
        name = f"{_PREFIX}{node.name}/transposed"
        spec = tf.TensorSpec((kernel[3], kernel[2]), tf.as_dtype(node.attr["T"].type))
        return _Layer(node.input[0], node.input[1], last, Weight(name, name, spec))


@tf.RegisterGradient(_GRADIENT)
def _gradient(operation: tf.Operation, gradient: tf.Tensor, *_: tf.Tensor) -> tuple[None, tf.Tensor, None]:
    made, read, transposed = operation.inputs
    if made.op.type in _ACTIVATIONS:
        gradient = _ACTIVATIONS[made.op.type](gradients=gradient, features=made)
    product = tf.reshape(gradient, (-1, transposed.shape[0])) @ transposed
    return None, tf.reshape(product, tf.shape(read)), None
