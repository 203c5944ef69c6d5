"""The scales of norms behind ReLUs taken before them: the same outputs and gradients, whatever their signs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from attribution_cases import assert_close, sequential
from rewriting_cases import assert_same, assert_same_with_other_weights, more_weights, operations
from test_paths_affine import both_ways, images, in_double

import tf_ganmex as gx
from tf_ganmex.attributions.affine import AffinePart
from tf_ganmex.attributions.graphs.rewriting import shapes_of
from tf_ganmex.attributions.graphs.scales import with_scales_before_relus

layers = keras.layers
SHAPE = (8, 9, 2)


def norm():
    return layers.BatchNormalization()


def network(*between, last=lambda: layers.Conv2D(3, 3)):
    first = layers.Conv2D(4, 3, padding="same", activation="relu")
    return sequential(SHAPE, first, *between, last(), layers.Flatten(), layers.Dense(4))


def read_twice():
    image = keras.Input(SHAPE)
    z = norm()(layers.Conv2D(4, 3, padding="same", activation="relu")(image))
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.Add()([z, layers.Conv2D(4, 1)(z)]))))


def relu_read_twice():
    image = keras.Input(SHAPE)
    z = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.Add()([z, layers.Conv2D(4, 1)(norm()(z))]))))


# The network, and how many of its norms are taken apart.
NETWORKS = {
    "norm": (lambda: network(norm()), 1),
    "average behind": (lambda: network(norm(), layers.AveragePooling2D(2)), 1),
    "padded average behind": (lambda: network(norm(), layers.AveragePooling2D(2, padding="same")), 1),
    "two norms": (lambda: network(norm(), norm(), layers.AveragePooling2D(2), layers.AveragePooling2D(2, 1)), 1),
    "depthwise behind": (lambda: network(norm(), last=lambda: layers.DepthwiseConv2D(3, depth_multiplier=2)), 1),
    "two after each other": (lambda: network(norm(), layers.Conv2D(5, 3, activation="relu"), norm()), 2),
    "norms before, too": (lambda: network(norm(), layers.Conv2D(5, 3), norm(), layers.ReLU(), norm()), 2),
    "maximum behind": (lambda: network(norm(), layers.MaxPooling2D(2)), 0),
    "padding behind": (lambda: network(norm(), layers.ZeroPadding2D(1)), 0),
    "other activation": (lambda: network(layers.Activation("tanh"), norm()), 0),
    "no convolution before": (lambda: network(layers.MaxPooling2D(2), layers.ReLU(), norm()), 0),
    "none behind": (lambda: network(norm(), last=layers.Flatten), 0),
    "read twice": (read_twice, 0),
    "ReLU read twice": (relu_read_twice, 0),
}


def classifier(make):
    """With scales of both signs, and some that are zero."""
    clf = gx.load_classifier(in_double(make), output="logits")
    gammas = {name: value for name, value in clf.weights.items() if name.endswith("gamma")}
    return clf.with_weights({name: value * np.resize([1, -1, 0, -2], len(value)) for name, value in gammas.items()})


def rewritten(clf):
    return with_scales_before_relus(clf.graph, shapes_of(clf.graph, SHAPE))


@pytest.mark.parametrize("name", NETWORKS)
def test_same_outputs_and_gradients(name):
    make, count = NETWORKS[name]
    clf = classifier(make)
    found = rewritten(clf)
    assert more_weights(clf, found) == 3 * count
    assert_same(clf, found)


@pytest.mark.parametrize("name", ["norm", "average behind", "two norms"])
def test_only_additions_are_left_behind(name):
    clf = classifier(NETWORKS[name][0])
    assert AffinePart.of(clf, SHAPE) is not None
    assert not operations(AffinePart.of(clf, SHAPE).graph) & {"Mul"}


def test_other_weights():
    clf = classifier(NETWORKS["two after each other"][0])
    assert_same_with_other_weights(clf, rewritten(clf))


@pytest.mark.parametrize("name", NETWORKS)
def test_integrated_gradients(name):
    clf = classifier(NETWORKS[name][0])
    x, baseline = images(shape=SHAPE)
    assert_close(*both_ways(clf, x, baseline, [0, 1, 2], [1, 2, 3], steps=45, chunk=45), 1e-11)


def test_the_graph_given_stays_as_it_is():
    clf = classifier(NETWORKS["two norms"][0])
    before = clf.graph.graph_def.SerializeToString(deterministic=True)
    rewritten(clf)
    assert clf.graph.graph_def.SerializeToString(deterministic=True) == before
