"""Against Quantus, an independent library of such metrics, where the definitions agree, and where they part.

Its correlations are asked through ``evaluate_batch`` with a model that answers our score delta; its public call would
only normalise the maps by their maximum (which changes no correlation) and take their absolute values where told.
"""

from __future__ import annotations

import numpy as np
import pytest
from effect_cases import network

from tf_ganmex.metrics import draw_effects, faithfulness, flip_drops, gini, gini_shifted, monotonicity
from tf_ganmex.metrics.effects import draw_generator
from tf_ganmex.metrics.faithfulness import pearson
from tf_ganmex.metrics.monotonicity import spearman

quantus = pytest.importorskip("quantus", reason="needs the package quantus: pip install quantus", exc_type=ImportError)
COUNT, SHAPE, FEATURES = 3, (5, 5, 1), 25
QUIET = {"disable_warnings": True, "return_aggregate": False}


class Delta:
    """The score delta 0 → 1 as the one output of a model, in the interface that Quantus's metrics call."""

    def __init__(self, clf, score="probability"):
        self.clf = clf
        self.score = score

    def shape_input(self, x, shape, channel_first=None, batched=False):
        return x

    def predict(self, x):
        return self.clf.score_delta(x.reshape(-1, *SHAPE), 0, 1, self.score)[:, None]


@pytest.fixture(scope="module")
def clf():
    return network()


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(2).random((COUNT, *SHAPE), np.float32)


@pytest.fixture(scope="module")
def maps():
    return np.random.default_rng(3).normal(size=(COUNT, *SHAPE))


def evaluate(metric, clf, x, maps, score="probability"):
    return metric.evaluate_batch(model=Delta(clf, score), x_batch=x.copy(), y_batch=np.zeros(len(x), int), a_batch=maps)


# --- sparseness -------------------------------------------------------------------------------------------------------


def sparseness(maps, **options):
    metric = quantus.Sparseness(**QUIET, **options)
    channels_first = np.moveaxis(maps, -1, 1)
    return metric(model=None, x_batch=channels_first, y_batch=np.zeros(len(maps), int), a_batch=channels_first)


def test_sparseness_is_gini(maps):
    """Equal but for the 1e-7 that Quantus adds to every attribution, after dividing by the largest of all maps."""
    np.testing.assert_allclose(sparseness(maps), gini(maps), atol=1e-6)
    colours = np.random.default_rng(4).normal(size=(4, 6, 5, 3)) ** 5
    scores = quantus.Sparseness(**QUIET).evaluate_batch(x_batch=None, a_batch=np.abs(colours))
    np.testing.assert_allclose(scores, gini(colours), atol=1e-6)


