"""GANMEX trained by TF-GAN's unmodified StarGANEstimator."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex._backend import keras
from tf_ganmex.errors import ModelError, OptionError, TrainingDivergedError
from tf_ganmex.gan import GANMEX, estimator
from tf_ganmex.gan.steps import METRICS

v1 = tf.compat.v1


@pytest.fixture(scope="module")
def model(make_model):
    return make_model()


@pytest.fixture(scope="module")
def frozen(model):
    return gx.load_classifier(model, output="logits")


@pytest.fixture
def make(frozen):
    def build(**options):
        return GANMEX(frozen, **({"filters": 4, "blocks": 1, "schedule": (1, 1), "seed": 3} | options))

    return build


class LookAt(v1.train.SessionRunHook):
    """Reads variables of the session at its end."""

    def __init__(self, collection):
        self.collection = collection
        self.found = {}

    def end(self, session):
        found = {variable.op.name: variable for variable in v1.get_collection(self.collection)}
        self.found = session.run(found)


def adam(rate=1e-3):
    return lambda: v1.train.AdamOptimizer(rate, 0.5)


def published_input(images, labels, per_class=2):
    """As the published code gives it: a list of images, and one of one-hot labels, with an entry per class."""

    def input_fn():
        groups = [images[labels == c][:per_class] * 2 - 1 for c in range(3)]
        hot = np.eye(3, dtype=np.float32)
        return [tf.constant(g) for g in groups], [tf.constant(np.repeat(hot[c : c + 1], 2, 0)) for c in range(3)]

    return input_fn


def test_it_is_tfgans_own_class(make, tmp_path):
    built = estimator.stargan(make(), tmp_path)
    import tensorflow_gan as tfgan

    assert type(built) is tfgan.estimator.StarGANEstimator is estimator.StarGANEstimator
    assert type(built).__module__ == "tensorflow_gan.python.estimator.stargan_estimator"


def test_the_classifier_does_not_move_and_the_source_discriminator_does(make, frozen, images, labels, tmp_path):
    gan = make()
    before = {name: value.copy() for name, value in frozen.weights.items()}
    start = gan.discriminator.get_weights(), gan.generator.get_weights()
    local, trainable = LookAt(v1.GraphKeys.LOCAL_VARIABLES), LookAt(v1.GraphKeys.TRAINABLE_VARIABLES)
    estimator.train(gan, images, labels, tmp_path, steps=3, batch_size=8, hooks=[local, trainable], verbose=0)
    in_graph = [local.found[f"Discriminator/classifier/weight_{index}"] for index in range(len(before))]
    for value, (name, kept), now in zip(in_graph, before.items(), frozen.weights.values(), strict=True):
        np.testing.assert_array_equal(value, kept, err_msg=name)
        np.testing.assert_array_equal(now, kept, err_msg=name)
    assert len(before) == 8, "kernels, biases and the statistics of the norm are all weights of the graph"
    assert not any("classifier" in name for name in trainable.found)
    for network, weights in zip((gan.discriminator, gan.generator), start, strict=True):
        assert all(np.abs(one - two).max() > 0 for one, two in zip(network.get_weights(), weights, strict=True))
    names = [name for name, _ in tf.train.list_variables(str(tmp_path))]
    assert not any("classifier" in name for name in names)


def test_the_published_input_and_tfgans_own_targets_and_penalty(make, images, labels, tmp_path):
    built = estimator.stargan(make(), tmp_path, generator_optimizer=adam(), discriminator_optimizer=adam())
    built.train(published_input(images, labels), steps=2)
    measured = built.evaluate(published_input(images, labels), steps=1)
    assert measured["global_step"] == 2
    assert {"generator_loss", "discriminator_loss"} <= measured.keys()
    assert all(np.isfinite(value) for value in measured.values())


def test_predictions_exports_and_the_ganmex_make_the_same_images(make, frozen, images, labels, tmp_path):
    gan = make()
    estimator.train(gan, images, labels, tmp_path / "run", steps=2, batch_size=8, verbose=0)
    built = estimator.stargan(gan, tmp_path / "run")
    target = np.arange(20) % 3
    hot = np.eye(3, dtype=np.float32)[target]

    predicted = list(built.predict(estimator.prediction_input_fn(gan, images, target, batch_size=7)))
    expected = gan.generate(images, target)
    np.testing.assert_allclose((np.stack(predicted) + 1) / 2, expected, atol=1e-5)

    export = built.export_saved_model(str(tmp_path / "export"), estimator.serving_input_receiver_fn(gan))
    export = export.decode() if isinstance(export, bytes) else export
    again = gx.load_ganmex(export, frozen)
    np.testing.assert_allclose(again.generate(images, target), expected, atol=1e-5)
    serve = tf.saved_model.load(export).signatures["serving_default"]
    (served,) = serve(image=tf.constant(images * 2 - 1), target=tf.constant(hot)).values()
    np.testing.assert_allclose((served.numpy() + 1) / 2, expected, atol=1e-5)
    stored = gx.load_ganmex(tmp_path / "run", frozen)
    np.testing.assert_array_equal(stored.generate(images, target), expected)


def test_it_starts_from_the_weights_of_the_ganmex(make, images, labels, tmp_path):
    gan = make()
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), run_eagerly=True)
    gan.fit(gan.dataset(images, labels, batch_size=4), steps_per_epoch=2, verbose=0)
    weights = [variable.numpy() for variable in gan.trainable_variables]
    still = {"generator_optimizer": lambda: v1.train.GradientDescentOptimizer(0.0)}
    still["discriminator_optimizer"] = still["generator_optimizer"]
    estimator.train(gan, images, labels, tmp_path, steps=1, batch_size=4, verbose=0, **still)
    for variable, value in zip(gan.trainable_variables, weights, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert int(gan.step) == 1


def test_stopped_or_damaged_trainings_go_on_and_end_the_same(make, images, labels, tmp_path):
    def run(directory, steps):
        gan = make(schedule=(2, 1))
        return gan, estimator.train(gan, images, labels, directory, steps=steps, every=2, batch_size=8, verbose=0)

    straight, whole = run(tmp_path / "straight", 4)
    run(tmp_path / "stopped", 2)
    _, history = run(tmp_path / "stopped", 4)
    assert history["step"] == [4]
    assert history["similarity"][0] == whole["similarity"][1]
    # The newest is damaged: the training goes on from the one before it.
    data = tmp_path / "stopped" / "model.ckpt-4.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1000])
    with pytest.warns(UserWarning, match=r"model\.ckpt-4"):
        gan, history = run(tmp_path / "stopped", 4)
    assert history["step"] == [4]
    for one, two in zip(gan.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_finished_training_is_only_loaded(make, images, labels, tmp_path):
    gan = make()
    estimator.train(gan, images, labels, tmp_path, steps=1, batch_size=4, verbose=0)
    again = make(seed=9)
    assert estimator.train(again, images, labels, tmp_path, steps=1, batch_size=4, verbose=0) == {"step": []}
    for one, two in zip(gan.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_reports_have_every_measure_and_the_weights_of_that_step(make, images, labels, tmp_path):
    gan, seen = make(), []

    def report(step, means):
        assert tf.executing_eagerly()
        seen.append((step, means, gan.get_weights()))

    history = estimator.train(
        gan, images, labels, tmp_path, steps=3, every=2, keep=5, batch_size=4, on_report=report, verbose=0
    )
    assert history.keys() == {"step", *METRICS}
    assert [step for step, *_ in seen] == history["step"] == [2, 3]
    stored = gx.load_ganmex(tmp_path / "model.ckpt-2", gan.classifier)
    for one, two in zip(seen[0][2], stored.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    events = [e for path in tmp_path.glob("events*") for e in v1.train.summary_iterator(str(path))]
    tags = {value.tag for event in events for value in event.summary.value}
    assert {"generator_loss", "similarity", "gradient_penalty"} <= tags


def test_divergence_is_an_error_and_leaves_the_last_good_checkpoint(make, images, labels, tmp_path):
    gan = make()
    estimator.train(gan, images, labels, tmp_path, steps=2, every=2, batch_size=8, verbose=0)
    huge = {"generator_optimizer": adam(1e30), "discriminator_optimizer": adam(1e30)}
    with pytest.raises(TrainingDivergedError, match="Lower the learning rates"):
        estimator.train(make(), images, labels, tmp_path, steps=8, every=2, batch_size=8, verbose=0, **huge)
    kept = gx.load_ganmex(tmp_path, gan.classifier)
    assert np.isfinite(kept.generate(images, 1)).all()


def test_nothing_is_left_behind(make, images, labels, tmp_path):
    import inspect
    import sys

    estimator.train(make(), images, labels, tmp_path, steps=1, batch_size=4, verbose=0)
    assert tf.executing_eagerly()
    for owner in (tf, v1, sys.modules["tensorflow.compat.v1"]):
        assert not hasattr(owner, "estimator")
    assert "tensorflow.estimator" not in sys.modules
    assert sys.version_info < (3, 11) or not hasattr(inspect, "getargspec")
    assert not tf.get_logger().filters


def test_what_tfgan_cannot_train_is_refused(make, make_clf, tmp_path):
    with pytest.raises(OptionError, match=r"schedule='joint'.*schedule=\(1, 1\)"):
        estimator.stargan(make(schedule="joint"), tmp_path)
    with pytest.raises(OptionError, match="mixed_bfloat16"):
        estimator.stargan(make(dtype="mixed_bfloat16"), tmp_path)
    with pytest.raises(ModelError, match="TinyClassifier"):
        estimator.stargan(GANMEX(make_clf(), filters=4, blocks=1, schedule=(1, 1)), tmp_path)
    with pytest.raises(ModelError, match="Expected a GANMEX"):
        estimator.stargan("gan", tmp_path)
    with pytest.raises(OptionError, match="every=0"):
        estimator.train(make(), np.zeros((1, 8, 8, 1)), np.zeros(1), tmp_path, steps=1, every=0)
    with pytest.raises(AttributeError, match="no_such"):
        _ = estimator.no_such


def test_evaluation_goes_through_the_images_once(make, images, labels, tmp_path):
    gan = make()
    estimator.train(gan, images, labels, tmp_path, steps=1, batch_size=4, verbose=0)
    built = estimator.stargan(gan, tmp_path)
    whole = built.evaluate(estimator.input_fn(gan, images, labels, batch_size=5))
    parts, alone = [], make(schedule="joint")
    alone.set_weights(gan.get_weights())
    for step in range(4):
        alone.step.assign(step)
        x, y = next(iter(alone.dataset(images, labels, batch_size=5)))
        target, _ = alone.draw(5)
        parts.append(float(alone.generator_terms(2 * x - 1, y, target).loss))
    assert whole["generator_loss"] == pytest.approx(np.mean(parts), rel=1e-4)


def test_hooks_of_tfgan_itself_get_the_same_batches(make, images, labels, tmp_path):
    def train(name, **options):
        gan, updates = make(), {"generator_optimizer": adam(), "discriminator_optimizer": adam()}
        built = estimator.stargan(gan, tmp_path / name, **updates, **options)
        built.train(estimator.input_fn(gan, images, labels, batch_size=4), steps=2)
        estimator.load(gan, built.latest_checkpoint())
        return gan.get_weights()

    from tf_ganmex.gan.tfgan import import_tfgan

    given = train("given", get_hooks_fn=import_tfgan().get_sequential_train_hooks())
    for one, two in zip(train("default"), given, strict=True):
        np.testing.assert_array_equal(one, two)


def test_optimizers_that_are_not_tensorflow_1s_are_refused(make, tmp_path):
    for wrong in ("adam", keras.optimizers.Adam()):
        with pytest.raises(OptionError, match="generator_optimizer="):
            estimator.stargan(make(), tmp_path, generator_optimizer=wrong)
    one = v1.train.AdamOptimizer()
    with pytest.raises(OptionError, match="two optimizers"):
        estimator.stargan(make(), tmp_path, generator_optimizer=one, discriminator_optimizer=one)


def test_a_longer_training_is_not_taken_for_this_one(make, images, labels, tmp_path):
    estimator.train(make(), images, labels, tmp_path, steps=3, batch_size=4, verbose=0)
    with pytest.raises(OptionError, match=r"3 steps of .*model\.ckpt-3.*steps=2"):
        estimator.train(make(), images, labels, tmp_path, steps=2, batch_size=4, verbose=0)
