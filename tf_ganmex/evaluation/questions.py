"""Which images are evaluated, and what is asked of each: why its class and not which other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tf_ganmex.attributions.problem import check_count, row_slices
from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.checks import check_labels
from tf_ganmex.datasets import Dataset
from tf_ganmex.errors import LabelError, OptionError
from tf_ganmex.evaluation.options import Options
from tf_ganmex.training import in_value_range

RANDOM, ALL = "random", "all"
_BLOCK_FEATURES = 2**20
_LARGEST_BLOCK = 64


@dataclass(frozen=True, eq=False)
class Questions:
    """One row a question: an image, the class that the classifier gives it, and the class it is compared with.

    Attributes:
        pixels: images (m, h, w, c) in the classifier's value range.
        which: of these, the image of each row (n,); the rows of an image follow one another.
        origin: predicted classes (n,).
        target: classes compared with (n,).
        image: the place of each row's image in the test set (n,).
        misclassified: how many images were left out because the classifier is wrong about them.
        of_target: how many were left out because they are of the target class.
    """

    pixels: np.ndarray
    which: np.ndarray
    origin: np.ndarray
    target: np.ndarray
    image: np.ndarray
    misclassified: int
    of_target: int

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, rows: slice) -> Questions:
        which, origin, target, image = self.which[rows], self.origin[rows], self.target[rows], self.image[rows]
        return replace(self, which=which, origin=origin, target=target, image=image)

    @property
    def x(self) -> np.ndarray:
        """The image of every row (n, h, w, c)."""
        return self.pixels[self.which]

    @property
    def starts(self) -> np.ndarray:
        """The first row of every image."""
        return _starts(self.image)

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.starts)

    @property
    def drawn(self) -> int:
        """How many images were drawn, those that were left out included."""
        return self.images + self.misclassified + self.of_target

    def rows_of_first(self, images: int) -> int:
        """How many rows the first ``images`` images have."""
        starts = self.starts
        return int(starts[images]) if images < len(starts) else len(self)

    def per_image(self, values: np.ndarray) -> np.ndarray:
        """Means over the questions of each image of values (m, ...) of the first m rows; NaN is left out of a mean."""
        return per_image(values, self.image)

    def blocks(self, size: int | None) -> Iterator[slice]:
        """Slices of about ``size`` rows (None: what the size of an image allows) with whole images in each."""
        if size is None:
            size = min(_LARGEST_BLOCK, max(1, _BLOCK_FEATURES // self.pixels[0].size))
        together = len(self) // self.images  # as many for every image: one, or one for each other class
        return row_slices(len(self), max(1, check_count(size, "block_size") // together) * together)


def per_image(values: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Means over the rows of each image of values (m, ...) of the first m rows; NaN is left out of a mean."""
    starts = _starts(image)
    starts = starts[starts < len(values)]
    known = ~np.isnan(values)
    counts = np.add.reduceat(known.astype(np.int64), starts)
    sums = np.add.reduceat(np.where(known, values, 0).astype(np.float64), starts)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def _starts(image: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.append(True, image[1:] != image[:-1]))


def ask(clf: Classifier, data: Dataset, options: Options) -> Questions:
    """Chooses test images in a seeded random order, of which those for a smaller limit are the first, and targets.

    The random target of a test image depends on the seed and its place in the test set alone.

    Raises:
        LabelError: for a dataset with other classes than the classifier's, or a target that is none of them.
        OptionError: if no image is left.
    """
    clf.check_images(in_value_range(data.x_test[:1], clf.value_range))
    check_classes(clf, data)
    count = len(data.x_test)
    offsets = np.random.default_rng(options.seed).integers(1, clf.num_classes, count)
    image = np.random.default_rng([options.seed, 1]).permutation(count)[: options.limit]
    x = in_value_range(data.x_test[image], clf.value_range)
    origin = clf.predict(x)
    right = origin == data.y_test[image]
    kept = np.ones_like(right) if options.keep_misclassified else right
    misclassified = int((~kept).sum())
    of_target = np.zeros_like(kept)
    if options.targets == ALL:
        target = (origin[:, None] + np.arange(1, clf.num_classes)) % clf.num_classes
    elif options.targets == RANDOM:
        target = ((origin + offsets[image]) % clf.num_classes)[:, None]
    else:
        number = _class_number(options.targets, clf.class_names, data.class_names)
        target = check_labels(number, len(x), clf.num_classes, name="targets")[:, None]
        of_target = kept & (origin == target[:, 0])
    asked = np.flatnonzero(kept & ~of_target)
    if len(asked) == 0:
        raise OptionError(
            f"Expected images to evaluate. Received: none, for {misclassified} are mis-classified and "
            f"{of_target.sum()} of the target class. Pass a larger limit, or keep_misclassified=True; "
            "or see with ganmex test-classifier whether the labels, the order of the classes and the value range fit."
        )
    which = np.repeat(asked, target.shape[1])
    return Questions(
        x, which, origin[which], target[asked].reshape(-1), image[which], misclassified, int(of_target.sum())
    )


def check_classes(clf: Classifier, data: Dataset) -> None:
    """LabelError unless the labels of ``data`` can be the classes of ``clf``."""
    if data.num_classes != clf.num_classes:
        raise LabelError(
            f"Expected data of the classifier's {clf.num_classes} classes. Received: {data.name} of "
            f"{data.num_classes} classes. Evaluate the classifier on the data that it was trained for."
        )


def _class_number(label: Any, names: Sequence[str], others: Sequence[str]) -> Any:
    """The number of a class given by either name, or as text."""
    if not isinstance(label, str):
        return label
    for known in (names, others):
        if label in known:
            return list(known).index(label)
    if label.isdecimal():
        return int(label)
    raise LabelError(
        f"Expected targets to be {RANDOM!r}, {ALL!r}, or one of the classes {', '.join(others[:20])}. "
        f"Received: targets={label!r}."
    )
