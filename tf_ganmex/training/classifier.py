"""Trains a classifier on a dataset, and writes it with the facts of how it was made."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex import __version__, zoo
from tf_ganmex._backend import keras
from tf_ganmex.datasets import Dataset
from tf_ganmex.errors import LabelError, OptionError
from tf_ganmex.files import replaced, write_text
from tf_ganmex.gan.data import Batches, step_keyed_dataset
from tf_ganmex.training.augmentation import Augmentation, change_of, named_augmentation

OPTIMIZERS = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop, "sgd": keras.optimizers.SGD}
DECAYS = ("cosine", "plateau", "constant")
DTYPES = ("float32", "mixed_bfloat16")
# The published script's: the learning rate is halved when validation accuracy stands still, down to a floor.
PLATEAU = {"monitor": "val_accuracy", "factor": 0.5, "patience": 5, "min_lr": 1e-5}


@dataclass(frozen=True, kw_only=True)
class ClassifierRecipe:
    """How a classifier is trained.

    Attributes:
        epochs: passes over the training images.
        batch_size: images a step.
        optimizer: ``"adam"``, ``"rmsprop"`` or ``"sgd"`` (momentum 0.9).
        learning_rate: at the start.
        decay: ``"cosine"``, to zero at the end; ``"plateau"``, halved when validation accuracy stands still for 5
            epochs; or ``"constant"``.
        augmentation: random changes of the training images, or a name of them, or None.
        balanced: weigh classes by the inverse of their number of images.
        validation: fraction of the training images of each class that is kept to choose by; the test images never are.
        patience: epochs without a lower validation loss after which training stops, with the best weights; None: never.
        dtype: ``"mixed_bfloat16"`` trains in half precision; what comes out is float32.
    """

    epochs: int = 12
    batch_size: int = 64
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    decay: str = "cosine"
    augmentation: Augmentation | str | None = None
    balanced: bool = False
    validation: float = 0.0
    patience: int | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        """OptionError for what no training can follow."""
        for name, choices in (("optimizer", tuple(OPTIMIZERS)), ("decay", DECAYS), ("dtype", DTYPES)):
            if getattr(self, name) not in choices:
                raise OptionError(
                    f"Expected {name} to be one of {', '.join(choices)}. Received: {name}={getattr(self, name)!r}."
                )
        object.__setattr__(self, "augmentation", named_augmentation(self.augmentation))
        if not 0 <= self.validation < 1:
            raise OptionError(f"Expected validation in [0, 1). Received: validation={self.validation!r}. Take 0.1.")
        if self.validation == 0 and (self.patience is not None or self.decay == "plateau"):
            raise OptionError(
                "Expected images to choose by, for patience and decay='plateau'. Received: validation=0. Take 0.1: the "
                "test images are not for choosing."
            )

    @classmethod
    def published(cls, **changes: Any) -> ClassifierRecipe:
        """The published script's: RMSprop, batch 32, plateau, early stopping; up to 50 epochs."""
        recipe = cls(epochs=50, batch_size=32, optimizer="rmsprop", decay="plateau", validation=0.1, patience=20)
        return dataclasses.replace(recipe, **changes)

    def as_dict(self) -> dict[str, Any]:
        """The settings in a form that JSON can hold."""
        return dataclasses.asdict(self)


