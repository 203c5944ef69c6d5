"""From the raw outputs of a graph to logits and probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import tensorflow as tf

from tf_ganmex.classifier.graph import FrozenGraph, node_name, tensor_name

Raw = Literal["logits", "probabilities"]
Kind = Literal["softmax", "sigmoid", "binary"]

_PASS_THROUGH = {"Identity", "IdentityN", "Snapshot", "Cast", "Reshape", "Squeeze"}
_ACTIVATIONS = {"Softmax", "LogSoftmax", "Sigmoid"}
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


def final_activation(graph: FrozenGraph) -> tuple[str, str] | None:
    """The op of the softmax or sigmoid that ends the graph and the name of the tensor before it, if there is one."""
    nodes = {node.name: node for node in graph.graph_def.node}
    reference = graph.output
    while (node := nodes.get(node_name(reference))) is not None:
        if node.op in _ACTIVATIONS:
            return node.op, tensor_name(node.input[0])
        if node.op not in _PASS_THROUGH:
            return None
        position = int(tensor_name(reference).split(":")[1]) if node.op == "IdentityN" else 0
        reference = node.input[position]
    return None
