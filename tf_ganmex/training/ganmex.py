"""Trains a GANMEX for a classifier, with either trainer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tf_ganmex._backend import keras
from tf_ganmex.classifier import Classifier
from tf_ganmex.datasets import Dataset
from tf_ganmex.errors import OptionError
from tf_ganmex.gan import GANMEX, Checkpoints, ImageGrid, estimator
from tf_ganmex.gan.ganmex import BETAS
from tf_ganmex.gan.presets import Preset
from tf_ganmex.gan.tfgan.stored import writing
from tf_ganmex.training.augmentation import Augmentation, change_of, named_augmentation

TRAINERS = ("keras", "estimator")
DECAYS = ("cosine", "constant")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How fast and on what a GANMEX is trained; the defaults are those of the command line.

    Attributes:
        steps: training steps.
        batch_size: images a batch; 32 where neither it nor ``per_class`` is given.
        per_class: instead, images of every class a batch.
        learning_rate: of Adam, at the start.
        discriminator_learning_rate: of the discriminator's, where it is another.
        betas: of Adam.
        epsilon: of Adam.
        augmentation: random changes of the training images, or a name of them, or None; of the Keras trainer. For
            few images, which the generator otherwise learns by heart.
        decay: whether the learning rates fall to zero along a cosine (``"cosine"``) or not (``"constant"``).
    """

    steps: int = 10_000
    batch_size: int | None = None
    per_class: int | None = None
    learning_rate: float = 3e-4
    discriminator_learning_rate: float | None = None
    betas: tuple[float, float] = BETAS
    epsilon: float = 1e-7
    decay: str = "cosine"
    augmentation: Augmentation | str | None = None

    def __post_init__(self) -> None:
        """OptionError for what no training can follow."""
        if self.steps < 1:
            raise OptionError(f"Expected steps >= 1. Received: steps={self.steps}. Take 1500, for example.")
        for name in ("learning_rate", "discriminator_learning_rate", "epsilon"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise OptionError(f"Expected {name} > 0. Received: {name}={value!r}. 0.0003 learns digits.")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise OptionError(f"Expected two betas in [0, 1). Received: betas={self.betas!r}. Take (0.5, 0.999).")
        object.__setattr__(self, "augmentation", named_augmentation(self.augmentation))
        if self.decay not in DECAYS:
            raise OptionError(f"Expected decay to be one of {', '.join(DECAYS)}. Received: decay={self.decay!r}.")

    @classmethod
    def published(cls, preset: Preset) -> Recipe:
        """That of a published run."""
        return cls(
            steps=preset.steps,
            per_class=preset.per_class,
            learning_rate=preset.generator_learning_rate,
            discriminator_learning_rate=preset.discriminator_learning_rate,
            betas=preset.betas,
            epsilon=preset.epsilon,
            decay="constant",
        )

    @property
    def learning_rates(self) -> tuple[float, float]:
        """Of generator and discriminator."""
        discriminator = self.discriminator_learning_rate
        return self.learning_rate, self.learning_rate if discriminator is None else discriminator

    def batches(self, seed: int) -> dict[str, Any]:
        """Which images are in a batch, as arguments of ``GANMEX.dataset``."""
        return {"batch_size": self.batch_size, "per_class": self.per_class, "seed": seed}

    def dataset(self, gan: GANMEX, images: np.ndarray, labels: np.ndarray, seed: int) -> Any:
        """What ``gan`` is to be fitted to."""
        return gan.dataset(images, labels, **self.batches(seed), change=change_of(self.augmentation, seed))

    def optimizers(self, gan: GANMEX) -> list[keras.optimizers.Optimizer]:
        """Those of the generator and the discriminator of ``gan``."""
        return [self._adam(rate, n) for rate, n in zip(self.learning_rates, gan.options.updates, strict=True)]

    def _adam(self, learning_rate: float, updates: int) -> keras.optimizers.Optimizer:
        rate: Any = learning_rate
        if self.decay == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(learning_rate, self.steps * updates)
        return keras.optimizers.Adam(rate, beta_1=self.betas[0], beta_2=self.betas[1], epsilon=self.epsilon)


def train_ganmex(
    clf: Classifier,
    data: Dataset,
    directory: str | os.PathLike[str],
    *,
    trainer: str = "keras",
    recipe: Recipe | None = None,
    every: int = 500,
    pictures: int = 8,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    **options: Any,
) -> GANMEX:
    """Trains a GANMEX generator for a classifier, or goes on with one that was stopped.

    Checkpoints and pictures go to ``directory``; called again with the same arguments after an interruption, training
    goes on from the last checkpoint and ends with the same weights as if it had never stopped.

    Args:
        clf: the classifier to explain.
        data: its data; only the training images are used, and the first test images for the pictures.
        directory: where ``checkpoints/`` (of the estimator: ``estimator/``), ``pictures/`` and ``history.csv`` go.
        trainer: ``"keras"``, or ``"estimator"`` for TF-GAN's StarGANEstimator.
        recipe: steps, batches and learning rates.
        every: steps between two checkpoints, pictures and lines of the history.
        pictures: how many test images to draw against every target; 0 for none.
        seed: of the initial weights, the batches, the targets and the interpolations.
        callbacks: further Keras callbacks, of the Keras trainer.
        verbose: as in ``keras.Model.fit``.
        **options: of :class:`tf_ganmex.GANMEX`: the weights of the losses, ``filters``, ``blocks``, ``dtype``, ...

    Returns:
        The trained model.

    Raises:
        OptionError: for an impossible option, or a directory with checkpoints of a longer run.
        CheckpointError: for a directory with checkpoints of other networks.
        TrainingDivergedError: if a loss becomes NaN or infinite.
    """
    if trainer not in TRAINERS:
        raise OptionError(f"Expected trainer to be one of {', '.join(TRAINERS)}. Received: trainer={trainer!r}.")
    recipe = recipe or Recipe()
    every = min(every, recipe.steps)
    if recipe.steps % every:
        raise OptionError(f"Expected steps to be a multiple of every={every}. Received: steps={recipe.steps}.")
    if trainer == "estimator":
        options = {"schedule": (1, 1)} | options
    gan = GANMEX(clf, seed=seed, **options)
    images = in_value_range(data.x_train, clf.value_range)
    shown = in_value_range(data.x_test[:pictures], clf.value_range)
    if trainer == "estimator":
        estimator.check(gan)
        if recipe.augmentation is not None:
            raise OptionError(
                "Expected augmentation with trainer='keras' alone. Received: trainer='estimator'. Leave it out, or "
                "augment the images beforehand."
            )
    # Before anything is written.
    gan.batches(images, data.y_train, batch_size=recipe.batch_size, per_class=recipe.per_class, seed=seed)
    run = _Run(gan, images, data.y_train, shown, Path(directory), recipe, every, seed, verbose)
    if trainer == "keras":
        run.with_keras(callbacks)
    elif callbacks:
        raise OptionError(
            "Expected Keras callbacks with trainer='keras' alone. Received: trainer='estimator'. Leave them out; "
            "TF-GAN's estimator writes TensorBoard's events into its own directory."
        )
    else:
        run.with_estimator()
    return gan


@dataclass(frozen=True)
class _Run:
    """One training, by either trainer."""

    gan: GANMEX
    images: np.ndarray
    labels: np.ndarray
    shown: np.ndarray
    directory: Path
    recipe: Recipe
    every: int
    seed: int
    verbose: int | str

    def with_keras(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        gan, every, steps = self.gan, self.every, self.recipe.steps
        gan.compile(*self.recipe.optimizers(gan))
        checkpoints = Checkpoints(self.directory / "checkpoints", every=every)
        done = self._check(checkpoints.restore(gan))
        extra: list[keras.callbacks.Callback] = [_history(self.directory), checkpoints]
        if len(self.shown):
            extra.append(ImageGrid(self.shown, self.directory / "pictures", every=every))
        gan.fit(
            self.recipe.dataset(gan, self.images, self.labels, self.seed),
            steps_per_epoch=every,
            initial_epoch=done // every,
            epochs=steps // every,
            callbacks=[*extra, *callbacks],
            verbose=self.verbose,
        )

    def with_estimator(self) -> None:
        def report(step: int, means: dict[str, float]) -> None:
            history.on_epoch_end(step // self.every - 1, means)
            if grid is not None:
                grid.act(step)

        history = _history(self.directory)
        grid = ImageGrid(self.shown, self.directory / "pictures", every=self.every) if len(self.shown) else None
        for callback in (history, grid):
            if callback is not None:
                callback.set_model(self.gan)
                callback.on_train_begin()
        try:
            estimator.train(
                self.gan,
                self.images,
                self.labels,
                self.directory / "estimator",
                steps=self.recipe.steps,
                every=self.every,
                generator_optimizer=self._adam_of_graph(self.recipe.learning_rates[0]),
                discriminator_optimizer=self._adam_of_graph(self.recipe.learning_rates[1]),
                on_report=report,
                verbose=self.verbose,
                **self.recipe.batches(self.seed),
            )
        finally:
            for callback in (history, grid):
                if callback is not None:
                    callback.on_train_end()

    def _check(self, done: int) -> int:
        if done > self.recipe.steps:
            raise OptionError(
                f"Expected at least the {done} steps that {self.directory} was trained for. "
                f"Received: steps={self.recipe.steps}. Give more steps, or another directory."
            )
        return done

    def _adam_of_graph(self, learning_rate: float) -> Any:
        recipe = self.recipe
        return estimator.adam(
            learning_rate, recipe.betas, recipe.epsilon, falling_over=recipe.steps if recipe.decay == "cosine" else None
        )


def _history(directory: Path) -> keras.callbacks.CSVLogger:
    path = directory / "history.csv"
    with writing(str(directory)):
        directory.mkdir(parents=True, exist_ok=True)
        path.touch()
    return keras.callbacks.CSVLogger(str(path), append=True)


def in_value_range(images: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
    """Images in [0, 1] brought to a classifier's value range."""
    low, high = value_range
    return images if (low, high) == (0, 1) else low + (high - low) * images
