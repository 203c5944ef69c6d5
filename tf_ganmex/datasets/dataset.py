"""What every loader returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tf_ganmex.errors import DatasetError, ImageError, LabelError

__all__ = ["Dataset"]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and labels of a classification problem, in a train and a test split.

    Args:
        x_train: images, float32 in [0, 1], channels last, shape (n, h, w, c).
        y_train: class labels, int64 in 0 .. len(class_names) - 1, shape (n,).
        x_test: as ``x_train``, of the same h, w and c.
        y_test: as ``y_train``.
        class_names: one name a class; label ``i`` is called ``class_names[i]``.
        name: what the dataset is called in reports.
        masks_train: for data that is composed of an object and a scene: where the object is, bool, shape (n, h, w, 1).
        masks_test: likewise.

    Raises:
        ImageError: images or masks of another shape, type or value range.
        LabelError: labels of another shape, type or range.
        DatasetError: fewer than two class names, or a name twice.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: list[str]
    name: str = "dataset"
    masks_train: np.ndarray | None = None
    masks_test: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Checks what the rest of the package relies on."""
        _check_class_names(self.class_names)
        for split in ("train", "test"):
            images, labels = getattr(self, f"x_{split}"), getattr(self, f"y_{split}")
            _check_images(f"x_{split}", images)
            _check_labels(f"y_{split}", labels, len(images), len(self.class_names))
            _check_masks(f"masks_{split}", getattr(self, f"masks_{split}"), (*images.shape[:3], 1))
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise ImageError(
                "Expected train and test images of one shape. "
                f"Received: x_train={self.x_train.shape}, x_test={self.x_test.shape}. Resize one of them."
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.x_train.shape[1:]
        return height, width, channels

    @property
    def num_classes(self) -> int:
        """The number of classes, those without an image included."""
        return len(self.class_names)

    def only(self, class_names: Sequence[str]) -> Dataset:
        """The images of some classes, which are numbered anew in the order given.

        Args:
            class_names: two or more of the dataset's classes.

        Raises:
            DatasetError: fewer than two classes, one that is not there, or one twice.
        """
        unknown = [name for name in class_names if name not in self.class_names]
        if unknown:
            raise DatasetError(f"Expected classes among {self.class_names}. Received: {unknown[0]!r}. Choose of those.")
        names = list(class_names)
        _check_class_names(names)
        numbers = np.full(len(self.class_names), -1, np.int64)
        numbers[[self.class_names.index(name) for name in names]] = np.arange(len(names))
        changes: dict[str, Any] = {"class_names": names}
        for split in ("train", "test"):
            labels = numbers[getattr(self, f"y_{split}")]
            rows = labels >= 0
            masks = getattr(self, f"masks_{split}")
            changes[f"x_{split}"] = getattr(self, f"x_{split}")[rows]
            changes[f"y_{split}"] = labels[rows]
            changes[f"masks_{split}"] = None if masks is None else masks[rows]
        return replace(self, **changes)

    def __repr__(self) -> str:
        """Sizes instead of pixels."""
        return (
            f"Dataset({self.name!r}, {len(self.x_train)} train and {len(self.x_test)} test images "
            f"of shape {self.image_shape}, {self.num_classes} classes)"
        )


def _check_class_names(names: list[str]) -> None:
    if len(names) < 2:
        raise DatasetError(
            f"Expected at least two classes. Received: class_names={names}. "
            "Why one class and not another needs another: add images of a second class."
        )
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        raise DatasetError(f"Expected class names without repeats. Received: {repeated[0]!r} twice. Rename one.")


def _check_images(key: str, images: np.ndarray) -> None:
    if images.ndim != 4 or images.dtype != np.float32 or 0 in images.shape:
        raise ImageError(
            f"Expected {key} of shape (n, h, w, c), float32, without empty axes. "
            f"Received: shape={images.shape}, dtype={images.dtype}. Reshape or convert it."
        )
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= 1):  # written so that NaN fails too
        raise ImageError(
            f"Expected {key} in [0, 1] without NaN. Received: minimum={low}, maximum={high}. Scale the images."
        )


def _check_masks(key: str, masks: np.ndarray | None, shape: tuple[int, ...]) -> None:
    if masks is not None and (masks.shape != shape or masks.dtype != np.bool_):
        raise ImageError(
            f"Expected {key} of shape {shape}, bool, one mask an image. "
            f"Received: shape={masks.shape}, dtype={masks.dtype}. Resize or convert them, or leave them out."
        )


def _check_labels(key: str, labels: np.ndarray, images: int, classes: int) -> None:
    if labels.shape != (images,) or labels.dtype != np.int64:
        raise LabelError(
            f"Expected {key} of shape ({images},), int64, one label an image. "
            f"Received: shape={labels.shape}, dtype={labels.dtype}. Convert it, or drop what has no partner."
        )
    low, high = labels.min(), labels.max()
    if low < 0 or high >= classes:
        raise LabelError(f"Expected {key} in 0 .. {classes - 1}. Received: {low} .. {high}. Number the classes from 0.")
