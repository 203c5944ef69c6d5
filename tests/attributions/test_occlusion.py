"""Occlusion against a plain loop over windows, and what it does not evaluate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf
from attribution_cases import assert_close, case
from scipy.special import softmax

import tf_ganmex as gx
from tf_ganmex.attributions import occlusion


def by_loop(question, window, stride, channels):
    """One window at a time; a feature gets the drops of its windows by the sizes of its windows."""
    clf, x, baseline = question.clf, question.x, question.baseline
    _, height, width, depth = x.shape

    def delta(images):
        logits = clf.logits(images).astype(np.float64)
        scores = softmax(logits, -1) if question.score == "probability" else logits
        return (scores * clf.contrast(question.origin, question.target, len(images))).sum(-1)

    total, size = np.zeros_like(x, np.float64), np.zeros(x.shape[1:])
    groups = [slice(c, c + 1) for c in range(depth)] if channels == "each" else [slice(0, depth)]
    tops, lefts = range(0, height - window + 1, stride), range(0, width - window + 1, stride)
    for top, left, group in itertools.product(tops, lefts, groups):
        where = (slice(top, top + window), slice(left, left + window), group)
        occluded = x.copy()
        occluded[:, *where] = baseline[:, *where]
        total[:, *where] += (delta(x) - delta(occluded))[:, None, None, None]
        size[where] += window * window * (group.stop - group.start)
    return total / np.maximum(size, 1)


@pytest.mark.parametrize("name", ["softmax", "rgb", "binary", "eager"])
@pytest.mark.parametrize(
    ("window", "stride", "channels"),
    [(1, 1, "each"), (1, 1, "together"), (1, 2, "each"), (2, 1, "together"), (3, 2, "each"), (4, 3, "together")],
)
def test_every_window_by_itself(window, stride, channels, name):
    question = case(name)
    maps = occlusion(
        question.clf,
        question.x,
        question.origin,
        question.target,
        question.baseline,
        window=window,
        stride=stride,
        channels=channels,
        score=question.score,
    )
    assert_close(maps, by_loop(question, window, stride, channels), 1e-5)


@pytest.mark.parametrize(("window", "channels"), [(1, "each"), (2, "together")])
def test_default_channels(window, channels):
    question = case("rgb")
    arguments = (question.clf, question.x, question.origin, question.target, question.baseline)
    maps = occlusion(*arguments, window=window)
    assert np.array_equal(maps, occlusion(*arguments, window=window, channels=channels))
    other = "together" if channels == "each" else "each"
    assert not np.allclose(maps, occlusion(*arguments, window=window, channels=other))


def test_whole_image_as_one_window():
    question = case("softmax")
    clf, x, origin, target = question.clf, question.x, question.origin, question.target
    drop = clf.score_delta(x, origin, target) - clf.score_delta(question.baseline, origin, target)
    maps = occlusion(clf, x, origin, target, question.baseline, window=8)
    assert_close(maps, np.broadcast_to((drop / 64)[:, None, None, None], x.shape), 1e-5)


def counting_classifier():
    """A callable that cannot be traced and counts the images that it is asked about."""
    counts: list[int] = []
    weights = tf.constant(np.random.default_rng(1).normal(size=(36, 3)), tf.float32)

    def function(x):
        counts.append(len(x.numpy()))
        return tf.nn.tanh(tf.reshape(x, (-1, 36)) @ weights)

    return gx.load_classifier(function, output="logits", input_shape=(6, 6, 1)), counts


def test_windows_that_do_not_change_are_not_evaluated():
    clf, counts = counting_classifier()
    x = np.random.default_rng(2).random((3, 6, 6, 1), np.float32)
    baseline = x.copy()
    baseline[0, 2, 3] += 0.01
    baseline[2, 5, 5] += 0.01
    counts.clear()
    maps = occlusion(clf, x, 0, 1, baseline)
    assert sum(counts) == 3 + 2 + 2  # whose class they are; the two images that change, and their two features
    assert np.argwhere(maps).tolist() == [[0, 2, 3, 0], [2, 5, 5, 0]]
    counts.clear()
    occlusion(clf, x, 0, 1, x)
    assert counts == []


def test_images_are_not_evaluated_twice():
    """More images than are taken at a time, the last batch no larger than it is."""
    clf, counts = counting_classifier()
    x = np.random.default_rng(3).random((5, 6, 6, 1), np.float32)
    counts.clear()
    occlusion(clf, x, 0, 1, np.zeros_like(x), batch_size=64)
    assert sum(counts) <= 5 + -(-5 * (1 + 36) // 64) * 64
    assert max(counts) <= 64


def test_few_compilations_for_many_images():
    """Every image has another number of features that change; that must not compile a graph for each."""
    question = case("softmax")
    rng = np.random.default_rng(4)
    kernel_key = (("occlusion", "logit", (1, 1, 1)), question.clf.head)
    for changed in range(1, 30):
        x = question.x[:1].copy()
        baseline = x.copy()
        places = rng.choice(64, changed, replace=False)
        baseline.reshape(-1)[places] = 0.5
        occlusion(question.clf, x, 0, 1, baseline, score="logit")
    assert len(question.clf.engine.kernels[kernel_key]._traces) <= 6


def test_drops_keep_their_digits_where_the_probability_is_one():
    """By logits of 40 and more, in float64: in float32 both probabilities are 1 and every drop is 0."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(9, 3))
    weights[:, 0] += 10
    clf = gx.load_classifier(
        lambda x: tf.reshape(x, (-1, 9)) @ weights.astype(np.float32), input_shape=(3, 3, 1), output="logits"
    )
    x = rng.random((4, 3, 3, 1), np.float32) * 0.5 + 0.5
    occluded = np.where(np.eye(9, dtype=bool), 0, x.reshape(4, 1, 9))
    exact, before = (np.exp(images @ weights) for images in (occluded.astype(np.float64), x.reshape(4, 9)))
    # Δ = S_0 − S_1 = 1 − 2 S_1 − S_2, without the digits that the 1 costs
    exact, before = ((odds / odds.sum(-1, keepdims=True))[..., 1:] @ [2, 1] for odds in (exact, before))
    assert (clf.score_delta(x, 0, 1) == 1).all()
    maps = occlusion(clf, x, 0, 1, np.zeros_like(x))
    np.testing.assert_allclose(maps.reshape(4, 9), exact - before[:, None], rtol=2e-4)


def test_a_feature_that_the_classifier_does_not_see_drops_exactly_nothing():
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(16, 3)).astype(np.float32)
    weights[5] = 0
    clf = gx.load_classifier(lambda x: tf.reshape(x, (-1, 16)) @ weights, input_shape=(4, 4, 1), output="logits")
    maps = occlusion(clf, rng.random((5, 4, 4, 1), np.float32), 0, 1, gx.baselines.zero()).reshape(5, 16)
    assert (maps[:, 5] == 0).all() and (maps[:, :5] != 0).all()
