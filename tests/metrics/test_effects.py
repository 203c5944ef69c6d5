"""Effects of single features: plain loops, closed forms, probabilities that are nearly 1, and what is evaluated."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from effect_cases import ORIGIN, TARGET, counting, layers, linear, network, with_feature

import tf_ganmex as gx
from tf_ganmex.errors import BaselineError, ImageError, LabelError, OptionError
from tf_ganmex.metrics import draw_effects, effects, flip_drops
from tf_ganmex.metrics.effects import draw_generator


@pytest.fixture(scope="module")
def clf():
    return network()


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(2).random((4, 5, 5, 1), np.float32)


def drops_by_loop(clf, x, replacement, score="probability"):
    drops = np.empty_like(x)
    for row, (image, other, o, t) in enumerate(zip(x, replacement, ORIGIN, TARGET, strict=True)):
        changed = np.stack([image, *(with_feature(image, i, other.flat[i]) for i in range(image.size))])
        deltas = clf.score_delta(changed, o, t, score)
        drops[row] = (deltas[0] - deltas[1:]).reshape(image.shape)
    return drops


# --- flips ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize(("value_range", "depth"), [((0, 1), 1), ((-1, 1), 3), ((0, 255), 1)])
def test_flip_by_flip(value_range, depth, score):
    clf = network(value_range, depth)
    x = np.random.default_rng(3).uniform(*value_range, (4, 5, 5, depth)).astype(np.float32)
    drops = flip_drops(clf, x, ORIGIN, TARGET, score)
    expected = drops_by_loop(clf, x, sum(value_range) - x, score)
    np.testing.assert_allclose(drops, expected, atol=2e-6 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("output", ["logits", "multilabel", "probabilities"])
def test_other_heads(output, x):
    weights = tf.constant(np.random.default_rng(4).normal(size=(25, 3)), tf.float32)

    def function(images):
        logits = tf.reshape(images, (-1, 25)) @ weights
        return tf.nn.softmax(logits) if output == "probabilities" else logits

    clf = gx.load_classifier(function, output=output, input_shape=(5, 5, 1))
    np.testing.assert_allclose(flip_drops(clf, x, ORIGIN, TARGET), drops_by_loop(clf, x, 1 - x), atol=1e-6)


def test_two_classes_from_one_unit(x):
    model = keras.Sequential([keras.Input((5, 5, 1)), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    clf = gx.load_classifier(model)
    forth, back = flip_drops(clf, x, 1, 0), flip_drops(clf, x, 0, 1)
    np.testing.assert_allclose(forth, gx.attributions.occlusion(clf, x, 1, 0, 1 - x), atol=1e-6)
    np.testing.assert_allclose(forth, -back, rtol=1e-6)


def test_targets(clf, x):
    """One-vs-all and the average over targets are sums of one-vs-one drops."""
    pairs = [flip_drops(clf, x, ORIGIN, (ORIGIN + k) % 3) for k in (1, 2)]
    np.testing.assert_allclose(flip_drops(clf, x, ORIGIN, "average"), sum(pairs) / 2, atol=1e-6)
    np.testing.assert_allclose(flip_drops(clf, x, ORIGIN, None), sum(pairs) / 3, atol=1e-6)  # 2p − (1 − p) = 3p − 1


def test_replacement(clf, x):
    several = np.random.default_rng(5).random((4, 2, 5, 5, 1), np.float32)
    expected = [drops_by_loop(clf, x, several[:, k]) for k in (0, 1)]
    np.testing.assert_allclose(flip_drops(clf, x, ORIGIN, TARGET, replacement=several[:, 0]), expected[0], atol=2e-6)
    np.testing.assert_allclose(flip_drops(clf, x, ORIGIN, TARGET, replacement=several), sum(expected) / 2, atol=2e-6)
    black = flip_drops(clf, x, ORIGIN, TARGET, replacement=gx.baselines.zero())
    np.testing.assert_allclose(black, drops_by_loop(clf, x, np.zeros_like(x)), atol=2e-6)


# --- probabilities that are nearly 1 ----------------------------------------------------------------------------------


def exact_probabilities(weights, images):
    logits = images.reshape(len(images), -1).astype(np.longdouble) @ weights.astype(np.longdouble)
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


@pytest.mark.parametrize("evidence", [5, 15, 30, 60])
@pytest.mark.parametrize(("origin", "target"), [(0, 1), (1, 0), (1, 2), (0, None)])
def test_drops_where_rounding_would_hide_them(origin, target, evidence):
    """Class 0 has a probability of 1 − e^−evidence or so; in float32 the deltas are all equal from 17 on."""
    rng = np.random.default_rng(6)
    weights = rng.normal(size=(25, 3)).astype(np.float32) / 8
    x = rng.random((2, 5, 5, 1), np.float32)
    weights[:, 0] += evidence / x.reshape(2, -1).sum(1).mean()
    clf = linear(weights)
    drops = flip_drops(clf, x, origin, target).reshape(2, 25)
    for image, row in zip(x, drops, strict=True):
        changed = np.stack([image, *(with_feature(image, i, 1 - image.flat[i]) for i in range(25))])
        others = exact_probabilities(weights, changed)[:, 1:]  # S_0 is one minus them
        scores = np.concatenate([-others.sum(1, keepdims=True), others], 1)
        delta = scores[:, origin] - (scores[:, target] if target is not None else 0)
        expected = (delta[0] - delta[1:]).astype(float)
        np.testing.assert_allclose(row, expected, rtol=0, atol=3e-5 * np.abs(expected).max())
        if evidence == 60 and origin == 0:
            assert np.ptp(clf.score_delta(changed, origin, target)) == 0, "in float32 nothing changes"
    maps = gx.attributions.occlusion(clf, x, origin, target, 1 - x)
    np.testing.assert_allclose(maps.reshape(2, 25), drops, rtol=0, atol=3e-5 * np.abs(drops).max())


def test_two_classes_where_rounding_would_hide_them():
    model = keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    weights = np.array([[20.0], [21], [-1], [3]], np.float32)
    model.layers[-1].set_weights([weights, np.zeros(1, np.float32)])
    x = np.full((1, 2, 2, 1), 0.9, np.float32)
    z = 0.9 * weights.sum()
    expected = np.exp(-(z - 0.8 * weights[:, 0].astype(np.float64))) - np.exp(-z)  # 1 − S_1, to first order
    drops = flip_drops(gx.load_classifier(model), x, 1, None).ravel()
    np.testing.assert_allclose(drops, expected, rtol=1e-4)


def test_features_that_the_classifier_does_not_see():
    """Nothing but rounding could change the score, and rounding does not."""
    keras.utils.set_random_seed(3)
    crop = layers.Cropping2D(((2, 1), (0, 3)))
    model = keras.Sequential([keras.Input((9, 9, 2)), crop, layers.Conv2D(8, 3), layers.Flatten(), layers.Dense(4)])
    clf = gx.load_classifier(model, output="logits")
    x = np.random.default_rng(7).random((6, 9, 9, 2), np.float32)
    seen = np.zeros((9, 9, 2), bool)
    seen[2:-1, :-3] = True
    for result in (
        flip_drops(clf, x, 0, 1),
        draw_effects(clf, x, 0, 1, 3),
        draw_effects(clf, x, 0, 1, 3, batch_size=50),
    ):
        assert (result[:, ~seen] == 0).all()
        assert (result[:, seen] != 0).all()


# --- draws ------------------------------------------------------------------------------------------------------------


def effects_by_loop(clf, x, u, score):
    """The mean squared change for the values u (n, draws, features)."""
    result = np.zeros(x.shape)
    for row, (image, o, t) in enumerate(zip(x, ORIGIN, TARGET, strict=True)):
        whole = clf.score_delta(image[None], o, t, score)[0]
        for values in u[row]:
            changed = np.stack([with_feature(image, i, value) for i, value in enumerate(values)])
            squares = (clf.score_delta(changed, o, t, score) - whole) ** 2
            result[row] += squares.reshape(image.shape) / len(u[row])
    return result


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize("value_range", [(0, 1), (-1, 3)])
def test_draw_by_draw(value_range, score, stratified):
    clf = network(value_range)
    low, high = value_range
    x = np.random.default_rng(8).uniform(low, high, (4, 5, 5, 1)).astype(np.float32)
    u = np.stack([draw_generator(image, 11).random((4, 25)) for image in x])
    if stratified:
        u = (u + np.arange(4)[:, None]) / 4
    expected = effects_by_loop(clf, x, low + (high - low) * u, score)
    actual = draw_effects(clf, x, ORIGIN, TARGET, 4, 11, score, stratified=stratified)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5 * expected.max())


@pytest.mark.parametrize(("stratified", "draws", "tolerance"), [(False, 4000, 0.15), (True, 100, 5e-3)])
def test_expectation_on_a_linear_classifier(stratified, draws, tolerance):
    """E[(w (u − x))²] = w² ((high − low)²/12 + (mean − x)²) for u uniform over the range."""
    weights = np.random.default_rng(9).normal(size=(6, 2))
    clf = linear(weights, (2, 3, 1), value_range=(-1, 3))
    x = np.random.default_rng(10).uniform(-1, 3, (2, 2, 3, 1)).astype(np.float32)
    expected = ((weights[:, 0] - weights[:, 1]) ** 2).reshape(2, 3, 1) * (16 / 12 + (1 - x) ** 2)
    actual = draw_effects(clf, x, 0, 1, draws, score="logit", stratified=stratified)
    np.testing.assert_allclose(actual, expected, rtol=tolerance)


def test_ten_stratified_draws_are_better_than_a_hundred(clf, x):
    truth = draw_effects(clf, x, ORIGIN, TARGET, 300, 5, stratified=True)
    independent = draw_effects(clf, x, ORIGIN, TARGET, 100) / truth
    stratified = draw_effects(clf, x, ORIGIN, TARGET, 10, stratified=True) / truth
    assert np.std(stratified) < 0.75 * np.std(independent)


def test_draws_depend_on_seed_and_image_alone(clf, x):
    whole = draw_effects(clf, x, ORIGIN, TARGET, 5, 3)
    np.testing.assert_array_equal(draw_effects(clf, x, ORIGIN, TARGET, 5, 3), whole)
    assert not np.allclose(draw_effects(clf, x, ORIGIN, TARGET, 5, 4), whole)
    order = np.array([2, 0, 3])
    np.testing.assert_allclose(draw_effects(clf, x[order], ORIGIN[order], TARGET[order], 5, 3), whole[order], rtol=1e-4)
    one, two = np.split(draw_effects(clf, x[[0, 0]], 0, 1, 5, 3), 2)
    np.testing.assert_allclose(one, two, rtol=1e-4)
    other = draw_effects(clf, np.clip(x[:1] + 1e-4, 0, 1), 0, 1, 5, 3)
    assert not np.allclose(other, one, rtol=1e-2)


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, 26, 70, 1000])
def test_batch_size_does_not_matter(batch_size, clf, x):
    options = {"batch_size": batch_size}
    drops, squares = flip_drops(clf, x, ORIGIN, TARGET), draw_effects(clf, x, ORIGIN, TARGET, 3)
    np.testing.assert_allclose(flip_drops(clf, x, ORIGIN, TARGET, **options), drops, atol=1e-6)
    np.testing.assert_allclose(draw_effects(clf, x, ORIGIN, TARGET, 3, **options), squares, rtol=1e-3, atol=1e-9)


def test_a_few_images_at_a_time(clf, x, monkeypatch):
    drops, squares = flip_drops(clf, x, ORIGIN, TARGET), draw_effects(clf, x, ORIGIN, TARGET, 3)
    monkeypatch.setattr(effects, "_FEATURES", 50)
    np.testing.assert_allclose(flip_drops(clf, x, ORIGIN, TARGET), drops, atol=1e-6)
    np.testing.assert_allclose(draw_effects(clf, x, ORIGIN, TARGET, 3), squares, rtol=1e-3)


def test_what_is_evaluated(x):
    """Every change once, the images themselves, the padding of the last batch; what keeps its value is not."""
    clf, counts = counting(np.random.default_rng(12).normal(size=(25, 3)))
    draw_effects(clf, x, 0, 1, 7, batch_size=64)
    assert max(counts) == 64
    assert sum(counts) <= 4 + 64 + 4 * 25 * 7 + 64 + 4  # the prediction of the class too
    counts.clear()
    replacement = x.copy()
    replacement[0, 2, 3], replacement[2, 4, 4] = 0.25, 0.75
    drops = flip_drops(clf, x, 0, 1, replacement=replacement)
    assert np.argwhere(drops).tolist() == [[0, 2, 3, 0], [2, 4, 4, 0]]
    assert sum(counts) <= 4 + 4 + 2
    counts.clear()
    assert not flip_drops(clf, x, 0, 1, replacement=x).any()
    assert counts == []


def test_few_compilations(clf):
    images = np.random.default_rng(13).random((8, 5, 5, 1), np.float32)
    for count in range(1, 9):
        draw_effects(clf, images[:count], 0, 1, 2, batch_size=32, score="logit")
        flip_drops(clf, images[:count], 0, 1, batch_size=32, score="logit")
    traces = clf.engine.kernels[("single changes", "logit"), clf.head]._traces
    assert len(traces) <= 4  # 1, 2, 4, 8 images a batch of 32


# --- arguments --------------------------------------------------------------------------------------------------------


def test_arguments_that_do_not_fit(clf, x):
    with pytest.raises(ImageError, match=r"Expected x of shape"):
        flip_drops(clf, x[..., 0], 0, 1)
    with pytest.raises(LabelError, match="origin=target"):
        draw_effects(clf, x, 1, 1)
    with pytest.raises(OptionError, match="score='margin'"):
        flip_drops(clf, x, 0, 1, "margin")
    with pytest.raises(BaselineError, match="Expected a baseline of shape"):
        flip_drops(clf, x, 0, 1, replacement=x[:3])
    for draws in (0, 1.0, True):
        with pytest.raises(OptionError, match=rf"Expected draws.*Received: draws={draws}"):
            draw_effects(clf, x, 0, 1, draws)
