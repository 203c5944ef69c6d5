"""1×1 convolutions with gradients of their own: the same gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from attribution_cases import assert_close, sequential
from rewriting_cases import assert_leaves, assert_same, assert_same_with_other_weights, more_weights, operations
from test_paths_affine import both_ways, images, in_double

import tf_ganmex as gx
from tf_ganmex.attributions import straight
from tf_ganmex.attributions.affine import AffinePart
from tf_ganmex.attributions.graphs.pointwise import with_gradients_as_products
from tf_ganmex.attributions.graphs.rewriting import shapes_of

layers = keras.layers
SHAPE = (5, 4, 2)


def network(*body):
    return sequential(SHAPE, *body, layers.Flatten(), layers.Dense(4))


def residual():
    image = keras.Input(SHAPE)
    z = layers.Conv2D(3, 1, activation="relu")(image)
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.Add()([z, layers.Conv2D(3, 1)(z)]))))


def bias_read_twice():
    image = keras.Input(SHAPE)
    z = layers.Conv2D(3, 1)(image)
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.Add()([z, layers.ReLU()(z)]))))


# The network, and how many of its convolutions have gradients of their own.
NETWORKS = {
    "bias and ReLU": (lambda: network(layers.Conv2D(3, 1, activation="relu")), 1),
    "bias and ReLU6": (lambda: network(layers.Conv2D(3, 1), layers.ReLU(6)), 1),
    "alone": (lambda: network(layers.Conv2D(3, 1, use_bias=False)), 1),
    "other activation": (lambda: network(layers.Conv2D(3, 1, activation="tanh")), 1),
    "ReLU without bias": (lambda: network(layers.Conv2D(3, 1, use_bias=False), layers.ReLU()), 1),
    "norm": (lambda: network(layers.Conv2D(3, 1), layers.BatchNormalization(), layers.ReLU()), 1),
    "one after the other": (lambda: network(layers.Conv2D(3, 1, activation="relu"), layers.Conv2D(5, 1)), 2),
    "residual": (residual, 2),
    "bias read twice": (bias_read_twice, 1),
    "strides": (lambda: network(layers.Conv2D(3, 1, 2)), 0),
    "larger": (lambda: network(layers.Conv2D(3, (1, 2))), 0),
    "depthwise": (lambda: network(layers.DepthwiseConv2D(1)), 0),
}


def classifier(make):
    return gx.load_classifier(in_double(make), output="logits")


def rewritten(clf, left=()):
    return with_gradients_as_products(clf.graph, shapes_of(clf.graph, SHAPE), left)


@pytest.mark.parametrize("name", NETWORKS)
def test_same_outputs_and_gradients(name):
    make, count = NETWORKS[name]
    clf = classifier(make)
    found = rewritten(clf)
    assert more_weights(clf, found) == count
    assert_same(clf, found)


def test_left():
    assert_leaves(classifier(NETWORKS["one after the other"][0]), rewritten)


def test_convolutions_in_groups_are_left():
    clf = classifier(lambda: network(layers.Conv2D(4, 1, groups=2)))
    assert rewritten(clf).graph is clf.graph


def test_padded_convolutions_are_left():
    rng = np.random.default_rng(3)
    kernel, matrix = (tf.constant(rng.normal(size=size), tf.float32) for size in ((1, 1, 2, 3), (3, 4)))

    def call(x):
        return tf.reduce_mean(tf.nn.conv2d(x, kernel, 1, [[0, 0], [1, 1], [1, 1], [0, 0]]), (1, 2)) @ matrix

    clf = gx.load_classifier(call, output="logits", input_shape=SHAPE)
    assert rewritten(clf).graph is clf.graph


def test_other_weights():
    clf = classifier(NETWORKS["one after the other"][0])
    assert_same_with_other_weights(clf, rewritten(clf))


@pytest.mark.parametrize("name", NETWORKS)
def test_integrated_gradients(name, monkeypatch):
    monkeypatch.setattr(straight, "_MANY", 1)
    clf = classifier(NETWORKS[name][0])
    x, baseline = images(shape=SHAPE)
    assert_close(*both_ways(clf, x, baseline, [0, 1, 2], [1, 2, 3]), 1e-12)


def test_mobilenet():
    shape = (32, 32, 3)
    model = in_double(lambda: keras.applications.MobileNet(shape, alpha=0.25, weights=None, classes=4))
    clf = gx.load_classifier(model, value_range=(-1, 1))
    assert "IdentityN" in operations(AffinePart.of(clf, shape).faster.graph)
    x, baseline = images(2, shape)
    assert_close(*both_ways(clf, x, baseline, 0, 1, steps=50, chunk=50), 1e-11)
