"""Baselines that follow the classifier as it is randomized."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tf_ganmex._backend import keras
from tf_ganmex.classifier import Classifier
from tf_ganmex.datasets import Dataset
from tf_ganmex.errors import ModelError, OptionError
from tf_ganmex.gan import GANMEX, Checkpoints, load_ganmex
from tf_ganmex.training import Recipe, in_value_range

FINE_TUNING = Recipe(steps=200, learning_rate=2e-4, decay="constant")
LEAST_SPREAD = 0.5  # of logits, the standard deviation over the classes
_SPREAD_IMAGES = 256
_CHECKPOINT_STEPS = 100


class PerStage:
    """A baseline that is made anew for the classifier of each stage of a randomization.

    Args:
        make: classifier to baseline (a callable (x, target) -> images, images, or a GANMEX).
    """

    def __init__(self, make: Callable[[Classifier], Any]):
        self.make = make


def ganmex_per_stage(
    gan: GANMEX,
    data: Dataset,
    *,
    folder: str | os.PathLike[str],
    steps: int | None = None,
    retrain: bool = False,
    recipe: Recipe | None = None,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = 0,
) -> PerStage:
    """GANMEX baselines that follow the randomized classifier: a copy of a generator, trained on at every stage.

    The papers say that GANMEX baselines change with the classifier, not how the generator followed it. Here each stage
    begins with the given generator (not with that of the stage before, so that stages do not depend on each other) and
    trains it against the stage's classifier for a stated number of steps. A stage is kept in ``folder`` under the
    fingerprint of its classifier and of all options, and is not trained again; an interrupted one goes on from its last
    checkpoint.

    Args:
        gan: a trained GANMEX, best with its discriminator: loaded without, every stage starts with a new one, which
            costs a few percent of distance and no class (MNIST, 200 steps). It is not changed.
        data: its data, of which the training images are used.
        folder: where stages are kept.
        steps: of each stage; 200 by default.
        retrain: start from new weights instead, with ``steps`` as many as a training needs.
        recipe: batches and learning rates; by default Adam with a constant 2e-4 and 32 images a batch.
        seed: of the batches; targets and interpolations are those of ``gan.options.seed``.
        callbacks: Keras callbacks of the training of every stage.
        verbose: as in ``keras.Model.fit``.

    Returns:
        A baseline for :func:`randomization_test`; with the classifier that ``gan`` was trained for it is ``gan``
        itself.

    Raises:
        ModelError: for a stand-alone GAN, which does not follow a classifier: give its ``generate`` as it is.
        OptionError: for an impossible number of steps, or retraining without one.
        CheckpointError: when a stage is made, for a folder with other networks.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, section 4 (cascading randomization).
    """
    if not isinstance(gan, GANMEX) or gan.options.is_stand_alone:
        what = "a stand-alone GAN" if isinstance(gan, GANMEX) else type(gan).__name__
        raise ModelError(
            f"Expected a GANMEX that is trained against the classifier. Received: {what}. A stand-alone GAN is the "
            "same at all stages: give it as a plain baseline, gan.generate."
        )
    if retrain and steps is None and recipe is None:
        raise OptionError("Expected steps for retraining. Received: none. A training from new weights needs thousands.")
    if gan.has_new_discriminator and not retrain:
        warnings.warn(
            "This GANMEX was saved without its discriminator: every stage starts with a new one.", stacklevel=2
        )
    recipe = recipe or FINE_TUNING
    recipe = recipe if steps is None else replace(recipe, steps=steps)
    return PerStage(_Stages(gan, data, Path(folder), recipe, retrain, seed, callbacks, verbose))


def stage_weight(gan: GANMEX, clf: Classifier, data: Dataset) -> float:
    """λ_cls against the classifier of a stage.

    That of ``gan``; times LEAST_SPREAD / spread where the spread of the logits, the standard deviation over the classes
    on the first training images, is below it. Of the networks randomized with the same norm on MNIST none is (0.9 to
    3.8); with new initial values it falls to 0.08, and 200 steps with the unchanged weight bring one in ten to the
    target.

    Args:
        gan: the GANMEX that is trained on.
        clf: the classifier of the stage.
        data: its data.
    """
    images = in_value_range(data.x_train[:_SPREAD_IMAGES], clf.value_range)
    spread = float(clf.logits(images).std(axis=1).mean())
    weight = gan.options.classification_weight
    return weight if not 0 < spread < LEAST_SPREAD else float(f"{weight * LEAST_SPREAD / spread:.3g}")


class _Stages:
    """The generator of each classifier, made at first use."""

    def __init__(
        self,
        gan: GANMEX,
        data: Dataset,
        folder: Path,
        recipe: Recipe,
        retrain: bool,
        seed: int,
        callbacks: Sequence[keras.callbacks.Callback],
        verbose: int | str,
    ):
        self.gan = gan
        self.data = data
        self.folder = folder
        self.recipe = recipe
        self.retrain = retrain
        self.seed = seed
        self.callbacks = callbacks
        self.verbose = verbose

    def __call__(self, clf: Classifier) -> Callable:
        """The baseline for a classifier."""
        if clf.fingerprint == self.gan.classifier.fingerprint:
            return self.gan.generate
        folder = self.folder / f"{clf.fingerprint}-{self._digest}"
        if (folder / "ganmex.json").exists():
            return load_ganmex(folder, clf).generate
        return self._train(clf, folder).generate

    @cached_property
    def _digest(self) -> str:
        """Of all that a stage depends on beside its classifier and the data."""
        how = [asdict(self.recipe), self.retrain, self.seed, self.gan.options.as_dict()]
        found = hashlib.blake2b(json.dumps(how, sort_keys=True).encode(), digest_size=8)
        if not self.retrain:
            for weight in (*self.gan.generator.get_weights(), *self.gan.discriminator.get_weights()):
                found.update(weight.tobytes())
        return found.hexdigest()

    def _train(self, clf: Classifier, folder: Path) -> GANMEX:
        weight = stage_weight(self.gan, clf, self.data)
        gan = GANMEX(clf, **self.gan.options.as_dict() | {"classification_weight": weight})
        recipe = self.recipe
        if not self.retrain:
            gan.generator.set_weights(self.gan.generator.get_weights())
            gan.discriminator.set_weights(self.gan.discriminator.get_weights())
        gan.compile(*recipe.optimizers(gan))
        every = next(n for n in range(min(_CHECKPOINT_STEPS, recipe.steps), 0, -1) if recipe.steps % n == 0)
        checkpoints = Checkpoints(folder / "checkpoints", every=every)
        done = checkpoints.restore(gan)
        images = in_value_range(self.data.x_train, clf.value_range)
        gan.fit(
            recipe.dataset(gan, images, self.data.y_train, self.seed),
            steps_per_epoch=every,
            initial_epoch=done // every,
            epochs=recipe.steps // every,
            callbacks=[checkpoints, *self.callbacks],
            verbose=self.verbose,
        )
        gan.save(folder, discriminator=False)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        return gan
