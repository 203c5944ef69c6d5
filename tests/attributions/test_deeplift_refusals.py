"""What DeepLIFT refuses, by name and before any work."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex.attributions import deeplift, deepshap
from tf_ganmex.attributions.graphs.linear import in_order
from tf_ganmex.errors import ModelError, UnsupportedOpError


def looped(x):
    _, result = tf.while_loop(lambda i, _: i < 3, lambda i, z: (i + 1, z * z), (0, x))
    return result


REFUSED = {
    "TopKV2": lambda x: tf.math.top_k(tf.reshape(x, (-1, 16)), 16)[0],
    "ArgMax": lambda x: x * tf.cast(tf.argmax(x, 1)[:, None], tf.float32),
    "SelectV2": lambda x: tf.where(x > 0.5, x, 0),
    "Cast": lambda x: tf.cast(tf.cast(x * 255, tf.int32), tf.float32),
    "Round": tf.round,
    "While": looped,
    "Pow": lambda x: 2.0**x,
    "Prod": lambda x: tf.reduce_prod(x, 1),
}


@pytest.mark.parametrize("method", [deeplift, deepshap])
@pytest.mark.parametrize("op", REFUSED)
def test_operation_without_rule_is_named_before_any_work(op, method):
    def function(x):
        z = REFUSED[op](x)
        return tf.reshape(z, (-1, np.prod(z.shape[1:])))[:, :3]

    def baseline(x, target):
        raise AssertionError("worked before it refused")

    clf = gx.load_classifier(function, output="logits", input_shape=(4, 4, 1))
    with pytest.raises(UnsupportedOpError, match=rf"(?s)Expected.*Received.*{op}"):
        method(clf, np.ones((1, 4, 4, 1), np.float32), 0, 1, baseline)


@pytest.mark.parametrize("method", [deeplift, deepshap])
def test_callable_that_cannot_be_traced_has_no_graph(method):
    clf = gx.load_classifier(lambda x: tf.constant(x.numpy().reshape(-1, 4)), output="logits", input_shape=(2, 2, 1))
    with pytest.raises(ModelError, match=r"Expected.*graph.*Received.*callable.*Use"):
        method(clf, np.ones((1, 2, 2, 1), np.float32), 0, 1, np.zeros((2, 2, 1)))


def test_scores_that_do_not_depend_on_the_image():
    clf = gx.load_classifier(lambda x: tf.reshape(tf.round(x), (-1, 4)), output="logits", input_shape=(2, 2, 1))
    with pytest.raises(ModelError, match=r"Expected a differentiable.*Received"):
        deeplift(clf, np.ones((1, 2, 2, 1), np.float32), 0, 1, np.zeros((2, 2, 1)), rules="deepexplain")


def test_nodes_in_order_of_a_loop_of_tf1():
    definition = tf.compat.v1.GraphDef()
    nodes = {"merge": ["enter", "next"], "next": ["add"], "add": ["merge", "x"], "enter": ["x"], "x": []}
    for name, inputs in nodes.items():
        definition.node.add(name=name, op="NextIteration" if name == "next" else "Any", input=inputs)
    assert [node.name for node in in_order(definition)] == ["x", "enter", "merge", "add", "next"]
