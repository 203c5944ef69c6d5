"""Checks of images and labels against a classifier, each with an error that says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_ganmex.errors import GanmexError, ImageError, LabelError

_TOLERANCE = 1e-5  # of the value range: what resizing, saving and float16 leave behind


def check_images(
    x: Any,
    shape: Sequence[int | None],
    value_range: tuple[float, float],
    dtype: Any = np.float32,
    *,
    name: str = "x",
    error: type[GanmexError] = ImageError,
    leading: int = 1,
) -> np.ndarray:
    """Images as a floating array, after checking type, shape, finiteness and value range.

    Args:
        x: array-like of shape (n, h, w, c), or with ``leading`` axes before (h, w, c).
        shape: the expected (h, w, c); None matches any size.
        value_range: lowest and highest value that an image may have.
        dtype: the floating type to return.
        name: what to call ``x`` in a message.
        error: the exception to raise.
        leading: number of axes before (h, w, c).

    Returns:
        The same values in ``dtype``.

    Raises:
        ImageError: or ``error``, if ``x`` is not such an array.
    """
    array = _as_array(x, name, error)
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise error(
            f"Expected {name} to hold real numbers. Received: {name}.dtype={array.dtype}. Convert it with "
            f"{name}.astype('float32')."
        )
    expected = ("n", "k")[:leading] + tuple("any" if size is None else size for size in shape)
    if array.ndim != leading + len(shape) or not _fits(array.shape[leading:], shape):
        advice = f" Add the missing axis with {name}[None]." if array.ndim == leading + len(shape) - 1 else ""
        raise error(
            f"Expected {name} of shape ({', '.join(map(str, expected))}). Received: {name}.shape={array.shape}."
            f"{advice or ' Resize or transpose the images.'}"
        )
    if array.size == 0:
        raise error(f"Expected at least one image in {name}. Received: {name}.shape={array.shape}. Pass images.")
    array = array.astype(dtype, copy=False)
    if not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(1))[:5].tolist()
        raise error(
            f"Expected finite values in {name}. Received: NaN or infinity in the images {bad}. Leave them out, or "
            "repair them."
        )
    low, high = value_range
    slack = _TOLERANCE * (high - low)
    smallest, largest = float(array.min()), float(array.max())
    if smallest < low - slack or largest > high + slack:
        raise error(
            f"Expected {name} in the classifier's value range [{low:g}, {high:g}]. Received: values from {smallest:g} "
            f"to {largest:g}. {_scaling(smallest, largest, name)}, or load the classifier with "
            "value_range=(low, high) as it was trained."
        )
    return array


def _as_array(x: Any, name: str, error: type[GanmexError]) -> np.ndarray:
    try:
        return np.asarray(x)
    except Exception as problem:  # a ragged list, a symbolic tensor
        raise error(
            f"Expected {name} to be one array. Received: {name} of type {type(x).__name__}, which is none ({problem}). "
            "Stack it with np.stack."
        ) from problem


def _scaling(smallest: float, largest: float, name: str) -> str:
    if smallest >= 0 and 1 < largest <= 255:
        return f"Scale the images, {name} / 255 for [0, 1]"
    return "Scale the images"


def _fits(sizes: Sequence[int], expected: Sequence[int | None]) -> bool:
    return all(wanted is None or size == wanted for size, wanted in zip(sizes, expected, strict=True))


def check_labels(labels: Any, count: int, classes: int, *, name: str) -> np.ndarray:
    """Class labels as int64 of shape (count,), after checking type, shape and range.

    Raises:
        LabelError: if ``labels`` is not an integer or ``count`` integers in [0, classes).
    """
    array = _as_array(labels, name, LabelError)
    if array.dtype.kind not in "iu":
        raise LabelError(
            f"Expected {name} to be an integer or {count} integers. Received: {name}={labels!r}. Pass indices of "
            "clf.class_names."
        )
    if array.ndim > 1 or (array.ndim == 1 and len(array) != count):
        raise LabelError(
            f"Expected {name} to be an integer or of shape ({count},), one per image. Received: "
            f"{name}.shape={array.shape}. Pass one class per image, or one for all."
        )
    wrong = np.unique(array[(array < 0) | (array >= classes)])
    if wrong.size:
        raise LabelError(
            f"Expected {name} from 0 to {classes - 1}. Received: {name}={wrong[:5].tolist()}. Pass indices of "
            "clf.class_names."
        )
    return np.broadcast_to(array, (count,)).astype(np.int64)


def check_different(origin: np.ndarray, target: np.ndarray) -> None:
    """LabelError where an image's origin is its target: the score delta is then zero everywhere."""
    same = np.flatnonzero(origin == target)
    if same.size:
        raise LabelError(
            f"Expected a target other than the origin. Received: origin=target={int(origin[same[0]])} for the images "
            f"{same[:5].tolist()}. Choose another target, or target=None for one-vs-all."
        )