def test_sparseness_of_shifted_maps_is_gini_shifted(maps):
    shifted = maps - maps.min((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(sparseness(shifted), gini_shifted(maps), atol=1e-6)


def test_a_map_of_zeros():
    """With 1e-7 in every feature it is a constant map, of index 0; for us it is undefined."""
    zeros = np.zeros((1, *SHAPE))
    scores = quantus.Sparseness(**QUIET).evaluate_batch(x_batch=None, a_batch=zeros.copy())
    np.testing.assert_allclose(scores, 0, atol=1e-6)
    assert np.isnan(gini(zeros)).all()


# --- correlations -----------------------------------------------------------------------------------------------------


def test_similarity_functions():
    first, second = np.random.default_rng(5).normal(size=(2, 4, 30))
    second[0] = np.round(second[0])  # ties
    np.testing.assert_allclose(
        pearson(first, second), quantus.similarity_func.correlation_pearson(first, second, batched=True)
    )
    np.testing.assert_allclose(
        spearman(first, second), quantus.similarity_func.correlation_spearman(first, second, batched=True)
    )


def flipped(arr, indices, **_):
    """A perturbation for Quantus: the features flipped in [0, 1]."""
    changed = arr.copy()
    rows = np.arange(len(arr))[:, None]
    changed[rows, indices] = 1 - arr[rows, indices]
    return changed


@pytest.mark.parametrize("score", ["probability", "logit"])
def test_faithfulness_estimate_is_faithfulness(score, clf, x, maps):
    """Alvarez-Melis & Jaakkola's metric by Quantus, with the flip for its perturbation: one feature a step."""
    metric = quantus.FaithfulnessEstimate(features_in_step=1, perturb_func=flipped, **QUIET)
    np.testing.assert_allclose(
        evaluate(metric, clf, x, maps, score), faithfulness(clf, x, maps, 0, 1, score), atol=1e-4
    )


def test_faithfulness_estimate_with_black(clf, x, maps):
    """Its own perturbation puts each image's smallest value in a feature's place, which is a replacement for us."""
    metric = quantus.FaithfulnessEstimate(features_in_step=1, perturb_baseline="black", **QUIET)
    smallest = np.broadcast_to(x.min((1, 2, 3), keepdims=True), x.shape)
    with pytest.warns(UserWarning, match="didn't cause change"):  # in the darkest feature
        values = evaluate(metric, clf, x, maps)
    np.testing.assert_allclose(values, faithfulness(clf, x, maps, 0, 1, replacement=smallest), atol=1e-4)


def test_faithfulness_correlation_of_single_features(clf, x, maps):
    """Bhatt et al.'s metric sums random subsets; of one feature each it is ours on the features that were drawn."""
    runs = 40
    metric = quantus.FaithfulnessCorrelation(subset_size=1, nr_runs=runs, perturb_func=flipped, **QUIET)
    np.random.seed(6)  # what Quantus draws from
    values = evaluate(metric, clf, x, maps)
    np.random.seed(6)
    drawn = np.array([[np.random.choice(FEATURES, 1, replace=False)[0] for _ in range(COUNT)] for _ in range(runs)]).T
    drops = flip_drops(clf, x, 0, 1).reshape(COUNT, -1)
    expected = pearson(np.take_along_axis(maps.reshape(COUNT, -1), drawn, 1), np.take_along_axis(drops, drawn, 1))
    np.testing.assert_allclose(values, expected, atol=1e-4)


def test_faithfulness_correlation_of_subsets_is_another_metric(clf, x, maps):
    """Flips of several features at a time interact: the same map scores otherwise."""
    metric = quantus.FaithfulnessCorrelation(subset_size=12, nr_runs=400, perturb_func=flipped, **QUIET)
    np.random.seed(6)
    drops = flip_drops(clf, x, 0, 1).astype(np.float64)
    np.testing.assert_allclose(faithfulness(clf, x, drops, 0, 1), 1)
    assert np.max(evaluate(metric, clf, x, drops)) < 0.999


def test_monotonicity_correlation_with_the_same_draws(clf, x, maps):
    """Nguyen & Martínez's metric by Quantus, one feature a step, given our draws for its perturbation.

    It divides the effects by the squared score, which is the same for all features of an image, and leaves it to the
    caller to take absolute values (its public call does, by default).
    """
    draws = 6
    u = np.stack([draw_generator(image, 0).random((draws, FEATURES)) for image in x])
    call = iter(range(10**6))

    def drawn(arr, indices, **_):
        number = next(call) % draws  # the draws of a feature come one after another
        changed = arr.copy()
        rows = np.arange(len(arr))[:, None]
        changed[rows, indices] = u[rows, number, indices]
        return changed

    metric = quantus.MonotonicityCorrelation(nr_samples=draws, features_in_step=1, perturb_func=drawn, **QUIET)
    values = evaluate(metric, clf, x, np.abs(maps))
    np.testing.assert_allclose(values, monotonicity(clf, x, maps, 0, 1, draws), atol=2e-3)


def test_monotonicity_correlation_with_its_own_draws(clf, x):
    """Its default is u from [0, 1] too, drawn anew for every map: on our effects it comes as close as draws allow."""
    metric = quantus.MonotonicityCorrelation(nr_samples=60, **QUIET)
    effects = draw_effects(clf, x, 0, 1, 60, stratified=True)
    np.random.seed(7)
    assert np.min(evaluate(metric, clf, x, effects)) > 0.97
    np.testing.assert_allclose(monotonicity(clf, x, effects, 0, 1, effects=effects), 1)
