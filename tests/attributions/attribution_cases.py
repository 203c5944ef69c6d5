"""The table of classifiers and the table of methods from which the common tests of attributions are made."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex import attributions

layers = keras.layers
COUNT = 5


def assert_close(actual: Any, expected: Any, tolerance: float = 1e-5) -> None:
    """Equal to ``tolerance`` times the largest expected value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(np.abs(expected).max(), 1e-30))


def sharpened(model: keras.Model, factor: float = 4.0) -> keras.Model:
    """``model`` with larger weights in its last layer that has any, so that its scores differ visibly."""
    last = [layer for layer in model.layers if layer.get_weights()][-1]
    last.set_weights([weight * factor for weight in last.get_weights()])
    return model


def sequential(shape: tuple[int, int, int], *stack: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *stack])


# --- classifiers ------------------------------------------------------------------------------------------------------


def _softmax() -> gx.Classifier:
    return gx.load_classifier(
        sharpened(
            sequential(
                (8, 8, 1),
                layers.Conv2D(4, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Conv2D(5, 2, activation="tanh"),
                layers.Flatten(),
                layers.Dense(4, activation="softmax"),
            )
        )
    )


def _rgb() -> gx.Classifier:
    model = sequential(
        (6, 6, 3),
        layers.Conv2D(6, 3, padding="same", activation="elu"),
        layers.BatchNormalization(),
        layers.AveragePooling2D(2),
        layers.Conv2D(5, 2, activation="sigmoid"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3),
    )
    model.layers[1].set_weights([np.random.default_rng(1).uniform(0.5, 1.5, 6) for _ in range(4)])
    return gx.load_classifier(sharpened(model), value_range=(-1, 1))


def _binary() -> gx.Classifier:
    return gx.load_classifier(
        sharpened(
            sequential(
                (6, 6, 1),
                layers.Conv2D(4, 3, activation="relu"),
                layers.Flatten(),
                layers.Dense(1, activation="sigmoid"),
            )
        )
    )


def _multilabel() -> gx.Classifier:
    model = sequential(
        (6, 6, 1),
        layers.Conv2D(4, 3, activation="softplus"),
        layers.Flatten(),
        layers.Dense(3, activation="sigmoid"),
    )
    return gx.load_classifier(sharpened(model, 2.0), output="multilabel")


def _probabilities() -> gx.Classifier:
    weights = tf.constant(np.random.default_rng(5).normal(size=(36, 4)), tf.float32)

    def function(x):
        evidence = tf.nn.softplus(tf.reshape(x, (-1, 36)) @ weights)
        return evidence / tf.reduce_sum(evidence, -1, keepdims=True)

    return gx.load_classifier(function, input_shape=(6, 6, 1))


def _float64() -> gx.Classifier:
    rng = np.random.default_rng(6)
    first, second = (tf.constant(rng.normal(size=size)) for size in [(25, 9), (9, 4)])

    def function(x):
        hidden = tf.nn.tanh(tf.reshape(x, (-1, 25)) @ first)
        return tf.nn.relu(hidden * hidden + hidden - 0.2) @ second

    clf = gx.load_classifier(function, output="logits")
    clf.logits(np.zeros((1, 5, 5, 1), np.float64))
    return clf


class _ThreeImages(tf.Module):
    """A network that takes exactly three images."""

    def __init__(self):
        self.network = sequential(
            (5, 5, 1), layers.Conv2D(4, 2, activation="relu"), layers.Flatten(), layers.Dense(3, activation="softmax")
        )

    @tf.function(input_signature=[tf.TensorSpec((3, 5, 5, 1), tf.float32)])
    def serve(self, image):
        return {"scores": self.network(image)}


def _fixed_batch() -> gx.Classifier:
    with tempfile.TemporaryDirectory() as folder:
        module = _ThreeImages()
        sharpened(module.network)
        tf.saved_model.save(module, folder, signatures=module.serve)
        return gx.load_classifier(folder)


def _eager() -> gx.Classifier:
    weights = tf.constant(np.random.default_rng(7).normal(size=(25, 3)), tf.float32)

    def function(x):
        if not np.isfinite(x.numpy()).all():  # cannot be traced
            raise ValueError
        return tf.nn.tanh(tf.reshape(x, (-1, 25)) @ weights) * 3

    return gx.load_classifier(function, output="logits", input_shape=(5, 5, 1))


BUILDERS: dict[str, tuple[Callable[[], gx.Classifier], str]] = {
    "softmax": (_softmax, "probability"),
    "rgb": (_rgb, "logit"),
    "binary": (_binary, "probability"),
    "multilabel": (_multilabel, "probability"),
    "probabilities": (_probabilities, "probability"),
    "float64": (_float64, "logit"),
    "fixed batch": (_fixed_batch, "probability"),
    "eager": (_eager, "probability"),
}


@dataclass(frozen=True)
class Case:
    """A classifier with images, baselines that differ from them in most pixels, and classes for each image."""

    name: str
    clf: gx.Classifier
    score: str
    x: np.ndarray
    baseline: np.ndarray
    origin: np.ndarray
    target: np.ndarray

    @property
    def tolerance(self) -> float:
        return 1e-10 if self.clf.dtype == np.float64 else 2e-5


@cache
def case(name: str) -> Case:
    build, score = BUILDERS[name]
    keras.utils.set_random_seed(3)
    clf = build()
    rng = np.random.default_rng(len(name))
    low, high = clf.value_range
    x, baseline = rng.uniform(low, high, (2, COUNT, *clf.input_shape)).astype(clf.dtype)
    baseline[:, :2] = x[:, :2]
    origin = rng.integers(0, clf.num_classes, COUNT)
    target = (origin + rng.integers(1, clf.num_classes, COUNT)) % clf.num_classes
    for array in (x, baseline):
        array.setflags(write=False)
    return Case(name, clf, score, x, baseline, origin, target)


# --- methods ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Method:
    """A method with its options, and what it promises."""

    name: str
    function: Callable[..., np.ndarray]
    has_baseline: bool = True
    complete: bool = False  # the map sums to the difference of the deltas
    symmetric: bool = False  # exchanging image and baseline changes the sign alone
    needs_graph: bool = False

    def __call__(self, case: Case, x=None, origin=None, target="own", baseline=None, **options) -> np.ndarray:
        """The maps of a case, with anything given here instead of its own."""
        x = case.x if x is None else x
        origin = case.origin if origin is None else origin
        target = case.target if isinstance(target, str) and target == "own" else target
        baselines = [case.baseline if baseline is None else baseline] if self.has_baseline else []
        return self.function(case.clf, x, origin, target, *baselines, **{"score": case.score} | options)


def _expected_gradients(clf, x, origin, target, baseline, **options):
    """Expected gradients with the baselines for samples, as many draws of each as there are to be a mean over them."""
    samples = baseline
    if not callable(baseline) and np.ndim(baseline) == 4:
        samples = np.asarray(baseline)[:, None]
    return attributions.expected_gradients(clf, x, origin, target, samples, **{"steps": 12} | options)


METHODS = [
    Method("gradient", attributions.gradient, has_baseline=False),
    Method("integrated_gradients", partial(attributions.integrated_gradients, steps=9), symmetric=True),
    Method("expected_gradients", _expected_gradients),
    Method("deeplift", attributions.deeplift, complete=True, symmetric=True, needs_graph=True),
    Method("deeplift-deepexplain", partial(attributions.deeplift, rules="deepexplain"), needs_graph=True),
    Method("deepshap", partial(attributions.deepshap, backend="graph"), complete=True, needs_graph=True),
    Method("deepshap-shap", partial(attributions.deepshap, backend="shap"), complete=True, needs_graph=True),
    Method("occlusion", attributions.occlusion),
    Method("occlusion-windows", partial(attributions.occlusion, window=3, stride=2)),
]
SHAP_TAKES = {"softmax", "rgb"}


def supports(method: Method, classifier: str) -> bool:
    """Whether a method can explain a classifier at all."""
    if method.name == "deepshap-shap":
        return classifier in SHAP_TAKES
    return not (method.needs_graph and classifier == "eager")


PAIRS = [(method, classifier) for method in METHODS for classifier in BUILDERS if supports(method, classifier)]
