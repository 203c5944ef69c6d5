"""A tiny problem that is called mnist, with models."""

from __future__ import annotations

import numpy as np
import pytest

import tf_ganmex as gx
from tf_ganmex._backend import keras

SHAPE, CLASSES = (12, 12, 1), 4


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Models that were never trained, and random images with the labels that the classifier gives them."""
    return write_problem(
        tmp_path_factory.mktemp("reproduce"), keras.layers.Conv2D(4, 3, strides=2, activation="relu"), blocks=1
    )


@pytest.fixture(scope="session")
def one_layer(tmp_path_factory):
    """The same with a classifier of one layer, and a GANMEX that was saved without its discriminator."""
    return write_problem(tmp_path_factory.mktemp("one_layer"), blocks=0, discriminator=False)


def write_problem(folder, *hidden, blocks, discriminator=True):
    """mnist.npz and models/ in ``folder``, which is returned."""
    keras.utils.set_random_seed(0)
    layers = [*hidden, keras.layers.Flatten(), keras.layers.Dense(CLASSES, name="out")]
    model = keras.Sequential([keras.Input(SHAPE), *layers])
    rng = np.random.default_rng(0)
    x_train, x_test = rng.random((160, *SHAPE), np.float32), rng.random((40, *SHAPE), np.float32)
    *weights, bias = model.get_weights()
    model.set_weights([*(10 * w for w in weights), bias])
    model.set_weights([*model.get_weights()[:-1], bias - model.predict(x_train, verbose=0).mean(0)])
    (folder / "models").mkdir()
    model.save(folder / "models" / "classifier.keras")
    clf = gx.load_classifier(model)
    gan = gx.GANMEX(clf, filters=4, blocks=blocks, seed=0)
    gan.save(folder / "models" / "ganmex", discriminator=discriminator)
    labels = {"y_train": clf.predict(x_train), "y_test": clf.predict(x_test)}
    assert np.unique(labels["y_train"]).size == CLASSES
    np.savez(folder / "mnist.npz", x_train=x_train, x_test=x_test, **labels)
    return folder
