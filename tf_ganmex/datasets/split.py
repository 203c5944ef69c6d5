"""A test split for data that comes without one."""

from __future__ import annotations

import math

import numpy as np

from tf_ganmex.errors import DatasetError

__all__ = ["stratified_split"]


def stratified_split(
    labels: np.ndarray, test_fraction: float, seed: int, class_names: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the same share of every class for testing.

    Args:
        labels: int64, shape (n,).
        test_fraction: in (0, 1); ``ceil(n * test_fraction)`` images are drawn, at least one of every class, and at
            least one of every class is left.
        seed: of the draw.
        class_names: for the error's message.

    Returns:
        Indices of the train and of the test images, ascending.

    Raises:
        DatasetError: a class of one image.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        lonely = class_names[classes[counts.argmin()]]
        raise DatasetError(
            "Expected at least two images of every class, one to train and one to test. "
            f"Received: 1 of class {lonely!r}. Add images, or bring train and test folders."
        )
    rng = np.random.default_rng(seed)
    sizes = _test_sizes(counts, test_fraction)
    drawn = [
        rng.permutation(np.flatnonzero(labels == label))[:size] for label, size in zip(classes, sizes, strict=True)
    ]
    test = np.sort(np.concatenate(drawn))
    return np.setdiff1d(np.arange(len(labels)), test), test


def _test_sizes(counts: np.ndarray, test_fraction: float) -> np.ndarray:
    """Largest remainders: rounding each class alone would miss the total."""
    exact = counts * test_fraction
    sizes = np.floor(exact).astype(int)
    missing = math.ceil(round(counts.sum() * test_fraction, 6)) - sizes.sum()
    largest = np.argsort(sizes - exact, kind="stable")[:missing]
    sizes[largest] += 1
    return np.clip(sizes, 1, counts - 1)
