"""What the outputs mean: logits and probabilities of exclusive classes, of one sigmoid, of several labels."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex._backend import keras
from tf_ganmex.errors import ModelError, OptionError

layers = keras.layers


def softmax(z):
    exponentials = np.exp(z - z.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def sub_model(model, index):
    """``model`` up to the layer ``index``."""
    return keras.Model(model.inputs[0], model.layers[index].output)


def end(model, function):
    """``model`` followed by ``function`` of its outputs, in one Keras model."""
    return keras.Model(model.inputs[0], function(model.outputs[0]))


def assert_close(actual, expected, atol=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


ENDS = {
    "argument": lambda model: (layers.Activation("softmax"),),
    "layer": lambda model: (layers.Softmax(),),
    "reshaped": lambda model: (layers.Softmax(), layers.Reshape((4,))),
}


@pytest.mark.parametrize("name", ENDS)
def test_logits_are_found_behind_a_softmax(name, logits_model, images):
    logits = logits_model(images).numpy()
    clf = gx.load_classifier(keras.Sequential([keras.Input((8, 8, 2)), logits_model, *ENDS[name](logits_model)]))
    assert_close(clf.logits(images), logits)
    assert_close(clf.probabilities(images), softmax(logits))
    assert clf.num_classes == 4
    assert clf.ends_in_activation


def test_the_softmax_of_a_dense_layer(softmax_model, images):
    clf = gx.load_classifier(softmax_model)
    assert_close(softmax(clf.logits(images)), softmax_model(images))
    assert np.abs(clf.logits(images) - np.log(softmax_model(images))).max() > 0.1, "logarithms are not the logits"


def test_logits_stay_logits(logits_model, images):
    logits = logits_model(images).numpy()
    clf = gx.load_classifier(logits_model)
    assert_close(clf.logits(images), logits)
    assert_close(clf.probabilities(images), softmax(logits))
    assert not clf.ends_in_activation


def test_a_log_softmax(logits_model, images):
    clf = gx.load_classifier(end(logits_model, layers.Activation("log_softmax")))
    assert_close(clf.logits(images), logits_model(images))
    assert clf.keras_model is None, "its outputs would be taken for logits or for probabilities"


def test_a_class_map_of_one_pixel(images, make_random):
    body = [layers.Conv2D(4, 8), layers.Softmax()]
    model = make_random(keras.Sequential([keras.Input((8, 8, 2)), *body]))
    clf = gx.load_classifier(model)
    assert_close(clf.probabilities(images), model(images)[:, 0, 0])
    assert_close(clf.logits(images), sub_model(model, 0)(images)[:, 0, 0])


# --- a softmax that must not be cut -----------------------------------------------------------------------------------


def test_a_softmax_over_another_axis_is_not_cut(logits_model, images):
    """Two pairs of probabilities are not one distribution over four classes."""
    pairs = end(logits_model, lambda z: layers.Reshape((4,))(layers.Softmax()(layers.Reshape((2, 2))(z))))
    clf = gx.load_classifier(pairs)
    assert_close(clf.logits(images), pairs(images))
    columns = end(logits_model, lambda z: layers.Reshape((4,))(layers.Softmax(axis=1)(layers.Reshape((2, 2))(z))))
    assert_close(gx.load_classifier(columns).logits(images), columns(images))


def test_a_temperature_after_the_softmax_is_not_cut(logits_model, images):
    """p^(1/T), renormalised: probabilities that no visible softmax makes."""

    def cooled(z):
        p = keras.ops.softmax(z) ** 3.0
        return p / keras.ops.sum(p, -1, keepdims=True)

    model = end(logits_model, cooled)
    clf = gx.load_classifier(model)
    assert clf.head.raw == "probabilities"
    assert_close(clf.probabilities(images), model(images))
    assert_close(clf.logits(images), np.log(model(images)), 1e-5)


def test_a_scaled_softmax_gives_no_probabilities(logits_model, images):
    model = end(logits_model, lambda z: 5.0 * keras.ops.softmax(z))
    assert_close(gx.load_classifier(model).logits(images), model(images))


def test_renormalised_probabilities_are_recognised(logits_model, images):
    def renormalised(z):
        positive = keras.ops.relu(z) + 0.1
        return positive / keras.ops.sum(positive, -1, keepdims=True)

    model = end(logits_model, renormalised)
    clf = gx.load_classifier(model)
    assert_close(clf.probabilities(images), model(images))
    assert clf.ends_in_activation


# --- one unit ---------------------------------------------------------------------------------------------------------


def test_one_sigmoid_is_two_classes(images, make_small, value_and_gradient):
    model = make_small(layers.Dense(1, activation="sigmoid"))
    clf = gx.load_classifier(model)
    p = model(images).numpy()[:, 0]
    assert clf.num_classes == 2
    assert clf.class_names == ("0", "1")
    assert_close(clf.probabilities(images), np.stack([1 - p, p], -1))
    assert_close(clf.logits(images), np.stack([0 * p, np.log(p / (1 - p))], -1), 1e-5)
    assert_close(clf.score_delta(images, 1, 0), 2 * p - 1)
    _, gradient = value_and_gradient(lambda x: clf.logits_tensor(x)[:, 1:], images)
    z = value_and_gradient(lambda x: -tf.math.log(1 / model(x) - 1), images)[1]
    assert_close(gradient, z, 1e-5)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("normed", [False, True])
def test_one_logit_is_not_taken_for_a_probability(seed, normed, images, make_small):
    """Some of these give 0.3 or so on every image."""
    between = [layers.LayerNormalization()] if normed else []
    model = make_small(*between, layers.Dense(1), seed=seed)
    model.layers[-1].set_weights([0.02 * model.layers[-1].get_weights()[0], np.full(1, 0.3)])
    z = model(images).numpy()
    assert ((z > 0) & (z < 1)).all()
    assert_close(gx.load_classifier(model).logits(images)[:, 1:], z)


def test_one_probability_without_a_sigmoid_is_recognised(images, make_small):
    model = end(make_small(layers.Dense(1)), lambda z: 0.5 * keras.ops.tanh(z) + 0.5)
    clf = gx.load_classifier(model)
    assert_close(clf.probabilities(images)[:, 1:], model(images))


def test_a_softmax_over_one_class_is_not_a_sigmoid(images, make_small):
    """It returns one for every image."""
    clf = gx.load_classifier(make_small(layers.Dense(1, activation="softmax")))
    assert_close(clf.probabilities(images), np.tile([0.0, 1.0], (5, 1)))


# --- several labels ---------------------------------------------------------------------------------------------------


def test_several_sigmoids_are_labels(images, make_small):
    model = make_small(layers.Dense(3, activation="sigmoid"))
    clf = gx.load_classifier(model)
    p = model(images).numpy()
    assert clf.num_classes == 3
    assert_close(clf.probabilities(images), p)
    assert_close(clf.logits(images), np.log(p / (1 - p)), 1e-5)
    assert np.abs(p.sum(-1) - 1).max() > 0.05


def test_labels_by_option(logits_model, images):
    clf = gx.load_classifier(logits_model, output="multilabel")
    assert_close(clf.logits(images), logits_model(images))
    assert_close(clf.probabilities(images), sigmoid(logits_model(images)))


def test_labels_by_option_of_hidden_sigmoids(logits_model, images):
    model = end(logits_model, lambda z: 0.5 * keras.ops.tanh(z / 2) + 0.5)
    clf = gx.load_classifier(model, output="multilabel")
    assert_close(clf.probabilities(images), model(images))
    assert_close(clf.logits(images), logits_model(images), 1e-5)


def test_one_label_by_option(images, make_small):
    model = make_small(layers.Dense(1, activation="sigmoid"))
    clf = gx.load_classifier(model, output="multilabel")
    assert clf.num_classes == 1
    assert_close(clf.probabilities(images), model(images))


def test_a_softmax_called_labels_keeps_its_values(softmax_model, images):
    clf = gx.load_classifier(softmax_model, output="multilabel")
    assert_close(clf.probabilities(images), softmax_model(images))


# --- the option -------------------------------------------------------------------------------------------------------


def test_logits_are_taken_literally(softmax_model, images):
    clf = gx.load_classifier(softmax_model, output="logits")
    p = softmax_model(images).numpy()
    assert_close(clf.logits(images), p)
    assert_close(clf.probabilities(images), softmax(p))


def test_one_sigmoid_taken_literally(images, make_small):
    model = make_small(layers.Dense(1, activation="sigmoid"))
    clf = gx.load_classifier(model, output="logits")
    assert_close(clf.logits(images), np.pad(model(images), ((0, 0), (1, 0))))


def test_probabilities_are_taken_at_their_word(logits_model, images):
    positive = end(logits_model, lambda z: keras.ops.sigmoid(z) / 4)
    clf = gx.load_classifier(positive, output="probabilities")
    assert_close(clf.probabilities(images), positive(images))
    assert_close(clf.logits(images), np.log(positive(images)), 1e-5)


def test_probabilities_of_a_softmax_have_their_logits(softmax_model, images):
    by_option, found = (gx.load_classifier(softmax_model, output=output) for output in ("probabilities", "auto"))
    assert_close(by_option.logits(images), found.logits(images), 0)


def test_probabilities_of_zero_and_one_have_finite_scores(logits_model, images, value_and_gradient):
    hard = end(logits_model, lambda z: keras.ops.one_hot(keras.ops.argmax(z, -1), 4) + 0.0 * z)
    clf = gx.load_classifier(hard, output="probabilities")
    logits, gradient = value_and_gradient(clf.logits_tensor, images)
    assert np.isfinite(logits).all()
    assert np.isfinite(gradient).all()


def test_an_unknown_output(logits_model, refuses):
    with refuses(OptionError, "output='scores'", "multilabel"):
        gx.load_classifier(logits_model, output="scores")
    with refuses(OptionError, "output=None"):
        gx.load_classifier(logits_model, output=None)


# --- outputs that are no classes --------------------------------------------------------------------------------------


def test_outputs_without_a_class_axis(images, make_small, refuses):
    with refuses(ModelError, "(n, classes)", "output shape=(None,)"):
        gx.load_classifier(end(make_small(layers.Dense(2)), lambda z: z[:, 0]))
    segmentation = keras.Sequential([keras.Input((8, 8, 2)), layers.Conv2D(4, 3)])
    with refuses(ModelError, "(n, classes)", "(None, 6, 6, 4)"):
        gx.load_classifier(segmentation)


def test_outputs_that_are_predicted_classes(logits_model, refuses):
    with refuses(ModelError, "floating", "int32"):
        gx.load_classifier(end(logits_model, lambda z: keras.ops.argmax(z, -1, keepdims=True)))


def test_several_outputs(logits_model, refuses):
    two = keras.Model(logits_model.inputs[0], [logits_model.outputs[0], logits_model.layers[0].output])
    with refuses(ModelError, "one output", "model.outputs[0]"):
        gx.load_classifier(two)
    named = keras.Model(logits_model.inputs[0], {"a": logits_model.outputs[0], "b": logits_model.layers[0].output})
    with refuses(ModelError, "['a', 'b']"):
        gx.load_classifier(named)
