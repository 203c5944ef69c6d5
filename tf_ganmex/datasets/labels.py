"""Class labels as they come in files, brought to integers and names."""

from __future__ import annotations

import re

import numpy as np

from tf_ganmex.errors import DatasetError, LabelError

__all__ = ["encode_labels", "natural_key"]

MAX_CLASSES = 100_000  # a label beyond it is an id or a hash, and would ask for as many names


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sorts "2" before "10", and "b2" before "b10"."""
    pieces: list[str | int] = list(re.split(r"(\d+)", name.casefold()))
    pieces[1::2] = [int(digits) for digits in pieces[1::2]]
    return pieces, name


def encode_labels(
    y_train: np.ndarray, y_test: np.ndarray, class_names: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Brings labels to class numbers.

    Args:
        y_train: shape (n,) or (n, 1), integers from 0 or names; or (n, k), one-hot.
        y_test: likewise, of the same form.
        class_names: shape (k,), strings or integers; None: the names among the labels in natural order, or
            "0", "1", ... up to the largest label.

    Returns:
        ``y_train`` and ``y_test`` as int64, shape (n,), and the class names.

    Raises:
        LabelError: labels that are neither, or a test label that is not among the train labels.
        DatasetError: class names that do not fit the labels, or a single class.
    """
    names = None if class_names is None else _parse_names(class_names)
    y_train, y_test = _flatten("y_train", y_train), _flatten("y_test", y_test)
    if y_train.dtype.kind in "US" or y_test.dtype.kind in "US":
        train, test, names = _encode_names(y_train, y_test, names)
        width = None
    else:
        train, test = _integers("y_train", y_train), _integers("y_test", y_test)
        width = _one_hot_width(y_train, y_test)
    _check_classes(train, test)
    count = width or int(train.max()) + 1
    names = [str(label) for label in range(count)] if names is None else names
    if len(names) < count or (width and len(names) != width):
        raise DatasetError(
            f"Expected one class name for each of the {count} classes. Received: {len(names)} class_names. "
            "Give label i the name class_names[i]."
        )
    return train, test, names


def _flatten(key: str, labels: np.ndarray) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim not in (1, 2) or labels.dtype.kind not in "biufUS" or labels.size == 0:
        raise LabelError(
            f"Expected {key} of shape (n,) or (n, 1) with class numbers or names, or (n, k) one-hot. "
            f"Received: shape={labels.shape}, dtype={labels.dtype}. Convert it."
        )
    return labels


def _integers(key: str, labels: np.ndarray) -> np.ndarray:
    if labels.ndim == 2:
        return _from_one_hot(key, labels)
    with np.errstate(invalid="ignore"):
        integers = labels.astype(np.int64)
    wrong = (integers != labels) | (integers < 0) | (integers >= MAX_CLASSES)
    if wrong.any():
        raise LabelError(
            f"Expected {key} to hold class numbers 0, 1, 2, ... below {MAX_CLASSES}. "
            f"Received: {key}[{wrong.argmax()}]={labels[wrong.argmax()]}. Number the classes from 0."
        )
    return integers


def _from_one_hot(key: str, labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind in "US":
        raise LabelError(f"Expected {key} with one name an image. Received: shape={labels.shape}. Flatten it.")
    wrong = (np.count_nonzero(labels, axis=1) != 1) | (labels.max(axis=1) != 1)
    if wrong.any():
        raise LabelError(
            f"Expected {key} of shape {labels.shape} to be one-hot, a single 1 in each row. "
            f"Received: {key}[{wrong.argmax()}]={labels[wrong.argmax()]}. Give class numbers of shape (n,) instead."
        )
    return labels.argmax(axis=1).astype(np.int64)


def _one_hot_width(y_train: np.ndarray, y_test: np.ndarray) -> int | None:
    """The number of classes where the labels themselves say it."""
    widths = {labels.shape[1] for labels in (y_train, y_test) if labels.ndim == 2}
    if len(widths) > 1:
        raise LabelError(
            "Expected one-hot labels of one width. "
            f"Received: y_train={y_train.shape}, y_test={y_test.shape}. Encode both with all classes."
        )
    return widths.pop() if widths else None


def _encode_names(
    y_train: np.ndarray, y_test: np.ndarray, names: list[str] | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    if y_train.dtype.kind not in "US" or y_test.dtype.kind not in "US":
        raise LabelError(
            "Expected y_train and y_test both of names or both of numbers. "
            f"Received: y_train of {y_train.dtype}, y_test of {y_test.dtype}. Convert one."
        )
    train, test = _strings("y_train", y_train), _strings("y_test", y_test)
    names = sorted(set(train) | set(test), key=natural_key) if names is None else names
    unknown = sorted((set(train) | set(test)) - set(names), key=natural_key)
    if unknown:
        raise LabelError(f"Expected labels among class_names={names}. Received: {unknown[0]!r}. Add it to class_names.")
    numbers = {name: number for number, name in enumerate(names)}
    encoded = [np.array([numbers[label] for label in labels], np.int64) for labels in (train, test)]
    return encoded[0], encoded[1], names


def _strings(key: str, labels: np.ndarray) -> list[str]:
    if labels.ndim != 1:
        raise LabelError(f"Expected {key} with one name an image. Received: shape={labels.shape}. Flatten it.")
    return [label.decode(errors="replace") if isinstance(label, bytes) else label for label in labels.tolist()]


def _parse_names(class_names: np.ndarray) -> list[str]:
    if class_names.ndim != 1 or class_names.dtype.kind not in "iuUS":
        raise DatasetError(
            "Expected class_names of shape (k,) with strings. "
            f"Received: shape={class_names.shape}, dtype={class_names.dtype}. Give one string a class."
        )
    if class_names.dtype.kind in "iu":
        return [str(name) for name in class_names.tolist()]
    return _strings("class_names", class_names)


def _check_classes(train: np.ndarray, test: np.ndarray) -> None:
    known = np.unique(train)
    if len(known) < 2:
        raise DatasetError(
            f"Expected images of at least two classes to train on. Received: only label {known[0]}. "
            "Why one class and not another needs another: add images of a second class."
        )
    unknown = np.setdiff1d(test, known)
    if len(unknown):
        raise LabelError(
            "Expected every test label among the train labels. "
            f"Received: label {unknown[0]} in y_test only. Add such images to the train split, or drop them."
        )
