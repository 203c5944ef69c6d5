"""Perturbation curves against a plain loop over features, and the area over them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex.errors import ImageError, LabelError, OptionError
from tf_ganmex.metrics import aopc, perturbation_curve
from tf_ganmex.metrics.perturbation import attribution_ranks

layers = keras.layers


def make_classifier(value_range, depth=1):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((5, 5, depth)),
            layers.Conv2D(4, 3, activation="tanh"),
            layers.Flatten(),
            layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(stddev=1.0)),
        ]
    )
    return gx.load_classifier(model, output="logits", value_range=value_range)


@pytest.fixture(scope="module")
def question():
    rng = np.random.default_rng(2)
    return rng.random((4, 5, 5, 1), np.float32), rng.normal(size=(4, 5, 5, 1))


@pytest.fixture(scope="module")
def clf():
    return make_classifier((0, 1))


def between_equals(features):
    """Where an order is that of all features when nothing tells them apart."""
    ranks = attribution_ranks(np.zeros((1, 1, features, 1))).ravel()
    return np.argsort(ranks)


def by_loop(clf, x, attributions, origin, target, score):
    low, high = clf.value_range
    curves = []
    for image, map_, o, t in zip(x, attributions, origin, target, strict=True):
        image = image.copy()
        curve = [clf.score_delta(image[None], int(o), int(t), score)[0]]
        # Highest first; Python's sort keeps equal ones in the order that it is given.
        for feature in sorted(between_equals(image.size), key=lambda i, flat=map_: -flat.flat[i]):
            image.flat[feature] = low + high - image.flat[feature]
            curve.append(clf.score_delta(image[None], int(o), int(t), score)[0])
        curves.append(curve)
    return np.array(curves)


ORIGIN, TARGET = np.array([0, 1, 2, 0]), np.array([1, 2, 0, 2])


@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize(("value_range", "depth"), [((0, 1), 1), ((-1, 1), 3), ((0, 255), 1)])
def test_feature_by_feature(value_range, depth, score):
    clf = make_classifier(value_range, depth)
    rng = np.random.default_rng(3)
    x = rng.uniform(*value_range, (4, 5, 5, depth)).astype(np.float32)
    maps = rng.normal(size=x.shape)
    curve = perturbation_curve(clf, x, maps, ORIGIN, TARGET, score)
    assert curve.shape == (4, 25 * depth + 1)
    np.testing.assert_allclose(curve, by_loop(clf, x, maps, ORIGIN, TARGET, score), atol=1e-5)


def test_equal_attributions_come_in_a_random_order_that_is_always_the_same(clf, question):
    x, maps = question
    order = between_equals(784)
    assert sorted(order) == list(range(784)) and abs(np.corrcoef(order, np.arange(784))[0, 1]) < 0.1
    np.testing.assert_array_equal(order, between_equals(784))
    ranks = attribution_ranks(np.repeat([[[[0.0]], [[1.0]]]], 392, 2).reshape(1, 28, 28, 1)).ravel()
    assert set(ranks[392:]) == set(range(392))  # whatever the order between equals
    coarse = np.round(maps)
    curve = perturbation_curve(clf, x, coarse, ORIGIN, TARGET)
    np.testing.assert_allclose(curve, by_loop(clf, x, coarse, ORIGIN, TARGET, "probability"), atol=1e-5)
    constant = perturbation_curve(clf, x, np.zeros(x.shape, int), ORIGIN, TARGET)
    np.testing.assert_allclose(constant, by_loop(clf, x, x * 0, ORIGIN, TARGET, "probability"), atol=1e-5)


def test_sign_counts(clf, question):
    x, maps = question
    assert not np.allclose(
        perturbation_curve(clf, x, maps, ORIGIN, TARGET), perturbation_curve(clf, x, np.abs(maps), ORIGIN, TARGET)
    )


@pytest.mark.parametrize("flips", [1, 7, 25, 1000])
def test_fewer_flips_are_the_start_of_the_curve(flips, clf, question):
    x, maps = question
    whole = perturbation_curve(clf, x, maps, ORIGIN, TARGET)
    part = perturbation_curve(clf, x, maps, ORIGIN, TARGET, flips=flips)
    np.testing.assert_allclose(part, whole[:, : flips + 1], atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 26, 40, 1000])
def test_batch_size_does_not_matter(batch_size, clf, question):
    x, maps = question
    whole = perturbation_curve(clf, x, maps, ORIGIN, TARGET)
    np.testing.assert_allclose(
        perturbation_curve(clf, x, maps, ORIGIN, TARGET, batch_size=batch_size), whole, atol=1e-6
    )


def test_one_vs_all(clf, question):
    x, maps = question
    curve = perturbation_curve(clf, x, maps, ORIGIN, None)
    others = [perturbation_curve(clf, x, maps, ORIGIN, (ORIGIN + k) % 3) for k in (1, 2)]
    np.testing.assert_allclose(2 * curve - sum(others), 1 - curve, atol=1e-5)  # p_o − p_a + p_o − p_b = 3 p_o − 1


def test_no_more_images_at_once_than_asked():
    """The images of a curve are made inside the graph, as many as go through the classifier at a time."""
    seen: list[int] = []

    def function(x):
        seen.append(len(x.numpy()))
        return tf.reshape(x, (-1, 25))[:, :3]

    clf = gx.load_classifier(function, output="logits", input_shape=(5, 5, 1))
    x = np.random.default_rng(4).random((3, 5, 5, 1), np.float32)
    seen.clear()
    perturbation_curve(clf, x, x, 0, 1, batch_size=10)
    assert max(seen) <= 10
    assert 3 * 26 <= sum(seen) <= 3 * 30


def test_maps_and_options_that_do_not_fit(clf, question):
    x, maps = question
    nan = np.where(np.arange(25).reshape(5, 5, 1) == 2, np.nan, maps)
    for wrong, text in [(maps[:3], "shape"), (maps[..., 0], "shape"), (maps.astype(str), "dtype"), (nan, "NaN")]:
        with pytest.raises(ImageError, match=rf"Expected.*attributions.*Received.*{text}"):
            perturbation_curve(clf, x, wrong, ORIGIN, TARGET)
    for flips in (0, -1, True, 2.0):
        with pytest.raises(OptionError, match=r"Expected flips.*Received"):
            perturbation_curve(clf, x, maps, ORIGIN, TARGET, flips=flips)
    with pytest.raises(LabelError, match="origin=target"):
        perturbation_curve(clf, x, maps, 1, 1)


# --- area over the curve ----------------------------------------------------------------------------------------------


def test_area_by_hand():
    curve = np.array([[1.0, 0.5, 0.25, -1.0], [0.0, 0.0, 1.0, 2.0]])
    np.testing.assert_allclose(aopc(curve, steps=None), [(0 + 0.5 + 0.75 + 2) / 4, (0 + 0 - 1 - 2) / 4])
    np.testing.assert_allclose(aopc(curve, steps=2), [(0 + 0.5 + 0.75) / 3, -1 / 3])
    np.testing.assert_allclose(aopc(curve, steps=1), [0.25, 0])


def test_area_takes_the_first_hundred_steps():
    curve = np.random.default_rng(5).normal(size=(3, 150))
    np.testing.assert_allclose(aopc(curve), (curve[:, :1] - curve[:, :101]).sum(1) / 101)


def test_order_by_attribution_beats_the_reverse(clf, question):
    """On a linear classifier, the order by contribution of the flip has the largest area."""
    x, _ = question
    weights = np.random.default_rng(6).normal(size=(25, 2)).astype(np.float32)
    linear = gx.load_classifier(lambda z: tf.reshape(z, (-1, 25)) @ weights, output="logits", input_shape=(5, 5, 1))
    gain = ((2 * x - 1).reshape(4, 25) * (weights[:, 0] - weights[:, 1])).reshape(x.shape)  # of Δ, when flipped back
    areas = [
        aopc(perturbation_curve(linear, x, maps, 0, 1, "logit"), steps=None)
        for maps in (gain, np.random.default_rng(7).normal(size=x.shape), -gain)
    ]
    assert (areas[0] > areas[1]).all()
    assert (areas[1] > areas[2]).all()


@pytest.mark.parametrize("steps", [0, -1, True, 1.5, 4])
def test_steps_that_do_not_fit(steps):
    with pytest.raises(OptionError, match=rf"Expected steps.*Received: steps={steps}"):
        aopc(np.zeros((2, 4)), steps=steps)


@pytest.mark.parametrize("shape", [(4,), (2, 1), (2, 3, 4)])
def test_what_is_no_curve(shape):
    with pytest.raises(OptionError, match=r"Expected a curve.*Received: shape="):
        aopc(np.zeros(shape))
