"""What the tests of graphs that compute the same in another way have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from attribution_cases import assert_close

import tf_ganmex as gx
from tf_ganmex.attributions.graphs.linear import varying_nodes
from tf_ganmex.attributions.graphs.rewriting import Rewritten


def more_weights(clf, found: Rewritten) -> int:
    """How many weights more are fed than of the classifier."""
    return len(found.graph.weights) - len(clf.graph.weights)


def outputs_and_gradient(graph, weights, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = graph.forward(x, weights)
        total = tf.reduce_sum(outputs * tf.range(1, 1 + graph.classes, dtype=x.dtype))
    return outputs.numpy(), tape.gradient(total, x).numpy()


def assert_same(clf, found: Rewritten, within=1e-12):
    x = tf.constant(np.random.default_rng(5).random((3, *clf.graph.shape)), clf.dtype)
    weights = tf.function(found.weights)(clf.weight_tensors)
    pairs = (outputs_and_gradient(*on, x) for on in ((found.graph, weights), (clf.graph, clf.weight_tensors)))
    for ours, theirs in zip(*pairs, strict=True):
        assert np.abs(theirs).max() > 0
        assert_close(ours, theirs, within)


def operations(graph) -> set[str]:
    """The kinds of operations that the image passes."""
    return {node.op for node, _ in varying_nodes(graph)}


def assert_same_with_other_weights(clf: gx.Classifier, found: Rewritten) -> None:
    """On the same graph, as cascading randomization asks for them."""
    rng = np.random.default_rng(7)
    for name, value in clf.weights.items():
        assert_same(clf.with_weights({name: value * rng.uniform(0.5, 1.5, value.shape)}), found)


def assert_leaves(clf: gx.Classifier, rewrite: Callable[[gx.Classifier, Sequence[str]], Rewritten]) -> None:
    """Of two convolutions, the one that is named."""
    (first, _) = (node.name for node in clf.graph.graph_def.node if node.op == "Conv2D")
    found = rewrite(clf, [first])
    assert more_weights(clf, found) == 1
    assert_same(clf, found)
