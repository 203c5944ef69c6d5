"""Monotonicity: closed forms, a plain loop, and the correlations that are not defined."""

from __future__ import annotations

import numpy as np
import pytest
from effect_cases import ORIGIN, TARGET, linear, network, with_feature
from scipy.stats import spearmanr

from tf_ganmex.errors import ImageError, OptionError
from tf_ganmex.metrics import draw_effects, monotonicity
from tf_ganmex.metrics.effects import draw_generator
from tf_ganmex.metrics.monotonicity import spearman


@pytest.fixture(scope="module")
def clf():
    return network()


@pytest.fixture(scope="module")
def question():
    rng = np.random.default_rng(2)
    return rng.random((4, 5, 5, 1), np.float32), rng.normal(size=(4, 5, 5, 1))


@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1)])
def test_feature_by_feature(value_range, score):
    clf = network(value_range)
    low, high = value_range
    rng = np.random.default_rng(3)
    x = rng.uniform(low, high, (4, 5, 5, 1)).astype(np.float32)
    maps = rng.normal(size=x.shape)
    expected = []
    for image, flat, o, t in zip(x, maps.reshape(4, -1), ORIGIN, TARGET, strict=True):
        values = low + (high - low) * draw_generator(image, 7).random((6, 25))
        whole = clf.score_delta(image[None], o, t, score)[0]
        draws = [np.stack([with_feature(image, i, u) for i, u in enumerate(row)]) for row in values]
        effects = np.mean([(clf.score_delta(changed, o, t, score) - whole) ** 2 for changed in draws], 0)
        expected.append(spearmanr(np.abs(flat), effects).statistic)
    actual = monotonicity(clf, x, maps, ORIGIN, TARGET, 6, 7, score)
    np.testing.assert_allclose(actual, expected, atol=2e-3)  # one exchange of neighbours among the ranks of float32


def test_linear_classifier():
    """The effect of a draw on a linear logit is the squared weight, times what all features of a grey image share."""
    weights = 1.5 ** np.random.default_rng(4).permutation(25) * np.resize([1, -1], 25)
    clf = linear(np.stack([weights, np.zeros(25)], 1))
    x = np.full((2, 5, 5, 1), 0.5, np.float32)
    maps = np.broadcast_to(weights.reshape(5, 5, 1), x.shape)
    np.testing.assert_allclose(monotonicity(clf, x, maps, 0, 1, score="logit"), 1)
    np.testing.assert_allclose(monotonicity(clf, x, np.abs(maps) ** 0.1, 0, 1, score="logit"), 1)  # ranks alone count
    np.testing.assert_allclose(monotonicity(clf, x, 1 / maps, 0, 1, score="logit"), -1)


def monotonic_by_aix360(clf, image, map_, base, label):
    """AIX360's monotonicity_metric: does the score never fall as features come into a base image, least first?"""
    images, current = [], base.copy()
    for feature in np.argsort(map_, axis=None):
        current.flat[feature] = image.flat[feature]
        images.append(current.copy())
    return bool((np.diff(clf.probabilities(np.stack(images))[:, label]) >= 0).all())


def test_another_metric_of_the_same_name():
    """AIX360's is of signed order and of all features before: the two contradict each other both ways."""
    weights = np.linspace(-3, 3, 25)
    clf = linear(np.stack([weights, np.zeros(25)], 1))
    x = np.full((1, 5, 5, 1), 0.9, np.float32)
    black = np.zeros_like(x[0])
    importance = np.abs(weights).reshape(x.shape)  # what monotonicity asks for
    np.testing.assert_allclose(monotonicity(clf, x, importance, 0, 1, score="logit", draws=2000), 1, atol=0.01)
    assert not monotonic_by_aix360(clf, x[0], importance[0], black, 0)
    positive = linear(np.stack([np.abs(weights) + 0.1, np.zeros(25)], 1))  # every feature raises the score
    assert monotonic_by_aix360(positive, x[0], -importance[0], black, 0)
    assert monotonicity(positive, x, 1 / (1 + importance), 0, 1, score="logit") < -0.9


def test_given_effects_are_used(clf, question):
    x, maps = question
    effects = draw_effects(clf, x, ORIGIN, TARGET, 5, 3)
    expected = monotonicity(clf, x, maps, ORIGIN, TARGET, 5, 3)
    np.testing.assert_array_equal(monotonicity(clf, x, maps, ORIGIN, TARGET, effects=effects), expected)
    np.testing.assert_array_equal(monotonicity(clf, x, -maps, ORIGIN, TARGET, effects=effects), expected)
    np.testing.assert_allclose(monotonicity(clf, x, maps, ORIGIN, TARGET, effects=-effects), -expected)


def test_options_reach_the_draws(clf, question):
    x, maps = question

    def values(**options):
        return monotonicity(clf, x, maps, ORIGIN, TARGET, **{"draws": 3} | options).tolist()

    assert values() == values()
    assert len({str(values(**options)) for options in ({}, {"seed": 1}, {"draws": 2}, {"stratified": True})}) == 4


def test_undefined_is_nan(clf, question):
    x, maps = question
    signs = np.sign(maps)
    effects = np.random.default_rng(5).random(x.shape)
    effects[3] = 0.1
    maps = np.stack([maps[0], signs[1], maps[2], maps[3]])  # |A| is the same everywhere in the second
    actual = monotonicity(clf, x, maps, ORIGIN, TARGET, effects=effects)
    assert np.isnan(actual).tolist() == [False, True, False, True]


def test_equal_values_share_their_rank(monkeypatch):
    rng = np.random.default_rng(6)
    first, second = rng.integers(0, 4, (2, 5, 3, 3, 1))
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(spearman(first, second), expected)
    monkeypatch.setitem(spearman.__globals__, "_FEATURES", 20)
    np.testing.assert_allclose(spearman(first, second), expected)


def test_arguments_that_do_not_fit(clf, question):
    x, maps = question
    with pytest.raises(ImageError, match=r"Expected attributions shaped like the images.*Received"):
        monotonicity(clf, x, maps[..., 0], ORIGIN, TARGET)
    with pytest.raises(ImageError, match=r"Expected finite effects.*Received"):
        monotonicity(clf, x, maps, ORIGIN, TARGET, effects=maps[:2])
    for draws in (0, 2.5, True):
        with pytest.raises(OptionError, match=rf"Expected draws.*Received: draws={draws}"):
            monotonicity(clf, x, maps, ORIGIN, TARGET, draws)
