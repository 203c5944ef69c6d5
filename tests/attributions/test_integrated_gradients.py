"""Integrated gradients: quadrature, convergence, and the loop over images and steps that it stands for."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from attribution_cases import assert_close, case, sequential

import tf_ganmex as gx
from tf_ganmex.attributions import integrated_gradients
from tf_ganmex.attributions.quadrature import RULES, nodes_and_weights

layers = keras.layers
ORDERS = {"right": 1, "midpoint": 2, "trapezoid": 2}


def nodes_by_hand(rule, steps):
    """(α, weight) of every step, written out."""
    if rule == "right":
        return [((k + 1) / steps, 1 / steps) for k in range(steps)]
    if rule == "midpoint":
        return [((2 * k + 1) / (2 * steps), 1 / steps) for k in range(steps)]
    ends = {0, steps - 1}
    return [(k / (steps - 1), (0.5 if k in ends else 1.0) / (steps - 1)) for k in range(steps)]


def polynomial_classifier(power):
    weights = np.random.default_rng(power).normal(size=12)

    def function(x):
        score = tf.reduce_sum(tf.reshape(x, (-1, 12)) ** power * weights, -1)
        return tf.stack([score, tf.zeros_like(score)], 1)

    x, baseline = np.random.default_rng(4).uniform(-1, 1, (2, 3, 2, 3, 2))
    return gx.load_classifier(function, output="logits", value_range=(-1, 1)), weights.reshape(2, 3, 2), x, baseline


@pytest.mark.parametrize("rule", RULES)
def test_weights_sum_to_one_within_the_path(rule):
    for steps in (2, 3, 7, 50):
        nodes, weights = nodes_and_weights(rule, steps)
        assert nodes.shape == weights.shape == (steps,)
        assert nodes.min() >= 0
        assert nodes.max() <= 1
        assert weights.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("steps", [2, 3, 8])
@pytest.mark.parametrize("rule", ORDERS)
def test_sum_over_steps_on_a_cubic(rule, steps):
    clf, weights, x, baseline = polynomial_classifier(3)
    expected = sum(
        share * 3 * weights * (baseline + alpha * (x - baseline)) ** 2 * (x - baseline)
        for alpha, share in nodes_by_hand(rule, steps)
    )
    maps = integrated_gradients(clf, x, 0, 1, baseline, steps=steps, rule=rule, score="logit")
    assert_close(maps, expected, 1e-12)


@pytest.mark.parametrize(("steps", "power"), [(1, 2), (2, 4), (3, 6), (5, 9)])
def test_gauss_legendre_is_exact_for_polynomials(steps, power):
    """The gradient has degree power − 1, and n nodes integrate degree 2n − 1."""
    clf, weights, x, baseline = polynomial_classifier(power)
    maps = integrated_gradients(clf, x, 0, 1, baseline, steps=steps, rule="gauss-legendre", score="logit")
    assert_close(maps, weights * (x**power - baseline**power), 1e-12)


@pytest.mark.parametrize("rule", ORDERS)
def test_gap_shrinks_with_the_order_of_the_rule(rule):
    question = case("float64")
    rng = np.random.default_rng(5)
    weights, heads = tf.constant(rng.normal(size=(25, 6))), tf.constant(rng.normal(size=(6, 3)))
    smooth = gx.load_classifier(lambda x: tf.nn.tanh(tf.reshape(x, (-1, 25)) @ weights) @ heads, output="logits")
    x, baseline = question.x, question.baseline
    delta = smooth.score_delta(x, 0, 1) - smooth.score_delta(baseline, 0, 1)
    gaps = []
    for intervals in (40, 80):
        steps = intervals + (rule == "trapezoid")
        maps = integrated_gradients(smooth, x, 0, 1, baseline, steps=steps, rule=rule)
        gaps.append(np.abs(maps.sum((1, 2, 3)) - delta).max())
    assert gaps[1] < 0.02 * np.abs(delta).max()
    assert gaps[0] / gaps[1] == pytest.approx(2 ** ORDERS[rule], rel=0.15)


@pytest.mark.parametrize("name", ["softmax", "rgb", "binary", "multilabel", "probabilities", "fixed batch"])
@pytest.mark.parametrize("rule", RULES)
def test_complete_with_many_steps(rule, name):
    question = case(name)
    clf, score = question.clf, question.score
    delta, after = (
        clf.score_delta(images, question.origin, question.target, score) for images in (question.x, question.baseline)
    )
    maps = integrated_gradients(
        clf, question.x, question.origin, question.target, question.baseline, steps=400, rule=rule, score=score
    )
    assert_close(maps.sum((1, 2, 3)), delta - after, 0.02 if rule == "right" else 0.005)


def test_default_is_200_steps_of_the_midpoint_rule_on_probabilities():
    question = case("softmax")
    arguments = (question.clf, question.x, question.origin, question.target, question.baseline)
    written_out = integrated_gradients(*arguments, steps=200, rule="midpoint", score="probability")
    assert np.array_equal(integrated_gradients(*arguments), written_out)


@pytest.mark.parametrize("score", ["probability", "logit"])
def test_right_rule_is_deepexplains_loop(score):
    """Mean gradient at α = 1/n, …, 1 times x − x̃, one image and one step at a time, on the Keras model itself."""
    keras.utils.set_random_seed(6)
    model = sequential((7, 7, 1), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3))
    clf = gx.load_classifier(model, output="logits")
    x, baseline = np.random.default_rng(6).random((2, 2, 7, 7, 1), np.float32)
    expected = np.zeros_like(x)
    for row in range(2):
        for k in range(1, 6):
            point = tf.constant(baseline[row] + k / 5 * (x[row] - baseline[row]))[None]
            with tf.GradientTape() as tape:
                tape.watch(point)
                scores = model(point)
                scores = tf.nn.softmax(scores) if score == "probability" else scores
                delta = scores[0, 2] - scores[0, 0]
            expected[row] += tape.gradient(delta, point)[0].numpy() / 5
    expected *= x - baseline
    maps = integrated_gradients(clf, x, 2, 0, baseline, steps=5, rule="right", score=score)
    assert_close(maps, expected, 1e-5)


def test_chunks_of_a_long_path():
    """More steps than go through the classifier at once, and not a multiple of them."""
    question = case("softmax")
    arguments = (question.clf, question.x, question.origin, question.target, question.baseline)
    for rule in RULES:
        whole = integrated_gradients(*arguments, steps=23, rule=rule)
        assert_close(integrated_gradients(*arguments, steps=23, rule=rule, batch_size=7), whole, 1e-5)


def test_images_of_several_sizes():
    """A classifier without a fixed image size is asked for one size after another."""
    model = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(3, 3), layers.GlobalMaxPooling2D()])
    clf = gx.load_classifier(model, output="logits")
    for side in (5, 7, 5):
        x = np.random.default_rng(side).random((2, side, side, 1), np.float32)
        for method in ("integrated_gradients", "deeplift", "occlusion"):
            maps = getattr(gx.attributions, method)(clf, x, 0, 1, np.zeros_like(x))
            assert maps.shape == x.shape
            alone = getattr(gx.attributions, method)(clf, x[:1], 0, 1, np.zeros_like(x[:1]))
            assert_close(maps[:1], alone, 1e-5)


def test_memory_is_bounded():
    """300 images of 64 × 64 × 3 by 50 steps are 737 MB of points on the paths alone; few are held at a time."""
    pytest.importorskip("resource")
    program = textwrap.dedent(
        """
        import resource, sys
        import keras, numpy as np
        import tf_ganmex as gx
        layers = keras.layers
        model = keras.Sequential([
            keras.Input((64, 64, 3)), layers.Conv2D(4, 5, 4, activation="relu"), layers.Flatten(), layers.Dense(3)])
        clf = gx.load_classifier(model, output="logits")
        x = np.random.default_rng(0).random((300, 64, 64, 3), np.float32)
        gx.attributions.integrated_gradients(clf, x[:1], 0, 1, x[1], steps=50)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        gx.attributions.integrated_gradients(clf, x, 0, 1, x[0], steps=50)
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(kilobytes / 2 ** (20 if sys.platform == "darwin" else 10))
        """
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(result.stdout.split()[-1]) < 300
