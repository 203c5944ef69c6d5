"""Maps that can be written down: linear classifiers and sums of functions of one feature each."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from attribution_cases import METHODS, assert_close, sequential

import tf_ganmex as gx

layers = keras.layers
EXACT = [method for method in METHODS if method.name not in {"gradient", "occlusion-windows"}]
ON_GRAPH = [method for method in EXACT if method.name != "deepshap-shap"]


def ids(methods):
    return [method.name for method in methods]


@pytest.fixture(scope="module")
def linear():
    keras.utils.set_random_seed(1)
    model = sequential((4, 5, 2), layers.Flatten(), layers.Dense(3), layers.Softmax())
    kernel = model.layers[1].get_weights()[0].T.reshape(3, 4, 5, 2)
    x, baseline = np.random.default_rng(1).random((2, 3, 4, 5, 2), np.float32)
    return gx.load_classifier(model), kernel, x, baseline


@pytest.mark.parametrize("target", [2, None, "average"])
@pytest.mark.parametrize("method", ON_GRAPH, ids=ids(ON_GRAPH))
def test_logit_of_a_linear_classifier(method, target, linear):
    """Weight times difference by every method: the softmax behind the logits must not show."""
    clf, kernel, x, baseline = linear
    against = {2: kernel[2], None: 0, "average": (kernel[0] + kernel[2]) / 2}[target]
    maps = method.function(clf, x, 1, target, baseline, score="logit")
    assert_close(maps, (kernel[1] - against) * (x - baseline), 1e-5)


def test_gradient_of_a_linear_classifier(linear):
    clf, kernel, x, _ = linear
    maps = gx.attributions.gradient(clf, x, 1, 2, score="logit")
    assert_close(maps, np.repeat((kernel[1] - kernel[2])[None], 3, 0), 1e-5)


def test_shap_on_a_linear_classifier():
    model = sequential((4, 5, 2), layers.Flatten(), layers.Dense(3))
    kernel = model.layers[1].get_weights()[0].T.reshape(3, 4, 5, 2)
    x, baseline = np.random.default_rng(2).random((2, 3, 4, 5, 2), np.float32)
    maps = gx.attributions.deepshap(
        gx.load_classifier(model, output="logits"), x, 1, 2, baseline, backend="shap", score="logit"
    )
    assert_close(maps, (kernel[1] - kernel[2]) * (x - baseline), 1e-5)


def toy(x):
    """Logits (5a + b² + sin c, 0) of the features a, b, c."""
    a, b, c = tf.unstack(tf.reshape(x, (-1, 3)), axis=1)
    score = 5 * a + b**2 + tf.sin(c)
    return tf.stack([score, tf.zeros_like(score)], 1)


@pytest.fixture(scope="module")
def toy_question():
    clf = gx.load_classifier(toy, output="logits", value_range=(-4, 4))
    x, baseline = np.random.default_rng(3).uniform(-4, 4, (2, 6, 1, 1, 3))
    return clf, x, baseline


@pytest.mark.parametrize("method", [m for m in ON_GRAPH if m.complete or m.name == "occlusion"], ids=lambda m: m.name)
def test_sum_of_functions_of_one_feature(method, toy_question):
    """Each feature gets the difference of its own term."""
    clf, x, baseline = toy_question
    maps = method.function(clf, x, 0, 1, baseline, score="logit")
    terms = [np.concatenate([5 * z[..., :1], z[..., 1:2] ** 2, np.sin(z[..., 2:])], -1) for z in (x, baseline)]
    assert_close(maps, terms[0] - terms[1], 1e-12)


def test_integrated_gradients_of_the_toy(toy_question):
    clf, x, baseline = toy_question
    maps = gx.attributions.integrated_gradients(clf, x, 0, 1, baseline, steps=20, rule="gauss-legendre", score="logit")
    terms = [np.concatenate([5 * z[..., :1], z[..., 1:2] ** 2, np.sin(z[..., 2:])], -1) for z in (x, baseline)]
    assert_close(maps, terms[0] - terms[1], 1e-12)


def test_gradient_of_the_toy(toy_question):
    clf, x, _ = toy_question
    expected = np.concatenate([np.full_like(x[..., :1], 5), 2 * x[..., 1:2], np.cos(x[..., 2:])], -1)
    assert_close(gx.attributions.gradient(clf, x, 0, 1, score="logit"), expected, 1e-12)


@pytest.mark.parametrize("method", ["integrated_gradients", "deeplift", "deepshap"])
def test_product_of_two_features_is_shared_equally(method):
    clf = gx.load_classifier(lambda x: tf.stack([x[:, 0, 0, 0] * x[:, 0, 0, 1], x[:, 0, 0, 0] * 0], 1), output="logits")
    x = np.array([[[[0.6, 0.5]]]])
    maps = getattr(gx.attributions, method)(clf, x, 0, 1, np.zeros((1, 1, 2)), score="logit")
    assert_close(maps, np.full_like(x, 0.15), 1e-12)


def test_maximum_of_two_features_is_their_shapley_value():
    clf = gx.load_classifier(
        lambda x: tf.stack([tf.maximum(x[:, 0, 0, 0], x[:, 0, 0, 1]), x[:, 0, 0, 0] * 0], 1), output="logits"
    )
    maps = gx.attributions.deeplift(
        clf, np.array([[[[0.8, 0.6]]]]), 0, 1, np.full((1, 1, 2), [[[0.5, 0.1]]]), score="logit"
    )
    # Alone, the first lifts the maximum by 0.3 and the second by 0.1; together by 0.3.
    assert_close(maps, [[[[0.25, 0.05]]]], 1e-12)


def test_maximum_over_positions():
    """From 0.5 at the second position to 0.9 at the first: the rise to the new maximum is the first position's."""
    clf = gx.load_classifier(lambda x: tf.stack([tf.reduce_max(x, (1, 2, 3)), x[:, 0, 0, 0] * 0], 1), output="logits")
    x, baseline = np.array([[[[0.9, 0.2]]]]), np.array([[[0.1, 0.5]]])
    assert_close(gx.attributions.deeplift(clf, x, 0, 1, baseline, score="logit"), [[[[0.4, 0]]]], 1e-12)
    assert_close(gx.attributions.deeplift(clf, baseline[None], 0, 1, x[0], score="logit"), [[[[-0.4, 0]]]], 1e-12)


def test_logit_and_probability_are_different_questions(linear):
    clf, _, x, baseline = linear
    maps = {s: gx.attributions.deeplift(clf, x, 1, 2, baseline, score=s) for s in ("probability", "logit")}
    assert np.abs(maps["probability"] - maps["logit"]).max() > 0.1 * np.abs(maps["logit"]).max()
