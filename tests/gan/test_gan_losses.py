"""Loss terms against closed forms and against TF-GAN."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_ganmex.errors import OptionError
from tf_ganmex.gan import losses
from tf_ganmex.gan.data import draw_interpolation
from tf_ganmex.gan.networks import build_discriminator
from tf_ganmex.gan.tfgan import import_tfgan

REAL = np.array([1.0, -2.0, 0.5], np.float32)
FAKE = np.array([0.3, 4.0, -1.0], np.float32)


def log_sigmoid(x):
    return -np.log1p(np.exp(-x))


def test_wasserstein_losses():
    game = losses.adversarial_loss("wasserstein")
    assert float(game.generator(FAKE)) == pytest.approx(-FAKE.mean())
    assert float(game.discriminator(REAL, FAKE)) == pytest.approx(FAKE.mean() - REAL.mean())


def test_minimax_losses_are_the_log_loss_without_label_smoothing():
    game = losses.adversarial_loss("minimax")
    expected = -(log_sigmoid(REAL).mean() + log_sigmoid(-FAKE).mean())
    assert float(game.discriminator(REAL, FAKE)) == pytest.approx(expected, rel=1e-6)


def test_minimax_generator_loss_is_the_saturating_form():
    fake = tf.constant(FAKE)
    with tf.GradientTape() as tape:
        tape.watch(fake)
        loss = losses.adversarial_loss("minimax").generator(fake)
    # d/ds log(1 - sigmoid(s)) = -sigmoid(s)
    np.testing.assert_allclose(tape.gradient(loss, fake), -1 / (1 + np.exp(-FAKE)) / 3, rtol=1e-5)


def test_unknown_adversarial_loss():
    with pytest.raises(OptionError, match=r"'wasserstein', 'minimax'.*adversarial='hinge'"):
        losses.adversarial_loss("hinge")


def test_gradient_penalty_of_a_linear_discriminator():
    weights = np.random.default_rng(0).normal(size=(4, 4, 2)).astype(np.float32)
    images = np.random.default_rng(1).normal(size=(2, 5, 4, 4, 2)).astype(np.float32)
    penalty = losses.gradient_penalty(
        lambda x: tf.reduce_sum(x * weights, axis=[1, 2, 3]), images[0], images[1], tf.zeros((5, 1, 1, 1))
    )
    assert float(penalty) == pytest.approx((np.linalg.norm(weights) - 1) ** 2, rel=1e-5)


def test_gradient_penalty_is_two_sided():
    images = np.ones((2, 3, 4, 4, 1), np.float32)
    penalty = losses.gradient_penalty(
        lambda x: 0.01 * tf.reduce_mean(x, axis=[1, 2, 3]), images[0], images[1], tf.zeros((3, 1, 1, 1))
    )
    assert float(penalty) == pytest.approx((0.01 / 4 - 1) ** 2, rel=1e-4)


def test_gradient_of_the_penalty_is_finite_where_the_discriminator_is_flat():
    slope = tf.Variable(0.0)
    images = np.ones((2, 3, 4, 4, 1), np.float32)
    with tf.GradientTape() as tape:
        penalty = losses.gradient_penalty(
            lambda x: slope * tf.reduce_sum(x, axis=[1, 2, 3]), images[0], images[1], tf.zeros((3, 1, 1, 1))
        )
    assert np.isfinite(float(tape.gradient(penalty, slope)))


def test_gradient_penalty_equals_tfgans_for_the_same_interpolation(monkeypatch):
    discriminator = build_discriminator((8, 8, 2), filters=4, seed=5)
    rng = np.random.default_rng(0)
    real, fake = rng.uniform(-1, 1, (2, 6, 8, 8, 2)).astype(np.float32)
    alpha = rng.random((6, 1, 1, 1)).astype(np.float32)
    theirs = import_tfgan().losses.wargs.wasserstein_gradient_penalty
    # TF-GAN draws alpha by tf.random.uniform, whatever it is given.
    monkeypatch.setattr(tf.random, "uniform", lambda shape: tf.ensure_shape(tf.constant(alpha), shape))

    @tf.function
    def both():
        reference = theirs(real, fake, None, lambda x, _: discriminator(x), "scope", loss_collection=None)
        return reference, losses.gradient_penalty(discriminator, real, fake, alpha)

    reference, ours = both()
    assert float(ours) == pytest.approx(float(reference), rel=1e-6)
    assert abs(float(losses.gradient_penalty(discriminator, real, fake, 1 - alpha)) - float(ours)) > 1e-9


def test_interpolation_is_uniform_and_keyed():
    one = draw_interpolation(tf.constant(1), 4000, seed=2).numpy()
    assert one.shape == (4000, 1, 1, 1)
    np.testing.assert_array_equal(one, draw_interpolation(tf.constant(1), 4000, seed=2))
    assert np.abs(one - draw_interpolation(tf.constant(1), 4000, seed=3)).mean() > 0.2
    assert one.min() >= 0
    assert one.max() < 1
    assert abs(one.mean() - 0.5) < 0.03


def test_classification_is_mean_cross_entropy():
    logits = np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]], np.float32)
    expected = np.mean([np.log(np.exp(logits[0]).sum()) - 2.0, np.log(3)])
    assert float(losses.classification(logits, np.array([1, 2]))) == pytest.approx(expected, rel=1e-6)
