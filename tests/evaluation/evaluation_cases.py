"""A small classifier with data of its own, some of it mis-classified."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import tf_ganmex as gx
from tf_ganmex._backend import keras
from tf_ganmex.datasets import Dataset

SHAPE, CLASSES, TEST = (8, 8, 1), 4, 24
WRONG = (3, 10, 17)  # test images whose label is not what the classifier says
METHODS = ("integrated_gradients", "expected_gradients", "deeplift", "occlusion", "gradient")
METRICS = ("aopc_10", "aopc_all", "gini", "gini_shifted", "faithfulness", "monotonicity", "distance", "assigned", "fid")
OPTIONS: dict[str, Any] = {
    "methods": METHODS,
    "baselines": ("zero", "nearest"),
    "metrics": METRICS,
    "steps": 6,
    "monotonicity_draws": 3,
}


def small_classifier(seed: int = 0) -> gx.Classifier:
    """A convolution and two dense layers, random, that give every class to about as many random images."""
    model = _network("tanh")
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0, 3 / np.sqrt(np.prod(w.shape[:-1])), w.shape) for w in model.weights])
    *weights, bias = model.get_weights()
    logits = model.predict(np.random.default_rng(0).random((200, *SHAPE)), verbose=0)
    model.set_weights([*weights, bias - logits.mean(0)])
    return gx.load_classifier(model)


def altered_classifier(clf: gx.Classifier) -> gx.Classifier:
    """One with the same weights that computes something else, though it predicts the same."""
    model = _network(lambda x: 0.99 * keras.ops.tanh(x))
    model.set_weights(clf.keras_model.get_weights())
    return gx.load_classifier(model)


def _network(activation: Any) -> keras.Model:
    layers = keras.layers
    stack = [layers.Conv2D(4, 3, strides=2, activation=activation), layers.Flatten(), layers.Dense(6, "elu")]
    return keras.Sequential([keras.Input(SHAPE), *stack, layers.Dense(CLASSES)])


def small_data(clf: gx.Classifier, **changes: Any) -> Dataset:
    """Random images with the labels that the classifier gives them, but for those in ``WRONG``."""
    rng = np.random.default_rng(1)
    x_train, x_test = (rng.random((count, *SHAPE), np.float32) for count in (80, TEST))
    y_train, y_test = clf.predict(x_train), clf.predict(x_test)
    y_test[list(WRONG)] = (y_test[list(WRONG)] + 1) % CLASSES
    names = [f"class {index}" for index in range(CLASSES)]
    return dataclasses.replace(Dataset(x_train, y_train, x_test, y_test, names, "small"), **changes)


def small_ganmex(clf: gx.Classifier, seed: int = 0) -> gx.GANMEX:
    """One that was never trained."""
    return gx.GANMEX(clf, filters=4, blocks=1, seed=seed)


def assert_same_values(first: Any, second: Any, **tolerances: float) -> None:
    """Two tables with the same images and the same numbers."""
    assert first.values.keys() == second.values.keys()
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.target, second.target)
    for key, values in first.values.items():
        np.testing.assert_allclose(values, second.values[key], err_msg=str(key), **tolerances)
    for column, curve in first.curves.items():
        np.testing.assert_allclose(curve.mean, second.curves[column].mean, atol=1e-5)
        np.testing.assert_allclose(curve.error, second.curves[column].error, atol=1e-4)
