"""Small models, and the form that every error of the package has."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import tensorflow as tf

from tf_ganmex._backend import keras

layers = keras.layers


@contextmanager
def refusal(error: type[Exception], *parts: str):
    """Passes if the block raises exactly ``error``, and its message says what was expected, what came and ``parts``."""
    with pytest.raises(error) as caught:
        yield caught
    message = str(caught.value)
    assert type(caught.value) is error, f"{type(caught.value).__name__}: {message}"
    expected, _, received = message.partition("Received: ")
    assert expected.startswith("Expected "), message
    sentences = received.rstrip(".").split(". ")
    assert len(sentences) > 1, f"no advice: {message}"
    for part in parts:
        assert part in message, f"{part!r} not in: {message}"


@pytest.fixture
def refuses():
    return refusal


@pytest.fixture
def legacy(shared):
    """The folder of models written by TensorFlow 2.15."""
    return shared / "models" / "legacy"


@pytest.fixture
def images():
    """Five images (5, 8, 8, 2) in [0, 1]."""
    return np.random.default_rng(0).random((5, 8, 8, 2), np.float32)


def small(*ends: keras.layers.Layer, shape=(8, 8, 2), seed=0, library=keras, **options) -> keras.Model:
    """A convolution, flattened, before the layers ``ends``; weights that are random in every entry."""
    kinds = library.layers
    model = library.Sequential([library.Input(shape, **options), kinds.Conv2D(3, 3, strides=2), kinds.Flatten(), *ends])
    return randomized(model, seed)


def randomized(model: keras.Model, seed=0) -> keras.Model:
    """``model`` with random weights, so that no bias or statistic is at its idle value; variances stay positive."""
    rng = np.random.default_rng(seed)
    values = []
    for weight in model.weights:
        value = rng.normal(0.0, 0.3, weight.shape)
        values.append(np.abs(value) + 0.5 if "variance" in weight.name else value)
    model.set_weights(values)
    return model


@pytest.fixture
def make_small():
    return small


@pytest.fixture
def make_random():
    return randomized


@pytest.fixture
def softmax_model():
    return small(layers.Dense(4, activation="softmax"))


@pytest.fixture
def logits_model():
    return small(layers.Dense(4))


@pytest.fixture
def value_and_gradient():
    """``f(x)`` and the gradient of a fixed random combination of its values with respect to ``x``."""

    def both(function, x):
        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            values = tf.cast(function(x), x.dtype)
            directions = np.random.default_rng(1).normal(size=values.shape)
            total = tf.reduce_sum(values * tf.constant(directions, x.dtype))
        gradient = tape.gradient(total, x)
        assert gradient is not None, "the gradient does not reach the image"
        return values.numpy(), gradient.numpy()

    return both
