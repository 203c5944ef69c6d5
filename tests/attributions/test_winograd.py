"""Convolutions with fewer multiplications: the same results and gradients."""

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
from tf_ganmex.attributions.graphs import products, winograd
from tf_ganmex.attributions.graphs.products import with_fewer_products
from tf_ganmex.attributions.graphs.rewriting import shapes_of
from tf_ganmex.attributions.graphs.winograd import convolve, values_of_kernel

layers = keras.layers
SHAPE = (7, 5, 2)


def conv(filters=3, size=3, **options):
    return layers.Conv2D(filters, size, **({"padding": "same"} | options))


def network(*body):
    return sequential(SHAPE, *body, layers.Flatten(), layers.Dense(4))


def residual():
    image = keras.Input(SHAPE)
    z = layers.ReLU()(conv()(image))
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.Add()([z, conv()(z)]))))


# The network, how many convolutions take the algorithm, how often maps are turned round.
NETWORKS = {
    "one": (lambda: network(conv(), layers.ReLU()), 1, 2),
    "one after the other": (lambda: network(conv(), conv(4)), 2, 2),
    "elementwise between": (lambda: network(conv(), layers.BatchNormalization(), layers.ReLU(), conv(4)), 2, 2),
    "average between": (lambda: network(conv(), layers.ReLU(), layers.AveragePooling2D(2), conv(4)), 2, 4),
    "read twice": (residual, 2, 4),
    "other convolutions": (
        lambda: network(
            conv(strides=2),
            conv(size=5),
            conv(size=(1, 3)),
            conv(dilation_rate=2),
            conv(filters=2),
            layers.DepthwiseConv2D(3, padding="same"),
            conv(padding="valid"),
        ),
        1,
        2,
    ),
    "other functions between": (lambda: network(conv(), layers.LayerNormalization(), conv(4)), 2, 4),
}


@pytest.fixture(autouse=True)
def of_few_channels(monkeypatch):
    monkeypatch.setattr(products, "CHANNELS", 2)
    monkeypatch.setattr(straight, "_MANY", 1)


def classifier(make):
    return gx.load_classifier(in_double(make), output="logits")


def rewritten(clf, left=()):
    return with_fewer_products(clf.graph, shapes_of(clf.graph, SHAPE), left)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("size", [(3, 3), (3, 5), (4, 4), (6, 6), (3, 8), (8, 6), (9, 13), (16, 16)])
def test_convolution(size, padding):
    rng = np.random.default_rng(1)
    x, kernel = tf.constant(rng.normal(size=(6, *size, 3))), tf.constant(rng.normal(size=(3, 3, 3, 5)))
    found = convolve(tf.transpose(x, (1, 2, 0, 3)), values_of_kernel(kernel), padded=padding == "SAME")
    assert_close(tf.transpose(found, (2, 0, 1, 3)), tf.nn.conv2d(x, kernel, 1, padding), 1e-13)


def rounding():
    """In float32, of rectified maps as wide as those of real networks, beside the result: root mean squares."""
    rng = np.random.default_rng(2)
    x, kernel = np.maximum(rng.normal(size=(4, 8, 8, 256)), 0), rng.normal(size=(3, 3, 256, 64))
    exact = tf.nn.conv2d(x, kernel, 1, "SAME").numpy()
    found = convolve(tf.constant(x.transpose(1, 2, 0, 3), tf.float32), values_of_kernel(np.float32(kernel)))
    return np.sqrt(((found.numpy().transpose(2, 0, 1, 3) - exact) ** 2).mean() / (exact**2).mean())


def test_rounding_in_single_precision(monkeypatch):
    found = rounding()
    assert 0 < found < 2e-6
    monkeypatch.setattr(winograd, "_POINTS", (0, 1, -1, 2, -2))
    assert found < rounding()


@pytest.mark.parametrize("name", NETWORKS)
def test_same_outputs_and_gradients(name):
    make, count, turns = NETWORKS[name]
    clf = classifier(make)
    found = rewritten(clf)
    assert more_weights(clf, found) == count
    assert [node.op for node in found.graph.graph_def.node].count("Transpose") == turns
    assert_same(clf, found)


def test_left():
    assert_leaves(classifier(NETWORKS["one after the other"][0]), rewritten)


def test_convolutions_in_groups_are_left():
    clf = classifier(lambda: network(conv(4, groups=2)))
    assert rewritten(clf).graph is clf.graph


def test_few_channels_and_large_maps_are_left(monkeypatch):
    clf = classifier(NETWORKS["one"][0])
    for name, least in (("CHANNELS", 3), ("LARGEST", 6)):
        with monkeypatch.context() as patch:
            patch.setattr(products, name, least)
            assert rewritten(clf).graph is clf.graph


def test_other_weights():
    clf = classifier(NETWORKS["elementwise between"][0])
    assert_same_with_other_weights(clf, rewritten(clf))


@pytest.mark.parametrize("name", NETWORKS)
def test_integrated_gradients(name):
    clf = classifier(NETWORKS[name][0])
    x, baseline = images(shape=SHAPE)
    assert_close(*both_ways(clf, x, baseline, [0, 1, 2], [1, 2, 3], steps=45, chunk=45), 1e-11)


def test_few_gradients_take_the_convolutions_as_they_are(monkeypatch):
    clf = classifier(NETWORKS["elementwise between"][0])
    x, baseline = images(2, SHAPE)
    monkeypatch.setattr(straight, "_MANY", 2 * 10 + 1)
    monkeypatch.setattr(products, "values_of_kernel", None)
    assert_close(*both_ways(clf, x, baseline, 0, 1, steps=10, chunk=10), 1e-11)


def test_the_papers_network(monkeypatch):
    monkeypatch.undo()
    clf = classifier(lambda: gx.zoo.cifar10_classifier((16, 16, 3), 4))
    shape = (16, 16, 3)
    part = AffinePart.of(clf, shape)
    assert operations(part.faster.graph) - operations(part.graph) == {"BatchMatMulV2", "Transpose"}
    x, baseline = images(2, shape)
    assert_close(*both_ways(clf, x, baseline, 0, 1, steps=50, chunk=50), 1e-11)


def test_single_precision_of_integrated_gradients():
    shape = (16, 16, 3)
    double = classifier(lambda: gx.zoo.cifar10_classifier(shape, 4))
    weights = {name: value.astype(np.float32) for name, value in double.weights.items()}
    single = gx.load_classifier(gx.zoo.cifar10_classifier(shape, 4), output="logits").with_weights(weights)
    x, baseline = images(2, shape)
    (exact, _) = both_ways(double, x, baseline, 0, 1, steps=50, chunk=50)
    x, baseline = x.astype(np.float32), baseline.astype(np.float32)
    for found in both_ways(single, x, baseline, 0, 1, steps=50, chunk=50):
        assert found.dtype == np.float32
        assert_close(found, exact, 2e-5)
