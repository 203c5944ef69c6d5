"""What a GANMEX asks of a classifier, and what is left of one in a saved GANMEX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import tensorflow as tf

from tf_ganmex.errors import ModelError


class FrozenClassifier(Protocol):
    """The part of `tf_ganmex.Classifier` that GANMEX uses."""

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape (h, w, c) of an image."""

    @property
    def num_classes(self) -> int:
        """Number of logits."""

    @property
    def class_names(self) -> Sequence[str]:
        """One name per class."""

    @property
    def value_range(self) -> tuple[float, float]:
        """Lowest and highest value of a pixel."""

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digest of the weights."""

    def logits_tensor(self, x: tf.Tensor) -> tf.Tensor:
        """Return logits (n, classes), differentiable with respect to x."""


@dataclass(frozen=True)
class SavedClassifier:
    """The facts of a classifier that are saved with a GANMEX: enough to generate, not to train."""

    input_shape: tuple[int, ...]
    num_classes: int
    class_names: list[str]
    value_range: tuple[float, float]
    fingerprint: str

    def logits_tensor(self, x: tf.Tensor) -> tf.Tensor:
        """Raise ModelError: the classifier itself is not here."""
        raise _absent()

    def as_dict(self) -> dict[str, Any]:
        """Return the facts in a form that JSON can hold."""
        return asdict(self)


def facts_of(clf: FrozenClassifier) -> SavedClassifier:
    """Return the facts of a classifier that are saved with a GANMEX."""
    low, high = clf.value_range
    return SavedClassifier(
        image_shape(clf),
        int(clf.num_classes),
        [str(name) for name in clf.class_names],
        (float(low), float(high)),
        str(clf.fingerprint),
    )


def image_shape(clf: FrozenClassifier) -> tuple[int, int, int]:
    """Return (h, w, c), or raise ModelError where the classifier takes images of any size."""
    height, width, channels = clf.input_shape
    if height is None or width is None or channels is None:
        raise ModelError(
            f"Expected a classifier of one image size. Received: clf.input_shape={tuple(clf.input_shape)}. Load it "
            "with load_classifier(..., input_shape=(h, w, c))."
        )
    return int(height), int(width), int(channels)


def check_trainable(clf: FrozenClassifier) -> None:
    """Raise ModelError if only the facts of the classifier are there."""
    if isinstance(clf, SavedClassifier):
        raise _absent()


def _absent() -> ModelError:
    return ModelError(
        "Expected a classifier to train against. Received: a GANMEX that was loaded without one. "
        "Load it with load_ganmex(path, classifier=tf_ganmex.load_classifier(model))."
    )
