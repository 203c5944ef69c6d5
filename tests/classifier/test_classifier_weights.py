"""The weights are the classifier's own: fed, exchangeable, told apart, and untouched by what happens to the model."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex._backend import keras
from tf_ganmex.errors import OptionError

layers = keras.layers


@pytest.fixture
def clf(softmax_model):
    return gx.load_classifier(softmax_model)


def test_weights_by_name(clf, softmax_model):
    assert len(clf.weights) == len(softmax_model.weights) == 4
    for (name, value), weight in zip(clf.weights.items(), softmax_model.weights, strict=True):
        assert name.endswith(weight.path)
        np.testing.assert_array_equal(value, weight.numpy())


def test_layers_of_the_same_name_have_weights_of_their_own(tmp_path, images):
    """Keras names the layers of a nested model anew when it reads a file."""
    image = keras.Input((8, 8, 2))
    bodies = [[keras.Input((8, 8, 2)), layers.Conv2D(2, 3, padding="same", name="conv")] for _ in range(2)]
    x = keras.Sequential(bodies[1])(keras.Sequential(bodies[0])(image))
    keras.Model(image, layers.Dense(3)(layers.Flatten()(x))).save(tmp_path / "m.keras")
    clf = gx.load_classifier(tmp_path / "m.keras")
    assert len(clf.weights) == 6
    convolutions = [name for name in clf.weights if name.endswith("/kernel") and "conv" in name]
    assert len({name.rpartition("/")[0] for name in convolutions}) == 2
    first, second = (clf.with_weights({name: clf.weights[name] + 0.5}).logits(images) for name in convolutions)
    assert np.abs(first - second).max() > 1e-3
    assert np.abs(first - clf.logits(images)).max() > 1e-3


def test_other_weights_give_the_outputs_of_the_model_that_has_them(clf, softmax_model, images, make_random):
    before, fingerprint = clf.probabilities(images), clf.fingerprint
    make_random(softmax_model, seed=9)
    other = clf.with_weights(gx.load_classifier(softmax_model).weights)
    np.testing.assert_allclose(other.probabilities(images), softmax_model(images), rtol=0, atol=1e-6)
    assert np.abs(other.probabilities(images) - before).max() > 0.01
    np.testing.assert_array_equal(clf.probabilities(images), before)
    assert clf.fingerprint == fingerprint != other.fingerprint
    assert other.fingerprint == gx.load_classifier(softmax_model).fingerprint
    assert other.class_names == clf.class_names
    assert other.value_range == clf.value_range
    assert other.ends_in_activation == clf.ends_in_activation
    assert other.keras_model is None, "the model has other weights"


def test_some_weights_keep_the_others(clf, images):
    name = list(clf.weights)[-1]
    other = clf.with_weights({name: clf.weights[name] + [1, 0, 0, 0]})
    difference = other.logits(images) - clf.logits(images)
    np.testing.assert_allclose(difference, np.tile([1, 0, 0, 0], (5, 1)), atol=1e-6)
    back = other.with_weights({name: clf.weights[name]})
    assert back.fingerprint == clf.fingerprint != other.fingerprint


def test_other_weights_are_not_traced_anew(clf, images):
    traces = []

    def kernel(x, weights):
        traces.append(None)
        return clf.scores_tensor(x, weights, "logit")

    rng = np.random.default_rng(0)
    others = [
        clf.with_weights({name: rng.normal(size=value.shape) for name, value in clf.weights.items()}) for _ in range(5)
    ]
    results = [
        other.kernel("test", lambda: kernel)(tf.constant(images), other.weight_tensors).numpy() for other in others
    ]
    assert len(traces) == 1
    for other, result in zip(others, results, strict=True):
        assert other.engine is clf.engine
        np.testing.assert_allclose(result, other.logits(images), atol=1e-6)
    assert np.abs(results[0] - results[1]).max() > 0.1


def test_weights_that_do_not_fit(clf, refuses):
    name = next(iter(clf.weights))
    with refuses(OptionError, "one of the names", name, "weight 'kernel'"):
        clf.with_weights({"kernel": np.zeros(3)})
    with refuses(OptionError, "shape (3, 3, 2, 3)", f"weight {name!r} of shape (3,)"):
        clf.with_weights({name: np.zeros(3)})


def test_what_happens_to_the_arrays_does_not_change_the_classifier(clf, images):
    before = clf.logits(images)
    for value in clf.weights.values():
        if value.flags.writeable:
            value += 1
    np.testing.assert_array_equal(clf.logits(images), before)


def test_training_the_model_does_not_change_the_classifier(softmax_model, images):
    clf = gx.load_classifier(softmax_model)
    wrapped = gx.load_classifier(lambda x: softmax_model(x, training=False), input_shape=(8, 8, 2))
    before, fingerprint = clf.probabilities(images), clf.fingerprint
    softmax_model.compile("sgd", "sparse_categorical_crossentropy")
    softmax_model.fit(images, np.arange(5) % 4, epochs=3, verbose=0)
    assert np.abs(softmax_model(images) - before).max() > 1e-3
    for loaded in (clf, wrapped):
        np.testing.assert_allclose(loaded.probabilities(images), before, rtol=0, atol=1e-7)
        assert loaded.fingerprint == fingerprint


def test_using_the_classifier_does_not_change_the_model(images, make_random):
    """Batch norm and dropout run in inference mode, and nothing of the classifier trains."""
    body = [layers.BatchNormalization(), layers.Dropout(0.5), layers.Flatten(), layers.Dense(4)]
    model = make_random(keras.Sequential([keras.Input((8, 8, 2)), *body]))
    before = [weight.copy() for weight in model.get_weights()]
    clf = gx.load_classifier(model)
    first = clf.logits(images)
    np.testing.assert_array_equal(clf.logits(images), first)
    np.testing.assert_allclose(first, model(images, training=False), rtol=0, atol=1e-5)
    with tf.GradientTape() as tape:
        clf.logits_tensor(tf.constant(images))
    assert not tape.watched_variables()
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_fingerprint_is_of_the_weights(softmax_model, make_random):
    one = gx.load_classifier(softmax_model).fingerprint
    assert gx.load_classifier(softmax_model, value_range=(0, 2), output="logits").fingerprint == one
    assert len(one) == 16
    assert gx.load_classifier(make_random(softmax_model, seed=3)).fingerprint != one
