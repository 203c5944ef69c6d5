"""The classifier's outputs and input gradients are the model's, whatever it is built of."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex._backend import keras

layers = keras.layers


def head(*body):
    """A classifier of three classes after the layers ``body``."""
    return keras.Sequential([keras.Input((8, 8, 2)), *body, layers.GlobalAveragePooling2D(), layers.Dense(3)])


def activation(name):
    return head(layers.Conv2D(4, 3), layers.Activation(name), layers.Conv2D(4, 3))


def vit_block():
    image = keras.Input((8, 8, 2))
    tokens = layers.Reshape((16, 6))(layers.Conv2D(6, 2, strides=2)(image))
    normed = layers.LayerNormalization()(tokens)
    tokens = layers.Add()([tokens, layers.MultiHeadAttention(2, 3)(normed, normed)])
    hidden = layers.Dense(8, activation="gelu")(layers.LayerNormalization()(tokens))
    tokens = layers.Add()([tokens, layers.Dropout(0.5)(layers.Dense(6)(hidden))])
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling1D()(tokens)))


def nested():
    """The same layer names in two models within a model."""
    image = keras.Input((8, 8, 2))
    parts = []
    for name in ("left", "right"):
        body = [keras.Input((8, 8, 2)), layers.Conv2D(3, 3, activation="relu", name="conv"), layers.Flatten()]
        parts.append(keras.Sequential([*body, layers.Dense(4, name="dense")], name=name)(image))
    return keras.Model(image, layers.Dense(3)(layers.Concatenate()(parts)))


NETS = {
    "batch norm": lambda: head(layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU(), layers.Conv2D(4, 3)),
    "dropout": lambda: head(layers.Dropout(0.5), layers.Conv2D(4, 3), layers.SpatialDropout2D(0.5)),
    "noise": lambda: head(layers.GaussianNoise(1.0), layers.Conv2D(4, 3), layers.RandomFlip()),
    "depthwise": lambda: head(layers.DepthwiseConv2D(3, depth_multiplier=2), layers.SeparableConv2D(4, 3, strides=2)),
    "transposed": lambda: head(layers.Conv2DTranspose(4, 3, strides=2, activation="tanh"), layers.Conv2D(2, 3)),
    "dilated": lambda: head(layers.Conv2D(4, 3, dilation_rate=2, padding="same"), layers.UpSampling2D()),
    "max pool": lambda: head(layers.Conv2D(4, 3), layers.MaxPooling2D(), layers.Conv2D(4, 3, padding="same")),
    "average pool": lambda: head(layers.Conv2D(4, 3), layers.AveragePooling2D(3, 2, "same"), layers.PReLU()),
    "layer norm": lambda: head(layers.Conv2D(4, 3), layers.LayerNormalization(), layers.LeakyReLU()),
    "group norm": lambda: head(layers.Conv2D(4, 3), layers.GroupNormalization(2), layers.ELU()),
    "attention": vit_block,
    "gelu": lambda: activation("gelu"),
    "swish": lambda: activation("swish"),
    "selu": lambda: activation("selu"),
    "softplus": lambda: activation("softplus"),
    "mish": lambda: activation("mish"),
    "hard sigmoid": lambda: activation("hard_sigmoid"),
    "nested": nested,
    "rescaling": lambda: head(layers.Rescaling(2.0, offset=-1.0), layers.Conv2D(4, 3)),
    "normalization": lambda: head(layers.Normalization(mean=[0.4, 0.6], variance=[0.1, 0.2]), layers.Conv2D(4, 3)),
}


def assert_same(actual, expected, tolerance=1e-6):
    """Values and gradients that agree, measured against the largest of them."""
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(1.0, np.abs(theirs).max()))


@pytest.mark.parametrize("net", NETS)
def test_outputs_and_gradients_are_the_models(net, images, make_random, value_and_gradient):
    model = make_random(NETS[net]())
    clf = gx.load_classifier(model)
    expected = value_and_gradient(lambda x: model(x, training=False), images)
    assert_same(value_and_gradient(clf.logits_tensor, images), expected)
    np.testing.assert_array_equal(clf.logits(images), clf.logits_tensor(tf.constant(images)))
    assert np.ptp(expected[0], 0).min() > 1e-4, "a net that does not look at the image tests nothing"


def test_an_adapted_normalization_is_part_of_the_classifier(images, make_random, value_and_gradient):
    normalization = layers.Normalization()
    normalization.adapt(3 * images + 1)
    model = head(normalization, layers.Conv2D(4, 3))
    clf = gx.load_classifier(model)
    assert_same(
        value_and_gradient(clf.logits_tensor, images), value_and_gradient(lambda x: model(x, training=False), images)
    )


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_float16", 1e-3), ("mixed_bfloat16", 8e-3)])
def test_mixed_precision(policy, tolerance, images, make_random, value_and_gradient):
    body = [layers.Conv2D(4, 3, dtype=policy), layers.BatchNormalization(dtype=policy), layers.ReLU(dtype=policy)]
    tail = [layers.GlobalAveragePooling2D(dtype=policy), layers.Dense(3, dtype=policy)]
    model = make_random(keras.Sequential([keras.Input((8, 8, 2)), *body, *tail, layers.Softmax(dtype=policy)]))
    clf = gx.load_classifier(model)
    assert clf.head.raw == "logits", "the softmax, computed in half precision, was not found"
    assert clf.dtype == np.float32
    expected = value_and_gradient(lambda x: model(x, training=False), images)
    actual = value_and_gradient(lambda x: clf.scores_tensor(x, clf.weight_tensors, "probability"), images)
    assert_same(actual, expected, tolerance)


def test_float64(images, make_random, value_and_gradient):
    kinds = {"dtype": "float64"}
    body = [layers.Conv2D(4, 3, activation="gelu", **kinds), layers.Flatten(**kinds), layers.Dense(3, **kinds)]
    model = make_random(keras.Sequential([keras.Input((8, 8, 2), dtype="float64"), *body]))
    clf = gx.load_classifier(model)
    assert clf.dtype == np.float64
    assert clf.logits(images).dtype == np.float64
    images = images.astype(np.float64)
    actual, expected = value_and_gradient(clf.logits_tensor, images), value_and_gradient(model, images)
    assert_same(actual, expected, 1e-13)


def test_mobilenet(value_and_gradient):
    keras.utils.set_random_seed(0)
    shape = (32, 32, 3)
    model = keras.applications.MobileNet(shape, weights=None, alpha=0.25, classes=7, classifier_activation=None)
    clf = gx.load_classifier(model)
    x = np.random.default_rng(0).random((2, *shape), np.float32)
    expected = value_and_gradient(lambda x: model(x, training=False), x)
    actual = value_and_gradient(clf.logits_tensor, x)
    for ours, theirs in zip(actual, expected, strict=True):  # tiny outputs: measured against themselves
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def test_tf_keras(images, make_random, value_and_gradient):
    import tf_keras

    old = tf_keras.layers
    body = [old.Conv2D(4, 3), old.BatchNormalization(), old.Activation("swish"), old.DepthwiseConv2D(3), old.Flatten()]
    model = make_random(tf_keras.Sequential([tf_keras.Input((8, 8, 2)), *body, old.Dropout(0.5), old.Dense(3)]))
    clf = gx.load_classifier(model)
    expected = value_and_gradient(lambda x: model(x, training=False), images)
    assert_same(value_and_gradient(clf.logits_tensor, images), expected)


def test_the_gradient_reaches_the_image_inside_another_function(softmax_model, images, value_and_gradient):
    clf = gx.load_classifier(softmax_model)
    traces = []

    @tf.function
    def loss_gradient(x):
        traces.append(None)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(clf.logits_tensor(tf.sin(x)) ** 2)
        return tape.gradient(loss, x)

    x = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(x)
        before_softmax = keras.Model(softmax_model.inputs[0], softmax_model.layers[-1].input)
        dense = softmax_model.layers[-1]
        logits = before_softmax(tf.sin(x)) @ dense.kernel.value + dense.bias.value
        loss = tf.reduce_sum(logits**2)
    gradient = loss_gradient(x)
    np.testing.assert_allclose(gradient, tape.gradient(loss, x), rtol=0, atol=1e-5)
    assert np.abs(gradient).max() > 0.1
    assert len(traces) == 1


def test_any_number_of_images_without_a_trace_for_each(softmax_model, images):
    clf = gx.load_classifier(softmax_model)
    every = np.tile(images, (60, 1, 1, 1)) * np.linspace(0, 1, 300, dtype=np.float32)[:, None, None, None]
    expected = softmax_model(every).numpy()
    for count in (1, 2, 3, 255, 256, 257, 300):
        np.testing.assert_allclose(clf.probabilities(every[:count]), expected[:count], atol=1e-6)
    assert not clf.engine.kernels
