"""Small classifiers for the tests of metrics, and their score deltas one image at a time in extended precision."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

import tf_ganmex as gx

layers = keras.layers
ORIGIN, TARGET = np.array([0, 1, 2, 0]), np.array([1, 2, 0, 2])


def network(value_range=(0.0, 1.0), depth=1, side=5):
    """A small convolutional network of three classes."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((side, side, depth)),
            layers.Conv2D(4, 3, activation="tanh"),
            layers.Flatten(),
            layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(stddev=1.0)),
        ]
    )
    return gx.load_classifier(model, output="logits", value_range=value_range)


def linear(weights, shape=(5, 5, 1), **options):
    """Logits that are the features times ``weights`` (features, classes)."""
    weights = tf.constant(np.asarray(weights), tf.float32)
    features = int(np.prod(shape))

    def function(x):
        return tf.reshape(x, (-1, features)) @ weights

    return gx.load_classifier(function, **{"output": "logits", "input_shape": shape} | options)


def counting(weights, shape=(5, 5, 1)):
    """A linear classifier that cannot be traced, and a list of how many images it was asked about at a time."""
    counts: list[int] = []
    weights = np.asarray(weights, np.float32)

    def function(x):
        counts.append(len(x.numpy()))
        return tf.constant(x.numpy().reshape(len(x), -1) @ weights)

    clf = gx.load_classifier(function, output="logits", input_shape=shape)
    counts.clear()
    return clf, counts


def with_feature(image, feature, value):
    """``image`` with one feature set."""
    changed = image.copy()
    changed.flat[feature] = value
    return changed
