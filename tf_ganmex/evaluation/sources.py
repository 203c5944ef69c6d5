"""The baselines of an evaluation, each with a fingerprint by which what was computed with it is found again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tf_ganmex import baselines
from tf_ganmex.attributions.problem import check_baseline, pose
from tf_ganmex.baselines import RandomSample
from tf_ganmex.classifier import Classifier
from tf_ganmex.datasets import Dataset
from tf_ganmex.errors import BaselineError, OptionError
from tf_ganmex.evaluation.options import DEFAULT_BASELINES, Options
from tf_ganmex.evaluation.questions import Questions
from tf_ganmex.gan import GANMEX
from tf_ganmex.training import in_value_range

GANMEX_NAME = "ganmex"
NAMES = ("zero", "maximum", "blurred", "nearest", "random_sample", GANMEX_NAME)


def digest(*parts: Any) -> str:
    """A short hash of arrays, strings and numbers."""
    found = hashlib.blake2b(digest_size=12)
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.shape}{part.dtype}".encode())
            found.update(np.ascontiguousarray(part).data)
        else:
            found.update(repr(part).encode())
        found.update(b"|")
    return found.hexdigest()


@dataclass(frozen=True, eq=False)
class Source:
    """One baseline.

    Attributes:
        name: in the table.
        make: (x, target) -> images.
        fingerprint: what tells it from others; None: its images do.
        of_training: whether its images are training images of the target.
        of_another: whether it is a GANMEX that was trained for another classifier.
    """

    name: str
    make: Callable[[np.ndarray, np.ndarray], np.ndarray]
    fingerprint: str | None
    of_training: bool = False
    of_another: bool = False

    def images(self, x: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Baselines of images (n, h, w, c); BaselineError unless there is one for each, of its shape."""
        made = np.asarray(self.make(x, target))
        if made.shape != x.shape:
            raise BaselineError(
                f"Expected the baseline {self.name!r} to make images of shape {x.shape}, one for each image. "
                f"Received: shape={made.shape}. Return as many as x, in their order."
            )
        return made


class TrainingImages:
    """The training images in the classifier's value range, and the samples that are drawn from them."""

    def __init__(self, clf: Classifier, data: Dataset, seed: int):
        self.images = in_value_range(data.x_train, clf.value_range)
        self.labels = data.y_train
        self.seed = seed

    @cached_property
    def fingerprint(self) -> str:
        """Of the images and labels."""
        return digest(self.images, self.labels)

    @cached_property
    def samples(self) -> RandomSample:
        """Random images of the target class: the samples of expected gradients."""
        return baselines.random_sample(self.images, self.labels, seed=self.seed)

    @cached_property
    def others(self) -> RandomSample:
        """Another draw of them: what baselines are compared with as a whole."""
        return baselines.random_sample(self.images, self.labels, seed=self.seed + 1)

    def check_targets(self, target: np.ndarray) -> None:
        """BaselineError if a target has no training image."""
        self.samples.rows_of(np.broadcast_to(self.images[0], (len(target), *self.images.shape[1:])), target)


def find_sources(clf: Classifier, questions: Questions, training: TrainingImages, options: Options) -> list[Source]:
    """The baselines chosen by name, or given by the names that they shall have.

    Raises:
        OptionError: for an unknown name, or ``"ganmex"`` without a GANMEX.
        BaselineError: for a baseline that does not fit the images.
    """
    chosen, ganmex = options.baselines, options.ganmex
    if chosen is None:
        chosen = DEFAULT_BASELINES if ganmex is None else (*DEFAULT_BASELINES, GANMEX_NAME)
    if not isinstance(chosen, Mapping):
        chosen = {name: name for name in chosen}
    found = []
    for name, given in chosen.items():
        if not isinstance(given, str):
            found.append(_given(clf, questions, name, given))
        elif given == GANMEX_NAME:
            found.append(_ganmex(clf, questions, name, ganmex))
        else:
            found.append(_named(clf, training, name, given))
    return found


def _named(clf: Classifier, training: TrainingImages, name: str, kind: str) -> Source:
    if kind in ("zero", "maximum"):
        constant = baselines.zero() if kind == "zero" else baselines.maximum()
        return Source(name, constant.in_value_range(clf.value_range), digest(kind, clf.value_range))
    if kind == "blurred":
        return Source(name, baselines.blurred(), kind)
    if kind == "nearest":
        nearest = baselines.nearest(training.images, training.labels)
        return Source(name, nearest, digest(kind, training.fingerprint), of_training=True)
    if kind == "random_sample":
        return Source(name, training.samples, digest(kind, training.fingerprint, training.seed), of_training=True)
    raise OptionError(
        f"Expected baselines among {', '.join(NAMES)}. Received: {kind!r}. Give others in a dict {{name: baseline}}."
    )


def _ganmex(clf: Classifier, questions: Questions, name: str, ganmex: Any) -> Source:
    model = getattr(ganmex, "__self__", ganmex)  # of gan.generate
    if not isinstance(model, GANMEX):
        raise OptionError(
            f"Expected ganmex, a GANMEX model, for the baseline {GANMEX_NAME!r}. Received: {type(ganmex).__name__}. "
            "Pass gx.load_ganmex(path, clf), or leave the baseline out."
        )
    theirs = model.classifier
    made_for = tuple(theirs.input_shape), theirs.num_classes, tuple(theirs.value_range)
    asked = questions.pixels.shape[1:], clf.num_classes, tuple(clf.value_range)
    if made_for != asked:
        raise BaselineError(
            f"Expected the GANMEX {name!r} to be for images, classes and value range {asked}. Received: one trained "
            f"for {made_for}. Pass one that was trained for this classifier."
        )
    return Source(
        name,
        model.generate,
        digest(model.options, *model.generator.get_weights()),
        of_another=bool(clf.fingerprint) and theirs.fingerprint != clf.fingerprint,
    )


def _given(clf: Classifier, questions: Questions, name: str, baseline: Any) -> Source:
    """A baseline of the user's own: of a callable, its images alone tell it from others."""
    if isinstance(getattr(baseline, "__self__", baseline), GANMEX):
        return _ganmex(clf, questions, name, baseline)
    first = questions[:1]
    checked = check_baseline(pose(clf, first.x, first.origin, first.target, "logit"), baseline)
    if callable(checked):
        return Source(name, checked, None)
    if checked.shape[1] != 1:
        raise BaselineError(
            f"Expected one image as the baseline {name!r}. Received: {checked.shape[1]}. Pass a callable."
        )
    image = checked[0, 0]
    return Source(name, lambda x, target: np.broadcast_to(image, x.shape), digest(image))
