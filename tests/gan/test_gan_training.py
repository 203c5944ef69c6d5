"""Eq. 9, and one step of both networks."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tensorflow as tf

from tf_ganmex._backend import keras
from tf_ganmex.errors import ModelError, OptionError, TrainingDivergedError
from tf_ganmex.gan.steps import METRICS


@pytest.fixture
def batch(images, labels):
    real = tf.constant(images[:6] * 2 - 1)
    return real, tf.constant(labels[:6], tf.int32), tf.constant([0, 1, 2, 0, 1, 2])


def tf_variables(network):
    return [variable.value for variable in network.trainable_variables]


def norm(gradients):
    return sum(float(tf.reduce_sum(tf.abs(gradient))) for gradient in gradients if gradient is not None)


def test_generator_loss_is_equation_9(make_gan, batch, clf):
    gan = make_gan(classification_weight=3.0, similarity_weight=5.0, reconstruction_weight=7.0)
    real, origin, target = batch
    terms = gan.generator_terms(real, origin, target)
    fake = gan.generator([real, tf.one_hot(target, 3)])
    again = gan.generator([fake, tf.one_hot(origin, 3)])
    log_p = tf.nn.log_softmax(clf.logits_tensor((fake + 1) / 2)).numpy()
    expected = {
        "adversarial": -np.mean(gan.discriminator(fake)),
        "classification": -np.mean(log_p[np.arange(6), target]),
        "similarity": np.mean(np.abs(real - fake)),
        "reconstruction": np.mean(np.abs(real - again)),
    }
    for name, value in expected.items():
        assert float(getattr(terms, name)) == pytest.approx(float(value), rel=1e-4), name
    total = expected["adversarial"] + 3 * expected["classification"]
    total += 5 * expected["similarity"] + 7 * expected["reconstruction"]
    assert float(terms.loss) == pytest.approx(float(total), rel=1e-4)


def test_reconstruction_is_left_out_at_weight_zero(make_gan, batch, monkeypatch):
    gan = make_gan(reconstruction_weight=0.0)
    passes = []
    translate = gan.translate
    object.__setattr__(gan, "translate", lambda *images: passes.append(1) or translate(*images))
    assert float(gan.generator_terms(*batch).reconstruction) == 0.0
    assert len(passes) == 1


def test_discriminator_loss_is_critic_plus_penalty(make_gan, batch):
    gan = make_gan(gradient_penalty_weight=2.0)
    real, origin, target = batch
    fake, alpha = gan.translate(real, target), tf.fill((6, 1, 1, 1), 0.25)
    terms = gan.discriminator_terms(real, origin, fake, alpha)
    critic = np.mean(gan.discriminator(fake)) - np.mean(gan.discriminator(real))
    assert float(terms.adversarial) == pytest.approx(critic, rel=1e-3, abs=1e-6)
    assert float(terms.loss) == pytest.approx(critic + 2 * float(terms.gradient_penalty), rel=1e-3)
    assert float(terms.gradient_penalty) > 0


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_classifier_term_reaches_every_weight_of_the_generator(make_gan, batch, dtype):
    gan = make_gan(dtype=dtype)

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = gan.generator_terms(*batch).classification
        return tape.gradient(loss, tf_variables(gan.generator))

    for gradient, variable in zip(gradients(), gan.generator.trainable_variables, strict=True):
        assert gradient is not None, variable.path
        assert float(tf.reduce_sum(tf.abs(gradient))) > 0, variable.path


def test_discriminator_loss_reaches_the_discriminator_only(make_gan, batch):
    gan = make_gan()
    real, origin, target = batch
    with tf.GradientTape(persistent=True) as tape:
        fake = gan.translate(real, target)
        loss = gan.discriminator_terms(real, origin, tf.stop_gradient(fake), tf.fill((6, 1, 1, 1), 0.5)).loss
    assert norm(tape.gradient(loss, tf_variables(gan.discriminator))) > 0
    assert norm(tape.gradient(loss, tf_variables(gan.generator))) == 0


def test_one_step_moves_both_networks_by_gradients_taken_before_either_moved(make_gan, images, labels):
    gan = make_gan()
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), run_eagerly=True)
    real, origin = tf.constant(images * 2 - 1), tf.constant(labels, tf.int32)
    target, alpha = gan.draw(20)
    with tf.GradientTape() as tape:
        g = gan.generator_terms(real, origin, target)
    expected = [
        v - 0.1 * d
        for v, d in zip(tf_variables(gan.generator), tape.gradient(g.loss, tf_variables(gan.generator)), strict=True)
    ]
    with tf.GradientTape() as tape:
        d_loss = gan.discriminator_terms(real, origin, tf.stop_gradient(g.fake), alpha).loss
    gradients = tape.gradient(d_loss, tf_variables(gan.discriminator))
    expected += [v - 0.1 * d for v, d in zip(tf_variables(gan.discriminator), gradients, strict=True)]
    gan.train_step((images, labels))
    for variable, value in zip(gan.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(variable, value, atol=1e-5)
    assert int(gan.step) == 1


def sgd_step(gan, loss, network, rate=0.1):
    with tf.GradientTape() as tape:
        value = loss()
    for variable, gradient in zip(tf_variables(network), tape.gradient(value, tf_variables(network)), strict=True):
        variable.assign_sub(rate * gradient)


def test_updates_in_turn_are_generator_first_each_on_its_own_batch(make_gan, images, labels, weights_of):
    gan, by_hand = make_gan(schedule=(1, 2)), make_gan(schedule=(1, 2))
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), run_eagerly=True)
    gan.train_step((images[:18], labels[:18]))
    for part, rows in enumerate((slice(0, 6), slice(6, 12), slice(12, 18))):
        real, origin = tf.constant(images[rows] * 2 - 1), tf.constant(labels[rows], tf.int32)
        target, alpha = by_hand.draw(6, part)
        if part == 0:
            sgd_step(by_hand, lambda r=real, o=origin, t=target: by_hand.generator_terms(r, o, t).loss,
                     by_hand.generator)  # fmt: skip
        else:
            fake = by_hand.translate(real, target)
            sgd_step(by_hand, lambda r=real, o=origin, f=fake, a=alpha: by_hand.discriminator_terms(r, o, f, a).loss,
                     by_hand.discriminator)  # fmt: skip
    np.testing.assert_allclose(weights_of(gan), weights_of(by_hand), atol=1e-6)
    assert int(gan.step) == 1
    assert not np.array_equal(gan.draw(6, 0)[0], by_hand.draw(6, 0)[0]), "the next step draws other targets"


def test_the_stand_alone_gan_learns_classes_and_leaves_the_classifier_alone(make_gan, make_clf, images, labels):
    class Untouched(type(make_clf())):
        def logits_tensor(self, x):
            raise AssertionError("the stand-alone GAN asks no classifier")

    x = np.where(np.arange(8)[None, :, None, None] // 3 == labels[:, None, None, None], 1.0, 0.1 * images)
    gan = make_gan(Untouched(), class_discriminator="joint", classification_weight=5.0, similarity_weight=1.0)
    gan.compile(keras.optimizers.Adam(2e-3, beta_1=0.5), keras.optimizers.Adam(2e-3, beta_1=0.5))
    data = gan.dataset(x.astype(np.float32), labels, batch_size=16)
    history = gan.fit(data, steps_per_epoch=40, epochs=3, verbose=0).history
    assert history["classification_real"][-1] < 0.5 * history["classification_real"][0]
    assert history["target_share"][-1] > 0.8


def test_the_class_head_is_trained_by_real_images_alone(make_gan, batch):
    gan = make_gan(class_discriminator="joint", classification_weight=2.0)
    real, origin, target = batch
    fake, alpha = gan.translate(real, target), tf.fill((6, 1, 1, 1), 0.5)
    terms = gan.discriminator_terms(real, origin, fake, alpha)
    log_p = tf.nn.log_softmax(gan.discriminator(real)[1]).numpy()
    assert float(terms.classification) == pytest.approx(-log_p[np.arange(6), origin].mean(), rel=1e-5)
    total = float(terms.adversarial) + 10 * float(terms.gradient_penalty) + 2 * float(terms.classification)
    assert float(terms.loss) == pytest.approx(total, rel=1e-5)
    assert gan.discriminator.get_layer("class_head").kernel.shape[-1] == 3


def test_targets_are_uniform_over_all_classes_and_keyed_by_seed_and_step(make_gan):
    gan = make_gan(seed=3)
    target, _ = gan.draw(3000)
    assert np.bincount(target, minlength=3) == pytest.approx([1000] * 3, abs=120)
    np.testing.assert_array_equal(target, gan.draw(3000)[0])
    gan.step.assign(1)
    assert np.mean(gan.draw(3000)[0] == target) < 0.5
    other = make_gan(seed=4)
    other.step.assign(1)
    assert np.mean(gan.draw(3000)[0] == other.draw(3000)[0]) < 0.5


def test_history_holds_every_measure(make_gan, images, labels):
    gan = make_gan(reconstruction_weight=1.0)
    gan.compile(run_eagerly=True)
    history = gan.fit(gan.dataset(images, labels, batch_size=4), steps_per_epoch=2, epochs=2, verbose=0).history
    assert history.keys() == set(METRICS)
    assert all(len(values) == 2 and np.isfinite(values).all() for values in history.values())
    assert int(gan.step) == 4


def test_measures_of_one_batch(make_gan, make_clf, images, labels):
    clf = make_clf(value_range=(-2.0, 4.0))
    gan = make_gan(clf)
    x = images * 6 - 2
    gan.compile(run_eagerly=True)
    measured = gan.evaluate(x, labels, batch_size=20, return_dict=True, verbose=0)
    target, _ = gan.draw(20)
    generated = gan((x, target)).numpy()
    distance = np.sqrt(((generated - x) ** 2).sum(axis=(1, 2, 3))).mean()
    assert measured["distance"] == pytest.approx(distance, rel=1e-4)
    predicted = clf.logits_tensor(generated).numpy().argmax(-1)
    assert measured["target_share"] == pytest.approx(np.mean(predicted == target), abs=1e-6)
    assert measured["similarity"] == pytest.approx(np.abs(generated - x).mean() / 3, rel=1e-4)
    assert int(gan.step) == 0


@pytest.fixture(scope="module")
def trained():
    """Histories by options, for the tests that compare a whole training."""
    return {}


@pytest.fixture
def history_of(trained, make_gan, images, labels):
    def history(adversarial="wasserstein", similarity_weight=1.0):
        key = adversarial, similarity_weight
        if key not in trained:
            gan = make_gan(adversarial=adversarial, classification_weight=10.0, similarity_weight=similarity_weight)
            gan.compile(keras.optimizers.Adam(5e-3, beta_1=0.5), keras.optimizers.Adam(1e-3, beta_1=0.5))
            data = gan.dataset(images, labels, batch_size=16)
            trained[key] = gan.fit(data, steps_per_epoch=60, epochs=2, verbose=0).history
        return trained[key]

    return history


@pytest.mark.parametrize("adversarial", ["wasserstein", "minimax"])
def test_training_makes_images_that_the_classifier_calls_their_target(history_of, adversarial):
    share = history_of(adversarial)["target_share"]
    assert share[0] < share[1]
    assert share[1] > 0.9


def test_similarity_weight_keeps_the_image(history_of):
    assert history_of(similarity_weight=300.0)["distance"][-1] < 0.7 * history_of()["distance"][-1]


def test_same_seed_same_training_and_graph_equals_eager(make_gan, images, labels, weights_of):
    def train(seed=0, **options):
        gan = make_gan(seed=seed, classification_weight=1.0)
        # Not Adam, which makes steps of full size from gradients of rounding size.
        gan.compile(keras.optimizers.SGD(1e-3), keras.optimizers.SGD(1e-3), **options)
        gan.fit(gan.dataset(images, labels, batch_size=4), steps_per_epoch=4, verbose=0)
        assert int(gan.step) == 4
        return weights_of(gan)

    reference = train()
    np.testing.assert_array_equal(reference, train())
    np.testing.assert_allclose(reference, train(run_eagerly=True), atol=1e-6)
    np.testing.assert_allclose(reference, train(steps_per_execution=2), atol=1e-6)
    assert np.abs(reference - train(seed=1, run_eagerly=True)).max() > 0.01


def test_fit_takes_arrays_and_validation_data(make_gan, images, labels):
    gan = make_gan()
    gan.compile(run_eagerly=True)
    history = gan.fit(images, labels, batch_size=10, validation_data=(images, labels), verbose=0).history
    assert "val_target_share" in history


def test_updates_in_turn_need_a_dataset(make_gan, images, labels):
    with pytest.raises(OptionError, match=r"gan\.dataset.*schedule=\(1, 1\)"):
        make_gan(schedule=(1, 1)).fit(images, labels)


def test_optimizers_default_and_given(make_gan):
    gan = make_gan()
    gan.compile()
    for optimizer in (gan.generator_optimizer, gan.discriminator_optimizer):
        assert float(optimizer.learning_rate) == pytest.approx(2e-4)
        assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)
    gan.compile("sgd", "sgd")
    assert gan.generator_optimizer is not gan.discriminator_optimizer
    one = keras.optimizers.Adam()
    with pytest.raises(OptionError, match="two optimizers"):
        gan.compile(one, one)
    with pytest.raises(OptionError, match="loss"):
        gan.compile(loss="mse")


@pytest.mark.parametrize(
    "options",
    [
        {"classification_weight": -1.0},
        {"similarity_weight": float("nan")},
        {"reconstruction_weight": "high"},
        {"gradient_penalty_weight": float("inf")},
        {"adversarial": "hinge"},
        {"filters": 0},
        {"blocks": -1},
        {"discriminator_filters": 1.5},
        {"dtype": "mixed_float16"},
        {"class_discriminator": "frozen"},
        {"schedule": (0, 1)},
        {"schedule": "both"},
        {"up_sampling": "bilinear"},
        {"discriminator_smallest_side": 1},
        {"seed": -1},
    ],
)
def test_options_that_cannot_be(make_gan, options):
    name, value = next(iter(options.items()))
    with pytest.raises(OptionError, match=re.escape(f"{name}={value!r}")):
        make_gan(**options)


def test_variants_that_exclude_each_other(make_gan):
    with pytest.raises(OptionError, match=r"down_sampling=False.*up_sampling='resize'"):
        make_gan(down_sampling=False, up_sampling="resize")


def test_discriminator_filters_default_to_filters(make_gan):
    assert make_gan(filters=3).options.discriminator_filters == 3
    assert make_gan(filters=3, discriminator_filters=5).discriminator.get_layer("critic_0").filters == 5


def test_something_else_than_a_classifier_is_refused(make_gan):
    with pytest.raises(ModelError, match=r"load_classifier.*Sequential"):
        make_gan(keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]))


@pytest.mark.parametrize("broken", ["loss", "learning rate"])
def test_divergence_stops_training(make_gan, make_clf, images, labels, broken):
    clf = make_clf()
    if broken == "loss":
        clf.weights = tf.where(tf.range(64)[:, None] == 5, np.nan, clf.weights)
    gan = make_gan(clf)
    gan.compile(keras.optimizers.SGD(1e30), "sgd", run_eagerly=True)
    with pytest.raises(TrainingDivergedError, match=r"at step \d+ .*generator_loss=.*learning rates"):
        gan.fit(gan.dataset(images, labels, batch_size=4), steps_per_epoch=50, verbose=0)
    assert int(gan.step) < 50


def test_classifier_is_neither_tracked_nor_counted(make_gan, make_clf):
    small, large = make_gan(make_clf()), make_gan(make_clf(seed=1))
    assert small.count_params() == small.generator.count_params() + small.discriminator.count_params() + 1
    assert len(small.variables) == len(large.variables)
