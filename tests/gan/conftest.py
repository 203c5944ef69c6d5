"""A classifier and a GANMEX small enough to train in a test."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_ganmex._backend import keras
from tf_ganmex.gan import GANMEX


class TinyClassifier:
    """A fixed smooth function with the interface that GANMEX asks for; its weights are constants."""

    def __init__(self, input_shape=(8, 8, 1), num_classes=3, value_range=(0.0, 1.0), seed=0):
        self.input_shape = input_shape
        self.num_classes = num_classes
        self.class_names = [f"class {index}" for index in range(num_classes)]
        self.value_range = value_range
        self.fingerprint = f"{seed:08x}"
        rng = np.random.default_rng(seed)
        self.weights = tf.constant(rng.normal(0.0, 1.0, (int(np.prod(input_shape)), num_classes)), tf.float32)

    def logits_tensor(self, x):
        low, high = self.value_range
        return tf.matmul(tf.reshape((x - low) / (high - low) - 0.5, [-1, self.weights.shape[0]]), self.weights)


def small_model(shape=(8, 8, 1), activation="relu"):
    """A Keras classifier with every kind of weight: kernels, biases, and the statistics of a norm."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(4, 3, activation=activation),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3),
        ]
    )


@pytest.fixture(scope="session")
def make_model():
    return small_model


@pytest.fixture
def clf():
    return TinyClassifier()


@pytest.fixture
def make_clf():
    return TinyClassifier


@pytest.fixture
def make_gan(clf):
    def make(classifier=None, **options):
        sizes = {"filters": 4, "blocks": 1, "reconstruction_weight": 0.0} | options
        return GANMEX(classifier or clf, **sizes)

    return make


@pytest.fixture
def images():
    return np.random.default_rng(1).random((20, 8, 8, 1), np.float32)


@pytest.fixture
def labels():
    return np.random.default_rng(2).integers(0, 3, 20)


@pytest.fixture
def weights_of():
    """All numbers that training changes, in one vector."""

    def weights(gan):
        return np.concatenate([np.ravel(v) for net in (gan.generator, gan.discriminator) for v in net.get_weights()])

    return weights
