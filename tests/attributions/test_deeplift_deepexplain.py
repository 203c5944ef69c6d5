"""DeepLIFT by DeepExplain's rules, against a second computation layer by layer."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from attribution_cases import assert_close, sequential, sharpened
from deeplift_networks import NETWORKS, conv, questions

import tf_ganmex as gx
from tf_ganmex.attributions import deeplift

layers = keras.layers

FUNCTIONS = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: z > 0),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(z)), lambda z: np.where(z > 0, 1, np.exp(z))),
    "softplus": (lambda z: np.log1p(np.exp(z)), lambda z: 1 / (1 + np.exp(-z))),
}


def steps_of(model):
    """A Keras model as a list of linear functions (or poolings) of float64 tensors and names of activations."""
    steps = []
    for layer in model.layers:
        weights = [tf.constant(weight, tf.float64) for weight in layer.get_weights()]
        if isinstance(layer, layers.Conv2D):
            kernel, bias = weights
            options = {"strides": layer.strides, "padding": layer.padding.upper()}
            steps.append(lambda z, k=kernel, b=bias, o=options: tf.nn.conv2d(z, k, **o) + b)
        elif isinstance(layer, layers.Dense):
            steps.append(lambda z, k=weights[0], b=weights[1]: z @ k + b)
        elif isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = weights
            scale = gamma / np.sqrt(variance + layer.epsilon)
            steps.append(lambda z, m=mean, s=scale, b=beta: (z - m) * s + b)
        elif isinstance(layer, layers.MaxPooling2D):
            steps.append(lambda z: tf.nn.max_pool2d(z, 2, 2, "VALID"))
        elif isinstance(layer, layers.AveragePooling2D):
            steps.append(lambda z: tf.nn.avg_pool2d(z, 2, 2, "VALID"))
        elif isinstance(layer, layers.GlobalAveragePooling2D):
            steps.append(lambda z: tf.reduce_mean(z, (1, 2)))
        elif isinstance(layer, layers.Flatten):
            steps.append(lambda z: tf.reshape(z, (len(z), -1)))
        activation = "relu" if isinstance(layer, layers.ReLU) else getattr(layer, "activation", None)
        name = activation if isinstance(activation, str) else getattr(activation, "__name__", "linear")
        if name not in {"linear", "softmax"}:
            steps.append(name)
    return [step if isinstance(step, str) else tf.function(step, reduce_retracing=True) for step in steps]


def deepexplain(model, x, baseline, contrast, score):
    """DeepLIFT as the code of the paper computes it, layer by layer."""
    inputs, z, reference = [], np.asarray(x, np.float64), np.asarray(baseline, np.float64)
    for step in steps_of(model):
        inputs.append((step, z, reference))
        apply = FUNCTIONS[step][0] if isinstance(step, str) else lambda value, step=step: step(value).numpy()
        z, reference = apply(z), apply(reference)
    multipliers = contrast
    if score == "probability":
        p = np.exp(z - z.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        multipliers = p * (contrast - (contrast * p).sum(-1, keepdims=True))
    for step, z, reference in reversed(inputs):
        if isinstance(step, str):
            function, slope = FUNCTIONS[step]
            far = np.abs(z - reference) > 1e-5
            difference = np.where(far, z - reference, 1)
            secant = (function(z) - function(reference)) / difference
            multipliers = multipliers * np.where(far, secant, slope((z + reference) / 2))
        else:
            z = tf.constant(z)
            with tf.GradientTape() as tape:
                tape.watch(z)
                output = step(z)
            multipliers = tape.gradient(output, z, tf.constant(multipliers)).numpy()
    return multipliers * (np.asarray(x, np.float64) - baseline)


def in_float64(model):
    """The same model in float64, where quotients of small differences are no rounding errors."""
    copies = [type(layer).from_config(layer.get_config() | {"dtype": "float64"}) for layer in model.layers]
    copies = [layer for layer in copies if not isinstance(layer, layers.InputLayer)]
    copy = keras.Sequential([keras.Input(model.input_shape[1:], dtype="float64"), *copies])
    copy.set_weights(model.get_weights())
    return copy


def compare_with_deepexplain(model, x, baseline, origin, target, *, compared, tolerance):
    clf = gx.load_classifier(compared)
    contrast = np.eye(clf.num_classes)[origin] - np.eye(clf.num_classes)[target]
    for score in ("probability", "logit"):
        maps = deeplift(clf, x, origin, target, baseline, rules="deepexplain", score=score)
        assert_close(maps, deepexplain(model, x, baseline, contrast, score), tolerance)


@pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`")
@pytest.mark.parametrize("name", ["keras2_mixed.h5", "keras2_softmax.h5"])
def test_deepexplain_rules_on_trained_model(name, shared):
    model = keras.models.load_model(shared / "models" / "legacy" / name, compile=False)
    golden = np.load(shared / "models" / "legacy" / "golden.npz")
    x, origin = golden["x"], golden["y"]
    for compared, tolerance in [(model, 1e-4), (in_float64(model), 1e-9)]:
        question = (x, np.roll(x, 1, 0), origin, (origin + 3) % 10)
        compare_with_deepexplain(model, *question, compared=compared, tolerance=tolerance)


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_deepexplain_rules(activation):
    keras.utils.set_random_seed(8)
    model = sequential(
        (8, 8, 2),
        conv(activation=activation),
        layers.MaxPooling2D(2),
        conv(5, 2, activation),
        layers.Flatten(),
        layers.Dense(6, activation),
        layers.Dense(4, "softmax"),
    )
    compare_with_deepexplain(sharpened(model), *questions(), compared=in_float64(model), tolerance=1e-9)


def test_deepexplain_rules_are_other_rules():
    clf = gx.load_classifier(sharpened(NETWORKS["max pooling"]()), output="logits")
    x, baseline, origin, target = questions()
    complete, published = (deeplift(clf, x, origin, target, baseline, rules=r) for r in ("complete", "deepexplain"))
    assert np.abs(complete - published).max() > 0.01 * np.abs(complete).max()


def test_the_softmax_gradient_is_rounded_as_in_float32():
    """Where S_o is 1 in float32, S_o (1 − (S_o − S_t)) is zero, and only the other classes move the score."""
    weights = np.array([[30, 0, 3], [20, 2, 0]], np.float32)
    clf = gx.load_classifier(lambda x: tf.reshape(x, (-1, 2)) @ weights, output="logits")
    x, baseline = np.ones((1, 1, 2, 1), np.float32), np.zeros((1, 2, 1), np.float32)
    published, complete = (deeplift(clf, x, 0, 1, baseline, rules=r).ravel() for r in ("deepexplain", "complete"))
    s = np.exp(weights.astype(np.float64).sum(0) - 50)
    np.testing.assert_allclose(published, -2 * s[1] * weights[:, 1] - s[2] * weights[:, 2], rtol=1e-5)
    assert np.all(published <= 0) and np.all(complete > 0)


@pytest.mark.parametrize(
    ("difference", "multiplier"),
    [((4e-6, -5e-6), 0.0), ((5e-6, -4e-6), 1.0), ((3e-5, -1e-5), 0.75), ((-1e-5, 3e-5), 0.75), ((0, 0), None)],
)
def test_slope_at_the_midpoint_of_a_small_difference(difference, multiplier):
    """ReLU(x − ½): within 1e-5 the slope between the two is taken, beyond it the quotient."""

    def function(x):
        score = tf.nn.relu(x[:, 0, 0, 0] - 0.5)
        return tf.stack([score, 0 * score], 1)

    clf = gx.load_classifier(function, output="logits")
    x, baseline = (np.full((1, 1, 1, 1), 0.5 + d) for d in difference)
    maps = deeplift(clf, x, 0, 1, baseline, rules="deepexplain", score="logit")
    expected = (x - baseline) * multiplier if multiplier is not None else np.zeros_like(x)
    np.testing.assert_allclose(maps, expected, atol=1e-12)


@pytest.mark.parametrize("rules", ["complete", "deepexplain"])
@pytest.mark.parametrize("head", ["binary", "multilabel"])
def test_sigmoid_at_the_end_is_rescaled(head, rules):
    keras.utils.set_random_seed(9)
    outputs = 1 if head == "binary" else 3
    model = sequential((5, 5, 1), layers.Flatten(), layers.Dense(outputs, "sigmoid"))
    clf = gx.load_classifier(sharpened(model, 8.0), output="multilabel" if head == "multilabel" else "auto")
    kernel, bias = model.layers[-1].get_weights()
    x, baseline = np.random.default_rng(9).random((2, 4, 5, 5, 1), np.float32)
    z, reference = (images.reshape(4, 25) @ kernel + bias for images in (x, baseline))
    slope = (FUNCTIONS["sigmoid"][0](z) - FUNCTIONS["sigmoid"][0](reference)) / (z - reference)
    of_outputs = 2 * slope if head == "binary" else slope * [0, 1, -1]  # S₁ − S₀ = 2p − 1 of the one unit
    expected = (of_outputs @ kernel.T).reshape(x.shape) * (x - baseline)
    maps = deeplift(clf, x, 1, 0 if head == "binary" else 2, baseline, rules=rules)
    assert_close(maps, expected, 1e-5)
