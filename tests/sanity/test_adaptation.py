"""Generators that follow the classifier: what they start from, what is kept, and how an interrupted one goes on."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from sanity_cases import SHAPE, classifier, images

import tf_ganmex as gx
from tf_ganmex.errors import ModelError, OptionError
from tf_ganmex.gan import GANMEX
from tf_ganmex.sanity import adaptation, cascading_randomization, ganmex_per_stage

layers = keras.layers
SMALL = {"filters": 4, "blocks": 0, "reconstruction_weight": 0.0}


@pytest.fixture(scope="module")
def clf():
    keras.utils.set_random_seed(0)
    return classifier(keras.Sequential([keras.Input(SHAPE), layers.Flatten(), layers.Dense(3, name="out")]))


@pytest.fixture(scope="module")
def stage(clf):
    return next(cascading_randomization(clf))[1]


@pytest.fixture(scope="module")
def data():
    y = np.arange(24) % 3
    return gx.Dataset(images(24, seed=5), y, images(6), y[:6], ["a", "b", "c"])


@pytest.fixture(scope="module")
def gan(clf):
    return GANMEX(clf, **SMALL)


def weights(network):
    return np.concatenate([np.ravel(value) for value in network.get_weights()])


class Stopped(Exception):
    pass


def test_a_stage_is_trained_once_from_the_generator_given_and_goes_on_where_it_stopped(
    gan, clf, stage, data, tmp_path, monkeypatch
):
    monkeypatch.setattr(adaptation, "_CHECKPOINT_STEPS", 2)
    before, x = weights(gan.generator), images()
    whole = ganmex_per_stage(gan, data, folder=tmp_path / "whole", steps=4)
    assert whole.make(clf)(x, 1).tobytes() == gan.generate(x, 1).tobytes(), "its own classifier needs no training"
    assert not (tmp_path / "whole").exists()
    made = whole.make(stage)
    moved = np.abs(weights(made.__self__.generator) - before).max()
    assert 0 < moved < 4.5 * 2e-4, "four steps of Adam from the generator given"
    np.testing.assert_array_equal(weights(gan.generator), before)
    (folder,) = (tmp_path / "whole").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["ganmex.json", "generator.npz"]

    fit = GANMEX.fit

    def half(self, *arguments, epochs, **options):
        fit(self, *arguments, epochs=1, **options)
        raise Stopped

    parts = ganmex_per_stage(gan, data, folder=tmp_path / "parts", steps=4)
    monkeypatch.setattr(GANMEX, "fit", half)
    with pytest.raises(Stopped):
        parts.make(stage)
    monkeypatch.setattr(GANMEX, "fit", fit)
    np.testing.assert_array_equal(parts.make(stage)(x, 2), made(x, 2))

    monkeypatch.setattr(GANMEX, "fit", lambda self, *arguments, **options: pytest.fail("trained again"))
    np.testing.assert_array_equal(
        ganmex_per_stage(gan, data, folder=tmp_path / "whole", steps=4).make(stage)(x, 2), made(x, 2)
    )


def test_other_options_and_generators_have_folders_of_their_own(gan, clf, data, tmp_path):
    other = GANMEX(clf, **SMALL, seed=1)
    other.discriminator.set_weights(gan.discriminator.get_weights())
    makers = [
        ganmex_per_stage(gan, data, folder=tmp_path, steps=4),
        ganmex_per_stage(gan, data, folder=tmp_path, steps=5),
        ganmex_per_stage(gan, data, folder=tmp_path, steps=4, seed=1),
        ganmex_per_stage(gan, data, folder=tmp_path, steps=4, retrain=True),
        ganmex_per_stage(other, data, folder=tmp_path, steps=4),
    ]
    digests = [maker.make._digest for maker in makers]
    assert len(set(digests)) == len(digests)
    assert ganmex_per_stage(gan, data, folder=tmp_path, steps=4).make._digest == digests[0]


def test_retraining_starts_from_new_weights(gan, stage, data, tmp_path):
    gan = GANMEX(gan.classifier, **SMALL)
    fresh = weights(gan.generator)
    gan.generator.set_weights([value + 1 for value in gan.generator.get_weights()])
    made = ganmex_per_stage(gan, data, folder=tmp_path, steps=1, retrain=True).make(stage)
    assert np.abs(weights(made.__self__.generator) - fresh).max() < 3e-4


def test_what_cannot_follow_a_classifier(gan, clf, data, tmp_path):
    alone = GANMEX(clf, **SMALL, class_discriminator="joint")
    with pytest.raises(ModelError, match="stand-alone GAN is the same at all stages"):
        ganmex_per_stage(alone, data, folder=tmp_path)
    with pytest.raises(ModelError, match="Received: function"):
        ganmex_per_stage(lambda x, target: x, data, folder=tmp_path)
    with pytest.raises(OptionError, match="Expected steps for retraining"):
        ganmex_per_stage(gan, data, folder=tmp_path, retrain=True)
    with pytest.raises(OptionError, match="steps >= 1"):
        ganmex_per_stage(gan, data, folder=tmp_path, steps=0)
    gan.save(tmp_path / "without", discriminator=False)
    with pytest.warns(UserWarning, match="saved without its discriminator"):
        ganmex_per_stage(gx.load_ganmex(tmp_path / "without", clf), data, folder=tmp_path)


def test_where_logits_hardly_differ_the_classification_weighs_more(gan, clf, data, tmp_path):
    spread = clf.logits(data.x_train).std(1).mean()
    weights = clf.weights
    for wanted, factor in ((2.0, 1.0), (0.25, 2.0), (0.01, 50.0), (0.0, 1.0)):
        other = clf.with_weights({name: value * np.float32(wanted / spread) for name, value in weights.items()})
        usual = gan.options.classification_weight
        assert gx.sanity.stage_weight(gan, other, data) == pytest.approx(usual * factor, rel=5e-3)
    made = ganmex_per_stage(gan, data, folder=tmp_path, steps=1).make(
        clf.with_weights({name: value * np.float32(0.25 / spread) for name, value in weights.items()})
    )
    assert made.__self__.options.classification_weight == pytest.approx(2 * usual, rel=5e-3)
    assert gan.options.classification_weight == usual
