"""TF-GAN's estimator and the Keras trainer compute the same thing, from the same weights on the same batches."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex._backend import keras
from tf_ganmex.gan import GANMEX, estimator
from tf_ganmex.gan.steps import metrics_of

v1 = tf.compat.v1
WEIGHTS = {"classification_weight": 3.0, "similarity_weight": 5.0, "reconstruction_weight": 7.0}
VARIANTS = {
    "wasserstein": {},
    "minimax": {"adversarial": "minimax"},
    "stand-alone": {"class_discriminator": "joint"},
    "two discriminator updates": {"schedule": (1, 2), "reconstruction_weight": 0.0},
    "two generator updates": {"schedule": (2, 1), "similarity_weight": 0.0},
    "no down-sampling": {"down_sampling": False},
    "resize and convolve": {"up_sampling": "resize", "last_down_norm": True},
    "no penalty": {"gradient_penalty_weight": 0.0},
}


@pytest.fixture(scope="module")
def clf(make_model):
    model = make_model((12, 8, 2), "tanh")
    return gx.load_classifier(model, output="logits", value_range=(-1.0, 3.0))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    return rng.uniform(-1, 3, (20, 12, 8, 2)).astype(np.float32), rng.integers(0, 3, 20)


@pytest.fixture(scope="module")
def make_gan(clf):
    def make(seed=0, **options):
        gan = GANMEX(clf, seed=seed, **({"filters": 4, "blocks": 1, "schedule": (1, 1)} | WEIGHTS | options))
        # With seed 3 a step of "minimax" lands on a kink, where rounding decides: 1e-7 of the weights moves it by 1e-5.
        rng = np.random.default_rng(4)
        for variable in gan.trainable_variables:
            # Norms that start as the identity would hide a swap.
            variable.assign(variable + rng.normal(0, 0.1, variable.shape))
        return gan

    return make


@pytest.fixture(scope="module")
def trained(make_gan, data, tmp_path_factory):
    """Two updates of each kind by plain SGD, with either trainer; the measures of each step, and the weights."""
    results = {}

    def sgd():
        return v1.train.GradientDescentOptimizer(0.002)

    def train(name):
        if name not in results:
            ours, theirs = make_gan(**VARIANTS[name]), make_gan(**VARIANTS[name])
            start = ours.get_weights()
            ours.compile(keras.optimizers.SGD(0.002), keras.optimizers.SGD(0.002))
            history = ours.fit(
                ours.dataset(*data, batch_size=8, seed=5), epochs=3, steps_per_epoch=1, verbose=0
            ).history
            directory = tmp_path_factory.mktemp("estimator")
            measured = estimator.train(
                theirs,
                *data,
                directory,
                steps=3,
                every=1,
                batch_size=8,
                seed=5,
                generator_optimizer=sgd,
                discriminator_optimizer=sgd,
                verbose=0,
            )
            results[name] = ours, theirs, history, measured, start, directory
        return results[name]

    return train


@pytest.mark.parametrize("name", VARIANTS)
def test_every_term_of_every_step_agrees(trained, name):
    ours, _, history, measured, *_ = trained(name)
    assert measured["step"] == [1, 2, 3]
    g, d = ours.options.updates
    for measure in metrics_of(ours.options):
        if (g, d) == (1, 1):
            np.testing.assert_allclose(measured[measure], history[measure], rtol=1e-5, atol=1e-7, err_msg=measure)
    # The first step starts from the same weights: the loss is then the sum of the terms with their weights.
    o = ours.options
    total = measured["adversarial"][0] + o.classification_weight * measured["classification"][0]
    total += o.similarity_weight * measured["similarity"][0] + o.reconstruction_weight * measured["reconstruction"][0]
    assert measured["generator_loss"][0] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_after_some_steps_of_plain_sgd_the_networks_agree(trained, name):
    ours, theirs, _, _, start, _ = trained(name)
    moved = [np.abs(one - two).max() for one, two in zip(ours.get_weights(), start, strict=True)]
    assert max(moved) > 1e-3
    for one, two in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    assert int(theirs.step) == 3
