"""Small classifiers whose layers are randomized."""

from __future__ import annotations

import keras
import numpy as np

import tf_ganmex as gx

layers = keras.layers
SHAPE = (8, 8, 1)


def plain_model(**options):
    """Two convolutions and two dense layers, whose names are in no order; every weight differs from its start."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(4, 3, strides=2, activation="relu", name="b", **options),
            layers.Conv2D(4, 2, activation="relu", name="d", **options),
            layers.Flatten(),
            layers.Dense(6, activation="relu", name="a", **options),
            layers.Dense(3, name="c", **options),
        ]
    )
    return shaken(model)


def shaken(model, seed=0):
    """``model`` with random weights everywhere, biases too; variances stay positive."""
    rng = np.random.default_rng(seed)
    values = [rng.normal(0.0, 0.5, weight.shape) for weight in model.weights]
    model.set_weights(
        [np.abs(v) + 0.5 if "variance" in w.name else v for v, w in zip(values, model.weights, strict=True)]
    )
    return model


def normed_model():
    """A convolution with batch normalization."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3, name="out"),
        ]
    )
    return shaken(model)


def classifier(model=None):
    return gx.load_classifier(plain_model() if model is None else model, output="logits")


def images(count=6, seed=1):
    return np.random.default_rng(seed).random((count, *SHAPE), np.float32)
