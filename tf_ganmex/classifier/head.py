"""From the raw outputs of a graph to logits and probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from tf_ganmex.classifier.graph import FrozenGraph, node_name, tensor_name

Raw = Literal["logits", "probabilities"]
Kind = Literal["softmax", "sigmoid", "binary"]

_PASS_THROUGH = {"Identity", "IdentityN", "Snapshot", "Cast", "Reshape", "Squeeze"}
_ACTIVATIONS = {"Softmax", "LogSoftmax", "Sigmoid"}
_LINEAR = {"BiasAdd", "MatMul", "Conv2D"}
_SMALLEST = 1e-37  # a normal float32: probabilities below it have no finite logarithm


@dataclass(frozen=True)
class Head:
    """How the raw outputs of a classifier become one logit and one probability per class.

    Attributes:
        kind: ``"softmax"`` for exclusive classes, ``"sigmoid"`` for one independent label per class, ``"binary"`` for
            one unit z that becomes two classes with logits (0, z).
        raw: whether the graph returns logits or probabilities.
    """

    kind: Kind
    raw: Raw

    def num_classes(self, outputs: int) -> int:
        """The number of classes that ``outputs`` raw outputs stand for."""
        return 2 if self.kind == "binary" else outputs

    def logits(self, raw: tf.Tensor) -> tf.Tensor:
        """Logits (n, classes) from raw outputs."""
        if self.raw == "probabilities":
            raw = _logarithm(raw) - (0.0 if self.kind == "softmax" else _logarithm(1 - raw))
        return tf.concat([tf.zeros_like(raw), raw], -1) if self.kind == "binary" else raw

    def probabilities(self, raw: tf.Tensor) -> tf.Tensor:
        """Probabilities (n, classes) from raw outputs."""
        if self.raw == "logits":
            raw = tf.nn.softmax(raw) if self.kind == "softmax" else tf.nn.sigmoid(raw)
        return tf.concat([1 - raw, raw], -1) if self.kind == "binary" else raw

    def scores(self, raw: tf.Tensor, score: str) -> tf.Tensor:
        """Probabilities or logits, whichever ``score`` names."""
        return self.probabilities(raw) if score == "probability" else self.logits(raw)


def _logarithm(x: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.maximum(x, tf.cast(_SMALLEST, x.dtype)))


@dataclass(frozen=True)
class Activation:
    """A softmax or sigmoid at the end of a graph: its op, the tensor before it, the type in which it is computed."""

    op: str
    before: str
    dtype: tf.DType


def final_activation(graph: FrozenGraph) -> Activation | None:
    """The softmax or sigmoid that ends the graph, if there is one."""
    node = _maker(graph, graph.output)
    if not isinstance(node, NodeDef) or node.op not in _ACTIVATIONS:
        return None
    return Activation(node.op, tensor_name(node.input[0]), tf.as_dtype(node.attr["T"].type))


def ends_linearly(graph: FrozenGraph) -> bool:
    """Whether the last thing that the graph does is to multiply by weights or to add a bias: it returns logits."""
    node = _maker(graph, graph.output)
    if not isinstance(node, NodeDef):
        return False
    if node.op in _LINEAR:
        return True
    makers = [_maker(graph, name) for name in node.input] if node.op in {"Add", "AddV2"} else []
    return any(weight.node in makers for weight in graph.weights)


def _maker(graph: FrozenGraph, reference: str) -> NodeDef | str:
    """The node that makes a tensor, before those that pass it through; its name where the graph does not hold it."""
    nodes = {node.name: node for node in graph.graph_def.node}
    while (node := nodes.get(node_name(reference))) is not None and node.op in _PASS_THROUGH:
        position = int(tensor_name(reference).split(":")[1]) if node.op == "IdentityN" else 0
        reference = node.input[position]
    return node if node is not None else node_name(reference)
