"""Layers come in the order of the graph, from the output to the input, each with its own weights."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf
from sanity_cases import SHAPE, classifier, normed_model, plain_model

import tf_ganmex as gx
from tf_ganmex.errors import ModelError
from tf_ganmex.sanity import layers_of

layers = keras.layers


def names(clf):
    return [layer.name for layer in layers_of(clf)]


def test_from_the_output_to_the_input_whatever_they_are_called():
    found = layers_of(classifier())
    assert [layer.name for layer in found] == ["c", "a", "d", "b"]
    for layer in found:
        assert {tuple(name.split("/")[-2:]) for name in layer.weights} == {(layer.name, "kernel"), (layer.name, "bias")}


def test_a_file_has_the_same_layers(tmp_path):
    plain_model().save(tmp_path / "m.keras")
    plain_model().export(tmp_path / "saved", verbose=False)
    assert names(gx.load_classifier(tmp_path / "m.keras")) == ["c", "a", "d", "b"]
    assert names(gx.load_classifier(tmp_path / "saved")) == ["c", "a", "d", "b"]


def test_the_statistics_of_a_normalization_belong_to_it():
    clf = classifier(normed_model())
    found = {layer.name: layer.weights for layer in layers_of(clf)}
    assert list(found) == ["out", "norm", "conv"]
    assert {name.rpartition("/")[2] for name in found["norm"]} == {"gamma", "beta", "moving_mean", "moving_variance"}
    assert sorted(name for weights in found.values() for name in weights) == sorted(clf.weights)


def test_no_layer_comes_before_one_that_it_feeds():
    """A residual block, whose layers are made in an order that is not that of the data."""
    image = keras.Input(SHAPE)
    out, last, shortcut = layers.Dense(3, name="out"), layers.Conv2D(4, 1, name="z2"), layers.Conv2D(4, 1, name="m")
    first, stem = layers.Conv2D(4, 1, name="z1"), layers.Conv2D(2, 1, name="z0")
    x = stem(image)
    x = layers.Add()([shortcut(x), last(layers.ReLU()(first(x)))])
    order = names(classifier(keras.Model(image, out(layers.Flatten()(x)))))
    assert order[0] == "out" and order[-1] == "z0"
    assert order.index("z2") < order.index("z1")
    assert set(order) == {"out", "z2", "m", "z1", "z0"}


def test_a_layer_used_twice_counts_where_it_is_nearest_to_the_output():
    image = keras.Input(SHAPE)
    twice, between = layers.Conv2D(1, 1, name="twice"), layers.Conv2D(1, 1, name="between")
    x = twice(between(twice(image)))
    order = names(classifier(keras.Model(image, layers.Dense(3, name="out")(layers.Flatten()(x)))))
    assert order == ["out", "twice", "between"]


def test_weights_without_names_of_layers_are_told_by_what_reads_them():
    low, high = tf.Variable(tf.ones((64, 5)), name="u"), tf.Variable(tf.ones((5, 3)), name="v")
    shift_low, shift_high = tf.Variable(tf.ones(5), name="p"), tf.Variable(tf.ones(3), name="q")

    def function(x):
        return tf.nn.relu(tf.reshape(x, (-1, 64)) @ low + shift_low) @ high + shift_high

    found = layers_of(gx.load_classifier(function, output="logits", input_shape=SHAPE))
    assert [set(layer.weights) for layer in found] == [{"v", "q"}, {"u", "p"}]


def test_the_common_beginning_of_names_is_left_out():
    clf = classifier(
        keras.Sequential([keras.Input(SHAPE), layers.Flatten(), layers.Dense(3, name="two")], name="whole")
    )
    assert names(clf) == ["two"]
    assert list(clf.weights) == ["whole/two/kernel", "whole/two/bias"]


def test_layers_of_one_name_in_two_models_are_two():
    body = [keras.Sequential([keras.Input(SHAPE), layers.Conv2D(1, 1, name="conv")], name=name) for name in "xy"]
    model = keras.Sequential([keras.Input(SHAPE), *body, layers.Flatten(), layers.Dense(3, name="out")], name="whole")
    assert names(classifier(model)) == ["whole/out", "y/conv", "x/conv"]


def test_without_weights_there_is_nothing_to_randomize():
    weights = tf.ones((64, 3))
    constant = gx.load_classifier(lambda x: tf.reshape(x, (-1, 64)) @ weights, output="logits", input_shape=SHAPE)
    with pytest.raises(ModelError, match=r"Expected a classifier with weights.*constants"):
        layers_of(constant)
    eager = gx.load_classifier(lambda x: tf.constant(x.numpy().reshape(-1, 64)[:, :3]), "logits", input_shape=SHAPE)
    with pytest.raises(ModelError, match="graph is known"):
        layers_of(eager)
