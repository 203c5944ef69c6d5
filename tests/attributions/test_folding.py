"""Norms and pads made part of convolutions: the same outputs and gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from attribution_cases import sequential
from rewriting_cases import assert_same, assert_same_with_other_weights, more_weights, operations
from test_paths_affine import in_double

import tf_ganmex as gx
from tf_ganmex.attributions.graphs.folding import with_folded_pads
from tf_ganmex.attributions.graphs.norms import with_folded_norms
from tf_ganmex.attributions.graphs.rewriting import Rewritten, shapes_of

layers = keras.layers
SHAPE = (8, 9, 2)
NORMS = {"FusedBatchNormV3", "Mul", "AddV2", "Sub"}


def network(*body):
    return sequential(SHAPE, *body, layers.ReLU(), layers.Flatten(), layers.Dense(4))


def norm(**options):
    return layers.BatchNormalization(**options)


def shared_kernel():
    image = keras.Input(SHAPE)
    convolution = layers.Conv2D(2, 3, padding="same")
    once = layers.ReLU()(norm()(convolution(image)))
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.ReLU()(norm()(convolution(once))))))


def read_twice():
    image = keras.Input(SHAPE)
    z = layers.Conv2D(3, 3)(image)
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.Multiply()([norm()(z), z]))))


def norm_read_twice():
    image = keras.Input(SHAPE)
    z = norm()(layers.Conv2D(3, 3)(image))
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.Multiply()([layers.ReLU()(z), z]))))


def scaled_by_the_image():
    image = keras.Input(SHAPE)
    z = layers.Conv2D(3, 3)(image)
    gate = layers.Dense(3, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(z))
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.Multiply()([layers.Conv2D(3, 3)(image), gate]))))


def at_the_end():
    return sequential(SHAPE, layers.Conv2D(4, SHAPE[:2]), norm(), layers.Flatten())


class Less(layers.Layer):
    """Subtracts a number from every channel, or another from every feature."""

    def __init__(self, axes):
        super().__init__()
        self.axes = axes

    def build(self, shape):
        self.numbers = self.add_weight(shape=shape[-self.axes :], initializer="normal", name="numbers")

    def call(self, x):
        return tf.subtract(x, self.numbers)


# The network, and how many of its convolutions have norms that are folded.
NETWORKS = {
    "convolution": (lambda: network(layers.Conv2D(3, 3, use_bias=False), norm()), 1),
    "bias before": (lambda: network(layers.Conv2D(3, 3, 2, padding="same", bias_initializer="normal"), norm()), 1),
    "depthwise": (lambda: network(layers.DepthwiseConv2D(3, depth_multiplier=2), norm()), 1),
    "one channel": (lambda: network(layers.Conv2D(1, 3), norm()), 1),
    "without scale": (lambda: network(layers.Conv2D(3, 3), norm(scale=False)), 1),
    "without center": (lambda: network(layers.Conv2D(3, 3), norm(center=False)), 1),
    "two norms and a factor": (lambda: network(layers.Conv2D(3, 3), norm(), layers.Rescaling(2.0, 1.0), norm()), 1),
    "blocks": (
        lambda: network(
            layers.Conv2D(3, 3, padding="same"),
            norm(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, use_bias=False),
            norm(),
            layers.ReLU(),
            layers.Conv2D(4, 1, use_bias=False),
            norm(),
        ),
        3,
    ),
    "shared kernel": (shared_kernel, 2),
    "at the end": (at_the_end, 1),
    "norm read twice": (norm_read_twice, 1),
    "convolution read twice": (read_twice, 0),
    "scaled by the image": (scaled_by_the_image, 0),
    "less by channel": (lambda: network(layers.Conv2D(3, 3, use_bias=False), norm(), Less(1)), 1),
    "less by feature": (lambda: network(layers.Conv2D(3, 3, use_bias=False), Less(3)), 0),
    "not directly behind": (lambda: network(layers.Conv2D(3, 3, dilation_rate=2), norm()), 0),
    "no norm": (lambda: network(layers.Conv2D(3, 3)), 0),
    "norm of a dense layer": (lambda: network(layers.Flatten(), layers.Dense(3), norm()), 0),
}


def folded(clf) -> Rewritten:
    return with_folded_norms(clf.graph, shapes_of(clf.graph, SHAPE))


@pytest.mark.parametrize("name", NETWORKS)
def test_same_outputs_and_gradients(name):
    make, count = NETWORKS[name]
    clf = gx.load_classifier(in_double(make), output="logits")
    found = folded(clf)
    assert more_weights(clf, found) == 2 * count
    assert_same(clf, found)
    if count and name != "norm read twice":
        assert not operations(found.graph) & NORMS


def test_other_weights():
    clf = gx.load_classifier(in_double(NETWORKS["blocks"][0]), output="logits")
    assert_same_with_other_weights(clf, folded(clf))


def test_the_graph_given_stays_as_it_is():
    clf = gx.load_classifier(in_double(NETWORKS["blocks"][0]), output="logits")
    before = clf.graph.graph_def.SerializeToString(deterministic=True)
    folded(clf)
    with_folded_pads(clf.graph, shapes_of(clf.graph, SHAPE))
    assert clf.graph.graph_def.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("training", [False, True])
def test_fused_norms(training):
    """As graphs of TensorFlow 1 and tf_keras have them; those of the batch's own statistics stay."""
    rng = np.random.default_rng(8)
    kernel, matrix = (tf.constant(rng.normal(size=size), tf.float32) for size in ((3, 3, 2, 4), (4, 3)))
    numbers = [tf.constant(rng.uniform(0.5, 1.5, 4), tf.float32) for _ in range(4)]

    def call(x):
        z = tf.nn.conv2d(x, kernel, 1, "SAME")
        mean_and_variance = {} if training else {"mean": numbers[2], "variance": numbers[3]}
        options = {"epsilon": 0.1, "is_training": training, **mean_and_variance}
        z, _, _ = tf.compat.v1.nn.fused_batch_norm(z, numbers[0], numbers[1], **options)
        return tf.reduce_mean(tf.nn.relu6(z), (1, 2)) @ matrix

    clf = gx.load_classifier(call, output="logits", input_shape=SHAPE)
    assert "FusedBatchNormV3" in operations(clf.graph)
    found = folded(clf)
    assert more_weights(clf, found) == 2 * (not training)
    assert_same(clf, found, 1e-5)


