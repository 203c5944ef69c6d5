"""Augmented images of a GANMEX: a function of the step, so that training resumes, and of the Keras trainer alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex.errors import OptionError
from tf_ganmex.training import AUGMENTATIONS, Recipe, train_ganmex
from tf_ganmex.training.augmentation import change_of

MODEL = Path(__file__).parents[2] / "saved_models" / "digits" / "classifier.keras"
TINY = {"filters": 4, "blocks": 1}


@pytest.fixture(scope="module")
def data():
    return gx.load_dataset("digits")


@pytest.fixture(scope="module")
def clf():
    return gx.load_classifier(MODEL)


def test_every_step_changes_its_own_images_by_its_own_amounts(clf, data):
    gan = gx.GANMEX(clf, **TINY)

    def elements(**options):
        return [
            images.numpy() for images, _ in gan.dataset(data.x_train, data.y_train, batch_size=4, **options).take(3)
        ]

    plain, changed = elements(), elements(change=change_of("objects", 5))
    for step, (before, after) in enumerate(zip(plain, changed, strict=True)):
        expected = AUGMENTATIONS["objects"].apply(tf.constant(before), tf.constant([10, step], tf.int64))
        np.testing.assert_array_equal(after, expected)
        assert not np.allclose(before, after)
    gan.step.assign(2)
    np.testing.assert_array_equal(elements(change=change_of("objects", 5))[0], changed[2])


def test_augmented_training_goes_on_where_it_stopped(clf, data, tmp_path):
    def weights(folder, *steps, augmentation="digits"):
        for count in steps:
            recipe = Recipe(steps=count, batch_size=4, decay="constant", augmentation=augmentation)
            gan = train_ganmex(clf, data, tmp_path / folder, recipe=recipe, every=1, pictures=0, verbose=0, **TINY)
        return np.concatenate([np.ravel(weight) for weight in gan.generator.get_weights()])

    whole = weights("whole", 3)
    np.testing.assert_array_equal(weights("parts", 1, 3), whole)
    assert not np.array_equal(weights("plain", 3, augmentation=None), whole)


def test_names_and_trainers_that_cannot_be(clf, data, tmp_path):
    with pytest.raises(OptionError, match="heavy"):
        Recipe(augmentation="heavy")
    assert Recipe(augmentation="none") == Recipe()
    with pytest.raises(OptionError, match="trainer='keras'"):
        train_ganmex(
            clf, data, tmp_path / "e", trainer="estimator", recipe=Recipe(steps=1, augmentation="digits"), **TINY
        )
    assert not (tmp_path / "e").exists()
