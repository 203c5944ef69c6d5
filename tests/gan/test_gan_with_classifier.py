"""GANMEX on a classifier of the package: the frozen graph must pass its gradient on to the generator."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex._backend import keras
from tf_ganmex.gan import GANMEX


@pytest.fixture(scope="module")
def model(make_model):
    return make_model()


@pytest.fixture(scope="module")
def gan(model):
    return GANMEX(gx.load_classifier(model, output="logits"), filters=4, blocks=1, reconstruction_weight=1.0)


def test_gradient_through_the_frozen_graph_is_the_models(model, gan, images):
    real, target = tf.constant(images * 2 - 1), tf.constant(np.arange(20) % 3, tf.int32)
    weights = [variable.value for variable in gan.generator.trainable_variables]

    @tf.function
    def frozen():
        with tf.GradientTape() as tape:
            loss = gan.generator_terms(real, target, target).classification
        return tape.gradient(loss, weights)

    with tf.GradientTape() as tape:
        logits = model((gan.translate(real, target) + 1) / 2, training=False)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits))
    for ours, expected in zip(frozen(), tape.gradient(loss, weights), strict=True):
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())


def test_training_saving_and_loading(model, gan, images, labels, tmp_path):
    before = [w.copy() for w in model.get_weights()]
    gan.fit(gan.dataset(images, labels, batch_size=8), steps_per_epoch=2, verbose=0)
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    gan.save(tmp_path / "gan")
    again = gx.load_ganmex(tmp_path / "gan", classifier=gx.load_classifier(model, output="logits"))
    np.testing.assert_array_equal(again.generate(images, 1), gan.generate(images, 1))
    assert gx.GANMEX is GANMEX


def test_a_float64_classifier(images):
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((8, 8, 1), dtype="float64"), layers.Flatten(dtype="float64"), layers.Dense(3, dtype="float64")]
    )
    clf = gx.load_classifier(model, output="logits")
    assert clf.dtype == np.float64
    gan = GANMEX(clf, filters=4, blocks=0, reconstruction_weight=0.0)
    real, target = tf.constant(images * 2 - 1), tf.constant(np.arange(20) % 3, tf.int32)
    with tf.GradientTape() as tape:
        terms = gan.generator_terms(real, target, target)
    kernel = gan.generator.get_layer("down_0").kernel.value
    assert terms.loss.dtype == tf.float32
    assert np.abs(tape.gradient(terms.classification, kernel)).max() > 0
