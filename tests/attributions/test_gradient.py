"""The plain gradient against a tape on the model itself."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from attribution_cases import assert_close, sequential, sharpened

import tf_ganmex as gx
from tf_ganmex.attributions import gradient
from tf_ganmex.errors import ModelError

layers = keras.layers


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return sharpened(
        sequential(
            (7, 7, 2),
            layers.Conv2D(4, 3, activation="silu"),
            layers.MaxPooling2D(2),
            layers.LayerNormalization(),
            layers.Flatten(),
            layers.Dense(4),
        )
    )


@pytest.mark.parametrize("score", ["probability", "logit"])
def test_equals_the_tape(score, model):
    clf = gx.load_classifier(model, output="logits")
    x = tf.constant(np.random.default_rng(2).random((5, 7, 7, 2), np.float32))
    with tf.GradientTape() as tape:
        tape.watch(x)
        scores = model(x)
        scores = tf.nn.softmax(scores) if score == "probability" else scores
        delta = scores[:, 3] - scores[:, 1]
    assert_close(gradient(clf, x, 3, 1, score=score), tape.gradient(delta, x), 1e-5)


@pytest.mark.parametrize("units", [3, 1])
def test_a_probability_that_is_one_in_float32_has_a_gradient_all_the_same(units):
    """Softmax and sigmoid of float64, by hand."""
    dense = layers.Dense(units)
    model = keras.Sequential([keras.Input((1, 1, 1)), layers.Flatten(), dense])
    slopes = np.array([30.0, 0, -3])[:units]
    dense.set_weights([slopes[None], np.zeros(units)])
    clf = gx.load_classifier(model, output="logits")
    assert clf.probabilities(np.ones((1, 1, 1, 1), np.float32)).max() == 1
    logits = slopes if units == 3 else np.array([0, 30.0])
    p = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    o, t = int(logits.argmax()), int(logits.argmin())
    rest = np.delete(np.arange(len(p)), o)
    of_origin = (
        p[o] * (p[rest] * (logits[o] - logits[rest])).sum()
    )  # p_o (z_o − Σ p_j z_j), without a difference of near equals
    of_target = p[t] * (logits[t] - (p * logits).sum())
    found = gradient(clf, np.ones((1, 1, 1, 1), np.float32), o, t)
    assert float(found.squeeze()) == pytest.approx(of_origin - of_target, rel=1e-5)


def test_target_may_be_left_out(model):
    clf = gx.load_classifier(model, output="logits")
    x = np.random.default_rng(3).random((2, 7, 7, 2), np.float32)
    assert np.array_equal(gradient(clf, x, 1), gradient(clf, x, 1, None))


@pytest.mark.parametrize("method", ["gradient", "integrated_gradients", "expected_gradients"])
def test_model_without_gradient_is_refused(method):
    def rounding(x):
        return tf.reshape(tf.cast(tf.cast(x * 4, tf.int32), tf.float32), (-1, 4))

    def outside_tensorflow(x):
        return tf.constant(x.numpy().reshape(-1, 4))

    x = np.random.default_rng(4).random((2, 2, 2, 1), np.float32)
    for function in (rounding, outside_tensorflow):
        clf = gx.load_classifier(function, output="logits", input_shape=(2, 2, 1))
        arguments = () if method == "gradient" else (np.zeros_like(x)[None],)
        with pytest.raises(ModelError, match=r"Expected a differentiable.*Received.*Use occlusion"):
            getattr(gx.attributions, method)(clf, x, 0, 1, *arguments)
        gx.attributions.occlusion(clf, x, 0, 1, np.zeros_like(x))