def train_classifier(
    data: Dataset,
    architecture: str = "auto",
    *,
    recipe: ClassifierRecipe | None = None,
    seed: int = 0,
    directory: str | os.PathLike[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    **options: Any,
) -> keras.Model:
    """Trains a classifier from scratch on the training images of a dataset.

    Args:
        data: the images and labels; the test images are not looked at.
        architecture: a name of :data:`tf_ganmex.zoo.CLASSIFIERS`, or ``"auto"`` by image size.
        recipe: how.
        seed: of the initial weights, the order of images, their changes and dropout.
        directory: where the state of every epoch is kept while training runs, to go on from after an interruption;
            None: nowhere. Patience and plateau count anew then.
        callbacks: any Keras callbacks.
        verbose: as in ``keras.Model.fit``.
        **options: of the architecture, such as ``weights`` of ``mobilenet_classifier``.

    Returns:
        The trained model, images (n, h, w, c) in [0, 1] to probabilities (n, classes).

    Raises:
        OptionError: for an impossible option.
        LabelError: for a class without training images where the recipe is balanced.
    """
    recipe = recipe or ClassifierRecipe()
    keras.utils.set_random_seed(seed)
    shape, classes = data.x_train.shape[1:], len(data.class_names)
    model = zoo.build(architecture, shape, classes, seed=seed, **options)
    trained = model if recipe.dtype == "float32" else in_half_precision(model, recipe.dtype)
    rows, kept = split_rows(data.y_train, recipe.validation, seed)
    batches = Batches(
        data.x_train[rows], data.y_train[rows].astype(np.int32), classes, batch_size=recipe.batch_size, seed=seed
    )
    steps = -(-len(rows) // recipe.batch_size)
    rate = recipe.learning_rate
    momentum = {"momentum": 0.9} if recipe.optimizer == "sgd" else {}
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps * recipe.epochs)
    trained.compile(
        optimizer=OPTIMIZERS[recipe.optimizer](schedule if recipe.decay == "cosine" else rate, **momentum),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    trained.fit(
        step_keyed_dataset(
            batches,
            current_step=lambda: int(trained.optimizer.iterations),
            change=change_of(recipe.augmentation, seed),
        ),
        steps_per_epoch=steps,
        epochs=recipe.epochs,
        validation_data=(data.x_train[kept], data.y_train[kept]) if len(kept) else None,
        validation_batch_size=256,
        class_weight=class_weights(data.y_train[rows], classes) if recipe.balanced else None,
        callbacks=[*_callbacks(recipe, directory), *callbacks],
        verbose=verbose,
        shuffle=False,
    )
    if trained is not model:
        model.set_weights(trained.get_weights())
    return model


def split_rows(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to choose by: ``fraction`` of each class, drawn with ``seed``."""
    rng = np.random.default_rng(seed)
    kept = [rng.permutation(rows)[: round(fraction * len(rows))] for rows in _by_class(labels)]
    chosen = np.sort(np.concatenate(kept)).astype(np.int64)
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def class_weights(labels: np.ndarray, classes: int) -> dict[int, float]:
    """The weight n / (classes · n_c) of each class, whose mean over the images is 1."""
    counts = np.bincount(labels, minlength=classes)
    if not counts.all():
        raise LabelError(
            f"Expected training images of every class, to weigh them by their number. Received: none of class "
            f"{', '.join(map(str, np.flatnonzero(counts == 0)))}. Train without balanced."
        )
    return {index: len(labels) / (classes * count) for index, count in enumerate(counts.tolist())}


def save_classifier(model: keras.Model, data: Dataset, path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Writes a classifier without its optimizer, and beside it a ``.json`` that says how it was made.

    Args:
        model: the classifier.
        data: what it was trained on; its test images are evaluated.
        path: a ``.keras`` file, or a directory for a SavedModel.
        settings: what it was trained with.

    Returns:
        What the ``.json`` holds: data, settings, versions, test accuracy, that of every class, and the confusion
        matrix (rows: classes, columns: what the model says).
    """
    predicted = model.predict(data.x_test, batch_size=256, verbose=0).argmax(-1)
    facts = {
        "dataset": data.name,
        "train_images": len(data.x_train),
        "test_images": len(data.x_test),
        "class_names": data.class_names,
        "settings": settings,
        **accuracy_facts(predicted, data),
        "versions": {"tf_ganmex": __version__, "tensorflow": tf.__version__, "keras": keras.__version__},
    }
    if path.suffix == ".keras":
        bare = type(model).from_config(model.get_config())  # of a compiled model Keras writes the optimizer too
        bare.set_weights(model.get_weights())
        with replaced(path) as temporary:
            bare.save(temporary)
    else:
        _export(model, path)
    write_text(path.with_suffix(".json"), json.dumps(facts, indent=1) + "\n")
    return facts


def accuracy_facts(predicted: np.ndarray, data: Dataset) -> dict[str, Any]:
    """How the predicted classes of the test images (n,) compare with their labels, in a form that JSON can hold.

    Returns:
        The accuracy, that of every class (None for a class without test images), and the confusion matrix (rows:
        classes, columns: what is predicted).
    """
    confusion = np.zeros((len(data.class_names),) * 2, int)
    np.add.at(confusion, (data.y_test, predicted), 1)
    with np.errstate(invalid="ignore"):
        per_class = np.diag(confusion) / confusion.sum(1)
    return {
        "test_accuracy": round(float(np.diag(confusion).sum() / len(predicted)), 4),
        "test_accuracy_per_class": [None if np.isnan(share) else round(float(share), 4) for share in per_class],
        "confusion_matrix": confusion.tolist(),
    }


def _export(model: keras.Model, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        model.export(temporary, verbose=False)
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _by_class(labels: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(labels == c) for c in np.unique(labels)]


def _callbacks(recipe: ClassifierRecipe, directory: str | os.PathLike[str] | None) -> list[keras.callbacks.Callback]:
    callbacks: list[keras.callbacks.Callback] = []
    if directory is not None:
        callbacks.append(keras.callbacks.BackupAndRestore(os.fspath(directory), double_checkpoint=True))
    if recipe.decay == "plateau":
        callbacks.append(keras.callbacks.ReduceLROnPlateau(**PLATEAU))
    if recipe.patience is not None:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=recipe.patience, restore_best_weights=True))
    return callbacks


def in_half_precision(model: keras.Model, dtype: str) -> keras.Model:
    """The same model with layers that compute in bfloat16; logits and softmax stay float32, and so do all weights."""

    def rebuilt(layer: keras.layers.Layer) -> keras.layers.Layer:
        full = layer.name in ("logits", "softmax")
        return type(layer).from_config(layer.get_config() | {"dtype": "float32" if full else dtype})

    copy = keras.models.clone_model(model, clone_function=rebuilt, recursive=True)
    copy.set_weights(model.get_weights())
    return copy
