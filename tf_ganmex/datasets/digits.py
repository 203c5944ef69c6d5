"""scikit-learn's handwritten digits, for trying things without a download."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tf_ganmex.datasets.dataset import Dataset
from tf_ganmex.datasets.split import stratified_split

__all__ = ["load_digits"]

MAXIMUM = 16  # each pixel counts the ink in a 4x4 cell


def load_digits(*, test_fraction: float, seed: int) -> Dataset:
    """Loads 1,797 real digits of 8x8 pixels, brought to MNIST's 28x28.

    Each image is enlarged three times (bicubic, clipped to [0, 1]) and gets a border of two black pixels.

    Args:
        test_fraction: of each digit; 0.2 gives 1,437 train and 360 test images.
        seed: of the split.

    Returns:
        Images of shape (n, 28, 28, 1).

    Reference:
        Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998
        (the test part, as shipped with scikit-learn).
    """
    from sklearn.datasets import load_digits as sklearn_digits

    source = sklearn_digits()
    images = np.stack([_enlarge(image) for image in source.images / MAXIMUM])[..., np.newaxis]
    labels = source.target.astype(np.int64)
    names = [str(digit) for digit in range(10)]
    train, test = stratified_split(labels, test_fraction, seed, names)
    return Dataset(images[train], labels[train], images[test], labels[test], names, "digits")


def _enlarge(image: np.ndarray) -> np.ndarray:
    enlarged = Image.fromarray(image.astype(np.float32)).resize((24, 24), Image.Resampling.BICUBIC)
    return np.pad(np.clip(np.asarray(enlarged), 0, 1), 2)
