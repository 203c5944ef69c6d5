"""Trains classifiers, and GANMEX for them, on a dataset: what the command line does."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex import __version__, zoo
from tf_ganmex._backend import keras
from tf_ganmex.classifier import Classifier
from tf_ganmex.datasets import Dataset
from tf_ganmex.errors import OptionError
from tf_ganmex.files import replaced
from tf_ganmex.gan import GANMEX, Checkpoints, ImageGrid
from tf_ganmex.gan.ganmex import BETAS


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


def train_ganmex(
    clf: Classifier,
    data: Dataset,
    directory: str | os.PathLike[str],
    *,
    steps: int = 10_000,
    batch_size: int = 32,
    learning_rate: float = 3e-4,
    every: int = 500,
    pictures: int = 8,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    **options: Any,
) -> GANMEX:
    """Trains a GANMEX generator for a classifier, or goes on with one that was stopped.

    Adam (β 0.5, 0.999) with learning rates that fall to zero along a cosine. Checkpoints and pictures go to
    ``directory``; called again with the same arguments after an interruption, training goes on from the last
    checkpoint and ends with the same weights as if it had never stopped.

    Args:
        clf: the classifier to explain.
        data: its data; only the training images are used, and the first test images for the pictures.
        directory: where ``checkpoints/`` and ``pictures/`` go.
        steps: training steps, each of ``batch_size`` images.
        batch_size: images a step.
        learning_rate: of both networks, at the start.
        every: steps between two checkpoints, pictures and lines of the log.
        pictures: how many test images to draw against every target; 0 for none.
        seed: of the initial weights, the batches, the targets and the interpolations.
        callbacks: further Keras callbacks.
        verbose: as in ``keras.Model.fit``.
        **options: of :class:`tf_ganmex.GANMEX`: the weights of the losses, ``filters``, ``blocks``, ``dtype``, ...

    Returns:
        The trained model.

    Raises:
        OptionError: for an impossible option, or a directory with checkpoints of a longer run.
        CheckpointError: for a directory with checkpoints of other networks.
        TrainingDivergedError: if a loss becomes NaN or infinite.
    """
    every = min(every, steps)
    if steps < 1 or steps % every:
        raise OptionError(f"Expected steps to be a multiple of every={every}. Received: steps={steps}.")
    gan = GANMEX(clf, seed=seed, **options)
    gan.compile(_falling_adam(learning_rate, steps), _falling_adam(learning_rate, steps))
    directory = Path(directory)
    checkpoints = Checkpoints(directory / "checkpoints", every=every)
    done = checkpoints.restore(gan)
    if done > steps:
        raise OptionError(
            f"Expected at least the {done} steps that {directory} was trained for. Received: steps={steps}. "
            "Give more steps, or another directory."
        )
    extra: list[keras.callbacks.Callback] = [checkpoints]
    if pictures:
        shown = in_value_range(data.x_test[:pictures], clf.value_range)
        extra.append(ImageGrid(shown, directory / "pictures", every=every))
    gan.fit(
        gan.dataset(in_value_range(data.x_train, clf.value_range), data.y_train, batch_size=batch_size, seed=seed),
        steps_per_epoch=every,
        initial_epoch=done // every,
        epochs=steps // every,
        callbacks=[*extra, *callbacks],
        verbose=verbose,
    )
    return gan


def in_value_range(images: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
    """Images in [0, 1] brought to a classifier's value range."""
    low, high = value_range
    return images if (low, high) == (0, 1) else low + (high - low) * images


def save_classifier(model: keras.Model, data: Dataset, path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Writes a classifier without its optimizer, and beside it a ``.json`` that says how it was made.

    Returns:
        What the ``.json`` holds: data, settings, versions, test accuracy.
    """
    _, accuracy = model.evaluate(data.x_test, data.y_test, batch_size=256, verbose=0)
    facts = {
        "dataset": data.name,
        "train_images": len(data.x_train),
        "test_images": len(data.x_test),
        "class_names": data.class_names,
        "settings": settings,
        "test_accuracy": round(float(accuracy), 4),
        "versions": {"tf_ganmex": __version__, "tensorflow": tf.__version__, "keras": keras.__version__},
    }
    bare = type(model).from_config(model.get_config())  # of a compiled model Keras writes the optimizer too
    bare.set_weights(model.get_weights())
    with replaced(path) as temporary:
        bare.save(temporary)
    with replaced(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n")
    return facts


def _falling_adam(learning_rate: float, steps: int) -> keras.optimizers.Optimizer:
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    return keras.optimizers.Adam(schedule, beta_1=BETAS[0], beta_2=BETAS[1])
