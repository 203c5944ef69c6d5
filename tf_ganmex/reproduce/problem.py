"""What is reproduced: the classifier, the GANMEX and the data, and how they differ from the paper's."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import tf_ganmex
from tf_ganmex._backend import keras
from tf_ganmex.classifier import Classifier, load_classifier
from tf_ganmex.datasets import Dataset, load_dataset
from tf_ganmex.errors import OptionError
from tf_ganmex.evaluation.questions import check_classes
from tf_ganmex.gan import GANMEX, load_ganmex
from tf_ganmex.reproduce.published import DATASETS, GENERATOR
from tf_ganmex.training import in_value_range

JPEG = "_jpeg"  # at the end of a dataset's name: the same images, encoded again
_AT_ONCE = 2048  # images


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What the user asked for, in a form that other processes can be given.

    Attributes:
        dataset: a name or a path.
        models: the folder with classifier.keras and ganmex/.
        keep: where what is computed is kept.
        data_dir: where prepared data lies.
        image_size: (height, width) to bring images to; None: what the classifier was trained on.
        classes: these alone, in this order; None: all.
        limit: how many test images; None: all.
        steps: of integrated and expected gradients.
        monotonicity_images: how many images monotonicity is measured on; None: all.
        monotonicity_draws: values drawn for each feature.
        stage_steps: that GANMEX is trained on for at each stage of the randomization.
        stand_alone_steps: that the stand-alone GAN of the randomization is trained for.
        scan_steps: that each generator of the scan is trained for.
        seed: of the order of images, targets, samples and draws.
        jobs: processes.
        command: what was typed, for the notes.
    """

    dataset: str
    models: Path
    keep: Path
    data_dir: Path | None = None
    image_size: tuple[int, int] | None = None
    classes: tuple[str, ...] | None = None
    limit: int | None = None
    steps: int = 200
    monotonicity_images: int | None = 1000
    monotonicity_draws: int = 100
    stage_steps: int = 200
    stand_alone_steps: int = 3000
    scan_steps: int = 2000
    seed: int = 0
    jobs: int = 1
    command: str = "ganmex reproduce"


@dataclass(frozen=True, eq=False)
class Problem:
    """What is explained, and with what."""

    setup: Setup
    clf: Classifier
    ganmex: GANMEX
    data: Dataset

    @property
    def name(self) -> str:
        """Of the dataset, as :mod:`tf_ganmex.reproduce.published` knows it."""
        return self.data.name.removesuffix(JPEG)

    def accuracy(self) -> float:
        """Of the classifier on all test images."""
        parts = range(0, len(self.data.x_test), _AT_ONCE)
        hits = [
            self.clf.predict(in_value_range(self.data.x_test[start : start + _AT_ONCE], self.clf.value_range))
            == self.data.y_test[start : start + _AT_ONCE]
            for start in parts
        ]
        return float(np.concatenate(hits).mean())


def open_problem(setup: Setup) -> Problem:
    """Reads the models and the data.

    Raises:
        OptionError: where there are no models.
        GanmexError: for data and models that do not fit.
    """
    classifier, generator = setup.models / "classifier.keras", setup.models / "ganmex"
    missing = [path for path in (classifier, generator / "ganmex.json") if not path.is_file()]
    if missing:
        raise OptionError(
            f"Expected models of {setup.dataset} in {setup.models}. Received: no {missing[0]}. Train them with "
            "ganmex train-classifier and ganmex train, or name their folder with --models DIR."
        )
    size = setup.image_size or _trained_size(setup.models)
    classes = list(setup.classes) if setup.classes else None
    data = load_dataset(setup.dataset, data_dir=setup.data_dir, image_size=size, classes=classes)
    explained = _facts(generator / "ganmex.json").get("classifier", {})
    low, high = explained.get("value_range", (0.0, 1.0))
    clf = load_classifier(classifier, class_names=data.class_names, value_range=(low, high))
    check_classes(clf, data)
    return Problem(setup, clf, load_ganmex(generator, clf), data)


def setup_notes(problem: Problem) -> list[str]:
    """How models and data differ from the paper's, as lines of markdown without dashes."""
    gan, clf, published = problem.ganmex, problem.clf, DATASETS.get(problem.name)
    accuracy, steps = problem.accuracy(), _facts(problem.setup.models / "ganmex" / "ganmex.json").get("step")
    options = asdict(gan.options)
    width = f"{options['filters']} filters, {options['blocks']} blocks"
    weights = ", ".join(f"{name} {options[f'{name}_weight']:g}" for name in _WEIGHTS)
    trained = "" if steps is None else f", trained for {steps:,} steps"
    notes = [f"Classifier: {clf.num_classes} classes, accuracy {accuracy:.2%} on {len(problem.data.x_test):,} images."]
    notes.append(f"GANMEX: generator of {width}{trained}; weights of the losses: {weights}.")
    if published is not None:
        notes[0] += f" Paper: {published.accuracy:.1%}."
        theirs = f"{GENERATOR['filters']} filters, {GENERATOR['blocks']} blocks (TF-GAN's StarGAN)"
        notes[1] += f" Paper: {theirs}, {published.steps:,} steps; the weights for this dataset are not published."
        if problem.data.name.endswith(JPEG):
            notes.append(f"The images are those of {published.title}, encoded as JPEG again.")
        images = len(problem.data.x_test)
        if (images, clf.num_classes) != (published.test_images, published.classes):
            notes.append(
                f"This is not the paper's {published.title}, which has {published.test_images:,} test images of "
                f"{published.classes} classes: the published numbers are those of other data."
            )
    notes.append(
        f"`{problem.setup.command}`; seed {problem.setup.seed}; {os.cpu_count()} cores, tf-ganmex "
        f"{tf_ganmex.__version__}, TensorFlow {tf.__version__}, Keras {keras.__version__}."
    )
    return notes


_WEIGHTS = ("classification", "similarity", "reconstruction")


def _trained_size(models: Path) -> tuple[int, int] | None:
    """The size that the classifier's training brought images to, where it is written beside it."""
    size = _facts(models / "classifier.json").get("settings", {}).get("image_size")
    return None if not size else (int(size[0]), int(size[-1]))


def _facts(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
