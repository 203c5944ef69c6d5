"""Expected gradients: which samples and α it draws, and what the mean over them comes to."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from attribution_cases import assert_close, case, sequential

import tf_ganmex as gx
from tf_ganmex.attributions import expected_gradients, integrated_gradients
from tf_ganmex.attributions.expected_gradients import _alphas
from tf_ganmex.draws import image_generator, without_replacement

layers = keras.layers


@pytest.fixture(scope="module")
def linear():
    """A linear classifier, where every sample counts alike whatever its α, and its weights for class 0 less 1."""
    keras.utils.set_random_seed(1)
    model = sequential((4, 4, 1), layers.Flatten(), layers.Dense(3))
    kernel = model.layers[1].get_weights()[0].T.reshape(3, 4, 4, 1)
    return gx.load_classifier(model, output="logits"), kernel[0] - kernel[1]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(2).random((3, 4, 4, 1), np.float32)


@pytest.fixture(scope="module")
def training_set():
    return np.random.default_rng(3).random((30, 4, 4, 1), np.float32), np.arange(30) % 3


@pytest.mark.parametrize("rounds", [1, 3])
def test_every_sample_is_drawn_before_one_is_drawn_again(rounds, linear, images):
    clf, weights = linear
    samples = np.random.default_rng(4).random((7, 4, 4, 1), np.float32)
    for seed in range(3):
        maps = expected_gradients(clf, images, 0, 1, samples, steps=7 * rounds, seed=seed, score="logit")
        assert_close(maps, weights * (images - samples.mean(0)), 1e-5)


def test_samples_of_each_image(linear, images):
    clf, weights = linear
    samples = np.random.default_rng(5).random((3, 4, 4, 4, 1), np.float32)
    expected = weights * (images - samples.mean(1))
    for given in (samples, lambda x, target: samples[[np.abs(images - image).sum((1, 2, 3)).argmin() for image in x]]):
        assert_close(expected_gradients(clf, images, 0, 1, given, steps=4, score="logit"), expected, 1e-5)


def test_training_images_of_the_target_class(linear, images, training_set):
    clf, weights = linear
    samples = gx.baselines.random_sample(*training_set)
    of_target = training_set[0][training_set[1] == 1].mean(0)
    maps = expected_gradients(clf, images, 0, 1, samples, steps=10, score="logit")
    assert_close(maps, weights * (images - of_target), 1e-5)


def test_average_draws_from_each_target(linear, images, training_set):
    clf, _ = linear
    samples = gx.baselines.random_sample(*training_set)
    origin = np.array([0, 1, 2])
    maps = [expected_gradients(clf, images, origin, (origin + k) % 3, samples, steps=6) for k in (1, 2)]
    assert_close(expected_gradients(clf, images, origin, "average", samples, steps=6), np.mean(maps, 0), 1e-5)


def test_converges_to_the_mean_of_integrated_gradients():
    question = case("softmax")
    clf, x, origin, target = question.clf, question.x, question.origin, question.target
    samples = question.baseline[:4]
    maps = expected_gradients(clf, x, origin, target, samples, steps=2000)
    exact = integrated_gradients(clf, x, origin, target, samples[None], steps=200)
    assert_close(maps, exact, 0.03)


def test_unbiased():
    """One step: over many seeds the mean of 2 w d (x̃ + α d) comes to w (x² − x̃²), whichever samples come."""
    weights = np.random.default_rng(6).normal(size=4)

    def function(x):
        score = tf.reduce_sum(tf.reshape(x, (-1, 4)) ** 2 * weights, -1)
        return tf.stack([score, tf.zeros_like(score)], 1)

    clf = gx.load_classifier(function, output="logits")
    x, samples = np.random.default_rng(7).random((2, 1, 2, 2, 1)), np.random.default_rng(8).random((3, 2, 2, 1))
    x = x[:1].reshape(1, 2, 2, 1)
    maps = [expected_gradients(clf, x, 0, 1, samples, steps=1, seed=seed, score="logit") for seed in range(600)]
    expected = weights.reshape(2, 2, 1) * (x - 0) * x - weights.reshape(2, 2, 1) * (samples**2).mean(0)
    errors = np.std(maps, axis=0) / np.sqrt(600)
    assert (np.abs(np.mean(maps, axis=0) - expected) < 4 * errors).all()


def test_draws_depend_on_seed_and_image_alone(training_set):
    question = case("softmax")
    pool = np.random.default_rng(9).random((20, 8, 8, 1), np.float32)
    for samples in (pool, gx.baselines.random_sample(pool, np.arange(20) % 4)):

        def explain(rows, samples=samples, **options):
            selected = (question.x[rows], question.origin[rows], question.target[rows])
            return expected_gradients(question.clf, *selected, samples, **{"steps": 5} | options)

        everyone = slice(None)
        maps = explain(everyone)
        assert np.array_equal(explain(everyone), maps)
        for batch_size in (1, 7, 12):
            assert_close(explain(everyone, batch_size=batch_size), maps, 1e-5)
        assert_close(explain([4, 2]), maps[[4, 2]], 1e-5)
        other = explain(everyone, seed=1)
        assert (np.abs(other - maps).max((1, 2, 3)) > 0.01 * np.abs(maps).max()).all()


def test_seed_chooses_the_training_images(linear, images, training_set):
    """On a linear classifier the samples alone make the map."""
    samples = gx.baselines.random_sample(*training_set)
    maps = [expected_gradients(linear[0], images, 0, 1, samples, steps=4, seed=s, score="logit") for s in (0, 1)]
    assert (np.abs(maps[0] - maps[1]).max((1, 2, 3)) > 0.01 * np.abs(maps[0]).max()).all()


def test_alphas_are_one_of_each_stratum_in_an_order_of_each_images_own(images):
    alphas = np.array([_alphas(image, 50, 0) for image in images])
    assert np.array_equal(np.sort((alphas * 50).astype(int)), np.tile(np.arange(50), (3, 1)))
    assert np.abs(np.corrcoef(np.vstack([alphas, np.arange(50)])) - np.eye(4)).max() < 0.6


def test_object_that_generates_baselines_is_asked_to(linear, images):
    class Generator:
        def generate(self, x, target):
            return np.full_like(x, 0.25)

        def __call__(self, *arguments):
            raise AssertionError("a Keras model's call is something else")

    clf, weights = linear
    maps = expected_gradients(clf, images, 0, 1, Generator(), steps=3, score="logit")
    assert_close(maps, weights * (images - 0.25), 1e-5)


# --- draws ------------------------------------------------------------------------------------------------------------


def test_draw_is_keyed_by_image_seed_and_purpose():
    image = np.random.default_rng(10).random((3, 3, 1), np.float32)

    def draw(image=image, seed=0, purpose="a"):
        return image_generator(image, seed, purpose).integers(0, 2**60)

    assert draw() == draw(image.copy()) == draw(image.astype(np.float64)) == draw(np.asfortranarray(image))
    assert len({draw(), draw(seed=1), draw(purpose="b"), draw(image + 1e-3), draw(seed=-1)}) == 5


@pytest.mark.parametrize(("size", "count"), [(5, 3), (5, 5), (5, 13), (1, 4)])
def test_without_replacement(size, count):
    drawn = without_replacement(size, count, np.random.default_rng(11))
    assert drawn.shape == (count,)
    times = np.bincount(drawn, minlength=size)
    assert times.max() - times.min() <= 1
