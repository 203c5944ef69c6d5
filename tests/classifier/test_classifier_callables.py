"""Callables as classifiers: traced where TensorFlow can, called as they are where it cannot."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex._backend import keras
from tf_ganmex.classifier.graph import FrozenGraph
from tf_ganmex.errors import ImageError, LabelError, ModelError, OptionError

SHAPE = (8, 8, 2)


@pytest.fixture
def kernel():
    return np.random.default_rng(0).normal(size=(128, 4)).astype(np.float32)


def linear(kernel, between=lambda x: x):
    """Images to logits, with something between."""
    return lambda x: tf.reshape(between(x), (-1, 128)) @ tf.constant(kernel, x.dtype)


def assert_close(actual, expected, atol=1e-5):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


def test_a_callable_is_traced(kernel, images, value_and_gradient):
    function = linear(kernel, tf.sin)
    clf = gx.load_classifier(function, input_shape=SHAPE)
    assert isinstance(clf.graph, FrozenGraph)
    actual, expected = value_and_gradient(clf.logits_tensor, images), value_and_gradient(function, images)
    assert_close(actual[0], expected[0])
    assert_close(actual[1], expected[1])


def test_a_wrapped_keras_model_keeps_its_weights(softmax_model, images):
    clf = gx.load_classifier(lambda x: softmax_model(x, training=False)[:, ::-1], input_shape=SHAPE)
    assert len(clf.weights) == len(softmax_model.weights)
    assert_close(clf.probabilities(images), softmax_model(images)[:, ::-1])


def test_a_callable_that_says_what_it_takes(kernel, images):
    function = tf.function(linear(kernel), input_signature=[tf.TensorSpec((None, *SHAPE))])
    for source in (function, function.get_concrete_function()):
        clf = gx.load_classifier(source)
        assert clf.input_shape == SHAPE
        assert_close(clf.logits(images), function(images))


def test_a_callable_of_bytes(kernel, images):
    spec = tf.TensorSpec((None, *SHAPE), tf.uint8)
    function = tf.function(lambda x: linear(kernel)(tf.cast(x, tf.float32) / 255), input_signature=[spec])
    clf = gx.load_classifier(function, value_range=(0, 255))
    x = (255 * images).astype(np.uint8)
    assert_close(clf.logits(x), function(x))
    with pytest.raises(OptionError, match="Pass value_range=\\(0, 255\\)"):
        gx.load_classifier(function)


def test_constants_tell_callables_apart(kernel):
    one, same, other = (
        gx.load_classifier(linear(values), input_shape=SHAPE).fingerprint for values in (kernel, kernel, kernel + 1)
    )
    assert one == same != other


# --- a callable that does not say what it takes -----------------------------------------------------------------------


def test_the_first_images_say_what_a_callable_takes(kernel, images, refuses):
    clf = gx.load_classifier(linear(kernel), class_names=list("abcd"))
    for ask in (
        lambda: clf.input_shape,
        lambda: clf.num_classes,
        lambda: clf.class_names,
        lambda: clf.logits_tensor(tf.constant(images)),
        lambda: clf.graph,
        lambda: clf.weights,
        lambda: clf.fingerprint,
        lambda: clf.dtype,
        lambda: clf.keras_model,
    ):
        with refuses(ModelError, "has not seen an image", "input_shape=(h, w, c)"):
            ask()
    assert not hasattr(clf, "no_such_name")
    expected = linear(kernel)(images)
    assert_close(clf.logits(images), expected)
    assert clf.input_shape == SHAPE
    assert clf.class_names == ("a", "b", "c", "d")
    assert_close(clf.score_delta(images, 0, 1, score="logit"), expected[:, 0] - expected[:, 1])
    with refuses(ImageError, "(n, 8, 8, 2)", "(1, 9, 8, 2)"):
        clf.logits(np.zeros((1, 9, 8, 2), np.float32))


def test_the_first_images_are_checked(kernel, images, refuses):
    clf = gx.load_classifier(linear(kernel))
    with refuses(ImageError, "x[None]"):
        clf.logits(images[0])
    with refuses(ImageError, "value range [0, 1]", "255"):
        clf.logits(255 * images / images.max())
    with refuses(OptionError, "4 class names", "['a']"):
        gx.load_classifier(linear(kernel), class_names=["a"]).logits(images)


def test_every_first_question_will_do(kernel, images):
    expected = linear(kernel)(images).numpy()
    probabilities = np.exp(expected) / np.exp(expected).sum(-1, keepdims=True)
    new = lambda: gx.load_classifier(linear(kernel))  # noqa: E731
    assert_close(new().probabilities(images), probabilities)
    assert_close(new().score_delta(images, 0, 2), probabilities[:, 0] - probabilities[:, 2])
    assert_close(new().predict(images), expected.argmax(-1))
    attribution = gx.attributions.gradient(new(), images, 0, 1, score="logit")
    assert_close(attribution, np.broadcast_to((kernel[:, 0] - kernel[:, 1]).reshape(1, *SHAPE), images.shape))


def test_float64_images_make_a_float64_classifier(kernel, images, value_and_gradient):
    clf = gx.load_classifier(linear(kernel, tf.sin))
    images = images.astype(np.float64)
    assert clf.logits(images).dtype == np.float64
    assert clf.dtype == np.float64
    assert_close(clf.logits(images), np.sin(images).reshape(5, 128) @ kernel.astype(np.float64), 1e-12)
    deferred = gx.load_classifier(linear(kernel, tf.sin))
    assert deferred.logits(tf.constant(images)).dtype == np.float64


def test_float64_images_for_a_callable_of_float32(kernel, images):
    """What NumPy makes by default must not break a model that takes nothing but float32."""
    weights = tf.constant(kernel)
    clf = gx.load_classifier(lambda x: tf.reshape(x, (-1, 128)) @ weights)
    assert_close(clf.logits(images.astype(np.float64)), images.reshape(5, 128) @ kernel)
    assert clf.dtype == np.float32
    assert isinstance(clf.graph, FrozenGraph)


def test_a_callable_of_float64_only(kernel, images):
    weights = tf.constant(kernel, tf.float64)
    clf = gx.load_classifier(lambda x: tf.reshape(x, (-1, 128)) @ weights, input_shape=SHAPE)
    assert clf.dtype == np.float64
    assert_close(clf.logits(images), images.reshape(5, 128) @ kernel)


# --- a callable that cannot be traced ---------------------------------------------------------------------------------


def by_value(x):
    return x * (1.0 + x.numpy().max() * 0.0)


def by_branch(x):
    return tf.sin(x) if tf.reduce_mean(x) > -1 else x


def assert_opaque(clf, refuses):
    with refuses(ModelError, "whose graph is known", "integrated_gradients"):
        _ = clf.graph
    with refuses(ModelError, "cannot trace", "Keras model"):
        tf.function(clf.logits_tensor, autograph=False)(tf.zeros((1, *SHAPE)))
    assert clf.fingerprint == ""


@pytest.mark.parametrize("between", [by_value, by_branch])
@pytest.mark.parametrize("known", [True, False])
def test_an_untraceable_callable_still_has_scores_and_gradients(between, known, kernel, images, refuses):
    function = linear(kernel, between)
    clf = gx.load_classifier(function, input_shape=SHAPE if known else None)
    logits = function(tf.constant(images)).numpy()
    probabilities = tf.nn.softmax(logits).numpy()
    assert_close(clf.logits(images), logits)
    assert_close(clf.probabilities(images), probabilities)
    assert_close(clf.score_delta(images, 1, 3), probabilities[:, 1] - probabilities[:, 3])
    slope = (kernel[:, 1] - kernel[:, 3]).reshape(1, *SHAPE)
    expected = slope * (np.cos(images) if between is by_branch else np.ones_like(images))
    assert_close(gx.attributions.gradient(clf, images, 1, 3, score="logit"), expected)
    maps = gx.attributions.integrated_gradients(clf, images, 1, 3, np.zeros(SHAPE, np.float32), steps=50, score="logit")
    gap = clf.score_delta(images, 1, 3, "logit") - clf.score_delta(0 * images, 1, 3, "logit")
    assert_close(maps.sum((1, 2, 3)), gap, 1e-3)
    assert_opaque(clf, refuses)


def test_what_an_untraceable_callable_returns_is_recognised(kernel, images, make_small):
    clf = gx.load_classifier(lambda x: tf.nn.softmax(linear(kernel, by_value)(x)), input_shape=SHAPE)
    assert_close(clf.probabilities(images), tf.nn.softmax(images.reshape(5, 128) @ kernel))
    sigmoid = gx.load_classifier(lambda x: tf.sigmoid(linear(kernel[:, :1], by_value)(x)), input_shape=SHAPE)
    assert_close(sigmoid.probabilities(images)[:, 1:], tf.sigmoid(images.reshape(5, 128) @ kernel[:, :1]))
    logit = gx.load_classifier(lambda x: 0.3 + 1e-3 * linear(kernel[:, :1], by_value)(x), input_shape=SHAPE)
    assert_close(logit.logits(images)[:, 1:], 0.3 + 1e-3 * images.reshape(5, 128) @ kernel[:, :1])


@pytest.mark.parametrize("shaped", [False, True])
def test_a_numpy_function_has_scores_but_no_gradient(shaped, kernel, images, refuses):
    def function(x):
        scores = tf.numpy_function(lambda pixels: pixels.reshape(-1, 128) @ kernel, [x], tf.float32)
        return tf.ensure_shape(scores, (None, 4)) if shaped else scores

    clf = gx.load_classifier(function, input_shape=SHAPE)
    assert_close(clf.logits(images), images.reshape(5, 128) @ kernel)
    zero = np.zeros(SHAPE, np.float32)
    occluded = gx.attributions.occlusion(clf, images[:1], 0, 1, zero, window=8, channels="together", score="logit")
    assert np.ptp(occluded) == 0
    with refuses(ModelError, "no gradient", "occlusion"):
        gx.attributions.gradient(clf, images, 0, 1)


def test_a_callable_of_numpy_alone(kernel, images):
    clf = gx.load_classifier(lambda x: np.asarray(x).reshape(-1, 128) @ kernel, input_shape=SHAPE)
    assert_close(clf.logits(images), images.reshape(5, 128) @ kernel)


# --- callables that are no classifiers --------------------------------------------------------------------------------


def test_a_callable_that_fails(images, refuses):
    def broken(x):
        raise RuntimeError("out of paper")

    for known in (SHAPE, None):
        with refuses(ModelError, "(n, classes)", "out of paper"):
            gx.load_classifier(broken, input_shape=known).logits(images)


def test_a_callable_without_a_class_axis(kernel, refuses):
    with refuses(ModelError, "(n, classes)", "output shape=(None,)"):
        gx.load_classifier(lambda x: linear(kernel)(x)[:, 0], input_shape=SHAPE)
    with refuses(ModelError, "(n, classes)", "output shape=(1,)"):
        gx.load_classifier(lambda x: linear(kernel, by_value)(x)[:, 0], input_shape=SHAPE)
    with refuses(ModelError, "one output", "outputs 2"):
        gx.load_classifier(lambda x: (linear(kernel)(x), linear(kernel)(x)), input_shape=SHAPE)
    with refuses(ModelError, "floating", "int64"):
        gx.load_classifier(lambda x: tf.argmax(linear(kernel)(x), -1)[:, None], input_shape=SHAPE)


def test_an_input_shape_that_contradicts_the_callable(kernel, refuses):
    function = tf.function(linear(kernel), input_signature=[tf.TensorSpec((None, *SHAPE))])
    with refuses(OptionError, "(8, 8, 2)", "input_shape=(9, 8, 2)"):
        gx.load_classifier(function, input_shape=(9, 8, 2))


def test_an_untraceable_callable_has_no_weights_to_change(kernel, refuses):
    clf = gx.load_classifier(linear(kernel, by_value), input_shape=SHAPE)
    with refuses(ModelError, "whose graph is known"):
        clf.with_weights({})


def test_labels_of_a_callable_are_checked(kernel, images, refuses):
    clf = gx.load_classifier(linear(kernel, by_value))
    with refuses(LabelError, "from 0 to 3", "origin=[4]"):
        clf.score_delta(images, 4)
    assert isinstance(clf, gx.Classifier)
    assert not isinstance(clf, keras.Model)