# The pad, the convolution behind it, and whether its own padding does the same on images of 8 × 9.
PADS = {
    "strided by two": (((0, 1), (1, 1)), lambda: layers.Conv2D(3, 3, 2), True),
    "depthwise": (((0, 1), (1, 1)), lambda: layers.DepthwiseConv2D(3, 2), True),
    "all around": (((1, 1), (1, 1)), lambda: layers.Conv2D(3, 3), True),
    "at the other side": (((1, 0), (1, 1)), lambda: layers.Conv2D(3, 3, 2), False),
    "more than the kernel": (((2, 2), (2, 2)), lambda: layers.Conv2D(3, 3), False),
    "padded again": (((1, 1), (1, 1)), lambda: layers.Conv2D(3, 3, padding="same"), False),
    "a kernel of one": (((1, 1), (1, 1)), lambda: layers.Conv2D(3, 1), False),
}


@pytest.mark.parametrize("name", PADS)
def test_pads(name):
    sizes, convolution, is_same = PADS[name]
    clf = gx.load_classifier(in_double(lambda: network(layers.ZeroPadding2D(sizes), convolution())), output="logits")
    graph = with_folded_pads(clf.graph, shapes_of(clf.graph, SHAPE))
    assert ("Pad" not in operations(graph)) == is_same
    assert_same(clf, Rewritten(graph, tuple))


def test_pads_of_dilated_convolutions():
    rng = np.random.default_rng(9)
    kernel, matrix = (tf.constant(rng.normal(size=size), tf.float32) for size in ((3, 3, 2, 4), (4, 3)))

    def call(x):
        z = tf.nn.conv2d(tf.pad(x, [[0, 0], [2, 2], [2, 2], [0, 0]]), kernel, 1, "VALID", dilations=2)
        return tf.reduce_mean(tf.nn.relu(z), (1, 2)) @ matrix

    clf = gx.load_classifier(call, output="logits", input_shape=SHAPE)
    graph = with_folded_pads(clf.graph, shapes_of(clf.graph, SHAPE))
    assert "Pad" not in operations(graph)
    assert_same(clf, Rewritten(graph, tuple), 1e-5)


def test_pads_that_others_read_too():
    def make():
        padded = layers.ZeroPadding2D(1)(image := keras.Input(SHAPE))
        branches = layers.Conv2D(3, 3)(padded), layers.MaxPooling2D(3, 1)(padded)
        return keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.Concatenate()(branches))))

    clf = gx.load_classifier(in_double(make), output="logits")
    graph = with_folded_pads(clf.graph, shapes_of(clf.graph, SHAPE))
    assert {node.attr["padding"].s for node in graph.graph_def.node if node.op == "Conv2D"} == {b"SAME"}
    assert_same(clf, Rewritten(graph, tuple))
