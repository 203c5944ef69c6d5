"""Faithfulness: closed forms, a plain loop, and the correlations that are not defined."""

from __future__ import annotations

import numpy as np
import pytest
from effect_cases import ORIGIN, TARGET, linear, network, with_feature

import tf_ganmex as gx
from tf_ganmex.errors import ImageError, OptionError
from tf_ganmex.metrics import faithfulness, flip_drops
from tf_ganmex.metrics.faithfulness import pearson


@pytest.fixture(scope="module")
def clf():
    return network()


@pytest.fixture(scope="module")
def question():
    rng = np.random.default_rng(2)
    return rng.random((4, 5, 5, 1), np.float32), rng.normal(size=(4, 5, 5, 1))


def by_loop(clf, x, maps, score, replacement):
    values = []
    for image, flat, other, o, t in zip(x, maps.reshape(len(x), -1), replacement, ORIGIN, TARGET, strict=True):
        changed = np.stack([image, *(with_feature(image, i, other.flat[i]) for i in range(image.size))])
        deltas = clf.score_delta(changed, o, t, score)
        values.append(np.corrcoef(flat, deltas[0] - deltas[1:])[0, 1])
    return values


@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1), (0, 255)])
def test_feature_by_feature(value_range, score):
    clf = network(value_range, depth=2)
    rng = np.random.default_rng(3)
    x = rng.uniform(*value_range, (4, 5, 5, 2)).astype(np.float32)
    maps = rng.normal(size=x.shape)
    expected = by_loop(clf, x, maps, score, sum(value_range) - x)
    np.testing.assert_allclose(faithfulness(clf, x, maps, ORIGIN, TARGET, score), expected, atol=1e-4)


def test_replacement(clf, question):
    x, maps = question
    grey = np.full_like(x, 0.3)
    expected = by_loop(clf, x, maps, "probability", grey)
    for replacement in (grey, grey[0], lambda images, target: np.full_like(images, 0.3)):
        values = faithfulness(clf, x, maps, ORIGIN, TARGET, replacement=replacement)
        np.testing.assert_allclose(values, expected, atol=1e-4)
    occlusion = gx.attributions.occlusion(clf, x, ORIGIN, TARGET, grey)
    np.testing.assert_allclose(faithfulness(clf, x, occlusion, ORIGIN, TARGET, replacement=grey), 1, atol=1e-5)


def test_linear_classifier(question):
    """The drops of a linear logit are its gradient times the difference to the flipped image."""
    x, _ = question
    weights = np.random.default_rng(4).normal(size=(25, 2))
    clf = linear(weights)
    map_ = gx.attributions.gradient(clf, x, 0, 1, score="logit") * (x - (1 - x))
    np.testing.assert_allclose(faithfulness(clf, x, map_, 0, 1, "logit"), 1, atol=1e-6)
    np.testing.assert_allclose(faithfulness(clf, x, 3 - 2 * map_, 0, 1, "logit"), -1, atol=1e-6)


def test_given_drops_are_used(clf, question):
    x, maps = question
    drops = flip_drops(clf, x, ORIGIN, TARGET)
    expected = faithfulness(clf, x, maps, ORIGIN, TARGET)
    np.testing.assert_array_equal(faithfulness(clf, x, maps, ORIGIN, TARGET, drops=drops), expected)
    np.testing.assert_allclose(faithfulness(clf, x, maps, ORIGIN, TARGET, drops=-drops), -expected)


def test_undefined_is_nan(clf, question):
    x, maps = question
    maps = maps.copy()
    maps[1] = 0.1  # not a binary fraction: its mean is not exactly itself
    assert np.isnan(faithfulness(clf, x, maps, ORIGIN, TARGET)).tolist() == [False, True, False, False]
    drops = flip_drops(clf, x, ORIGIN, TARGET)
    drops[2] = 0.7
    assert np.isnan(faithfulness(clf, x, maps, ORIGIN, TARGET, drops=drops)).tolist() == [False, True, True, False]


def test_one_vs_all_against_aix360(clf, question):
    """AIX360's faithfulness_metric: minus the correlation with the probabilities once a feature has its base value."""
    x, maps = question
    predicted = clf.predict(x)
    base = np.full_like(x[0], 0.25)
    expected = []
    for image, flat, label in zip(x, maps.reshape(4, -1), predicted, strict=True):
        changed = np.stack([with_feature(image, i, base.flat[i]) for i in range(25)])
        expected.append(-np.corrcoef(flat, clf.probabilities(changed)[:, label])[0, 1])
    np.testing.assert_allclose(faithfulness(clf, x, maps, predicted, None, replacement=base), expected, atol=1e-4)


# --- the correlation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1, 1e200])
def test_numbers_too_small_or_large_to_square(scale):
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(2, 3, 30))
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(pearson(first * scale, second), expected, rtol=1e-9)


def test_a_few_images_at_a_time(monkeypatch):
    rng = np.random.default_rng(6)
    first, second = rng.normal(size=(2, 7, 4, 4, 1))
    whole = pearson(first, second)
    monkeypatch.setitem(pearson.__globals__, "_FEATURES", 40)
    np.testing.assert_array_equal(pearson(first, second), whole)


# --- arguments --------------------------------------------------------------------------------------------------------


def test_arguments_that_do_not_fit(clf, question):
    x, maps = question
    with pytest.raises(
        ImageError, match=r"Expected attributions shaped like the images.*Received: shape=\(3, 5, 5, 1\)"
    ):
        faithfulness(clf, x, maps[:3], ORIGIN, TARGET)
    for wrong in (maps[:3], np.full_like(maps, np.inf), maps > 0):
        with pytest.raises(ImageError, match=r"Expected finite drops.*Received"):
            faithfulness(clf, x, maps, ORIGIN, TARGET, drops=wrong)
    with pytest.raises(OptionError, match="drops or a replacement"):
        faithfulness(clf, x, maps, ORIGIN, TARGET, drops=maps, replacement=x)
    with pytest.raises(OptionError, match="batch_size=0"):
        faithfulness(clf, x, maps, ORIGIN, TARGET, batch_size=0)
