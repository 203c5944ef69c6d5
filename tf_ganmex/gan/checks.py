"""Checks of what callers hand to a GANMEX, each with an error that says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex.errors import ImageError, LabelError, ModelError, OptionError

_CLASSIFIER_ATTRIBUTES = ("input_shape", "num_classes", "class_names", "value_range", "fingerprint", "logits_tensor")
# Of the value range: what resizing and float16 files may overshoot it by.
_RANGE_SLACK = 1e-3


def check_classifier(clf: Any) -> None:
    """Raise ModelError unless `clf` has what GANMEX needs of a classifier."""
    missing = [name for name in _CLASSIFIER_ATTRIBUTES if not hasattr(clf, name)]
    if missing:
        raise ModelError(
            f"Expected a classifier from tf_ganmex.load_classifier. Received: clf of type {type(clf).__name__} "
            f"without {', '.join(missing)}. Pass tf_ganmex.load_classifier(model)."
        )


def check_epoch_length(data: tf.data.Dataset, steps_per_epoch: int | None) -> None:
    """Raise OptionError for an endless dataset without `steps_per_epoch`, on which `fit` would never return."""
    if steps_per_epoch is None and int(data.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise OptionError(
            "Expected steps_per_epoch with a dataset that never ends. Received: steps_per_epoch=None. "
            "Pass, for example, fit(gan.dataset(x, y), steps_per_epoch=500, epochs=10)."
        )


def check_batch_size(batch_size: int, name: str = "batch_size") -> None:
    """Raise OptionError unless `batch_size` is an integer of at least 1."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise OptionError(f"Expected {name} to be an integer >= 1. Received: {name}={batch_size!r}. Try 32 images.")


def check_images(
    x: Any, input_shape: tuple[int, ...], value_range: tuple[float, float], *, empty: bool = False
) -> np.ndarray:
    """Return images (n, h, w, c) as float32, or raise ImageError; `empty` allows n = 0."""
    x = np.asarray(x)
    low, high = value_range
    if x.ndim != 4 or x.shape[1:] != tuple(input_shape) or (len(x) == 0 and not empty):
        raise ImageError(
            f"Expected images of shape (n, {', '.join(map(str, input_shape))}). Received: x of shape {x.shape}. "
            "Resize them; for one image pass x[None], for a missing channel axis x[..., None]."
        )
    if not np.issubdtype(x.dtype, np.floating):
        raise ImageError(
            f"Expected floating-point images in [{low:g}, {high:g}]. Received: x of dtype {x.dtype}. "
            "For uint8 images and the range [0, 1] pass x / 255."
        )
    if len(x):
        _check_values(float(x.min()), float(x.max()), low, high)
    return x.astype(np.float32, copy=False)


def _check_values(smallest: float, largest: float, low: float, high: float) -> None:
    slack = _RANGE_SLACK * (high - low)
    # Not written as "outside": NaN must fail too.
    if not (smallest >= low - slack and largest <= high + slack):
        raise ImageError(
            f"Expected image values in [{low:g}, {high:g}], the classifier's value_range. "
            f"Received: values from {smallest:g} to {largest:g}. Rescale or clip the images, or load the classifier "
            "with the value_range that it was trained on."
        )


def check_labels(y: Any, n: int, num_classes: int) -> np.ndarray:
    """Return labels (n,) as int32, or raise LabelError."""
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        # As keras.datasets.cifar10 has them.
        y = y[:, 0]
    if y.shape != (n,) or not np.issubdtype(y.dtype, np.integer):
        raise LabelError(
            f"Expected integer labels of shape ({n},), one per image. "
            f"Received: y of shape {y.shape}, dtype {y.dtype}. Turn one-hot rows into integers with y.argmax(-1)."
        )
    _check_classes(y, num_classes, "labels")
    return y.astype(np.int32)


def check_targets(target: Any, n: int, num_classes: int) -> np.ndarray:
    """Return targets (n,) as int32 from one class or n of them, or raise LabelError."""
    target = np.asarray(target)
    if target.shape not in ((), (n,)) or (target.size and not np.issubdtype(target.dtype, np.integer)):
        raise LabelError(
            f"Expected target to be one integer class, or {n} of them. "
            f"Received: target of shape {target.shape}, dtype {target.dtype}. Turn one-hot rows into integers."
        )
    _check_classes(target, num_classes, "targets")
    return np.broadcast_to(target, (n,)).astype(np.int32)


def _check_classes(labels: np.ndarray, num_classes: int, what: str) -> None:
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise LabelError(
            f"Expected {what} in 0..{num_classes - 1}, the classifier's classes. "
            f"Received: {what} from {labels.min()} to {labels.max()}. Use positions in clf.class_names."
        )
