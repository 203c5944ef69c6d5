"""Trains the classifiers of :mod:`tf_ganmex.zoo` on a dataset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tf_ganmex import zoo
from tf_ganmex._backend import keras
from tf_ganmex.datasets import Dataset


def train_classifier(
    data: Dataset,
    architecture: str = "auto",
    *,
    epochs: int = 12,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> keras.Model:
    """Trains a classifier from scratch on the training images of a dataset.

    Adam with a learning rate that falls to zero along a cosine; the test images are only ever evaluated, never used to
    choose anything.

    Args:
        data: the images and labels.
        architecture: a name of :data:`tf_ganmex.zoo.CLASSIFIERS`, or ``"auto"`` by image size.
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: at the start.
        seed: of the initial weights, the order of images and dropout.
        callbacks: any Keras callbacks.
        verbose: as in ``keras.Model.fit``.

    Returns:
        The trained model, images (n, h, w, c) in [0, 1] to probabilities (n, classes).
    """
    keras.utils.set_random_seed(seed)
    model = zoo.build(architecture, data.x_train.shape[1:], len(data.class_names), seed=seed)
    steps = int(np.ceil(len(data.x_train) / batch_size)) * epochs
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(
        data.x_train,
        data.y_train,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=(data.x_test, data.y_test),
        callbacks=list(callbacks),
        verbose=verbose,
    )
    return model
