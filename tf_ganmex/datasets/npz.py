"""The user's own arrays in one ``.npz``."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from tf_ganmex.datasets.arrays import unit_images
from tf_ganmex.datasets.dataset import Dataset
from tf_ganmex.datasets.labels import encode_labels
from tf_ganmex.errors import DatasetError, LabelError

__all__ = ["load_npz"]

KEYS = ("x_train", "y_train", "x_test", "y_test")


def load_npz(path: Path, name: str | None = None) -> Dataset:
    """Loads ``x_train, y_train, x_test, y_test`` and, where there, ``class_names``.

    Args:
        path: the file. Images (n, h, w) or (n, h, w, c), uint8, uint16 or floating point in [0, 1]; labels as
            integers from 0, names, or one-hot. Labels with gaps are kept; so are classes without images.
        name: the dataset's name; None: the file's.

    Returns:
        The images in the file's order.

    Raises:
        DatasetError: a damaged file, missing arrays, or pickled objects (which could run code, and are not read).
        ImageError: images of the wrong shape, type or range.
        LabelError: labels that are no class numbers, or not one an image.
    """
    arrays = _read(path)
    for split in ("train", "test"):
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
        if images.shape[:1] != labels.shape[:1]:
            raise LabelError(
                f"Expected as many labels as images in the {split} split of {path}. "
                f"Received: x_{split}={images.shape}, y_{split}={labels.shape}. Drop what has no partner."
            )
    y_train, y_test, class_names = encode_labels(arrays["y_train"], arrays["y_test"], arrays.get("class_names"))
    x_train, x_test = (unit_images(key, arrays[key]) for key in ("x_train", "x_test"))
    return Dataset(x_train, y_train, x_test, y_test, class_names, name or path.stem)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in KEYS if key not in archive.files]
            if missing:
                raise DatasetError(
                    f"Expected the arrays {', '.join(KEYS)} in {path}. Received: {', '.join(archive.files)}. "
                    f"Add {', '.join(missing)}, with np.savez(path, x_train=..., ...)."
                )
            return {key: archive[key] for key in (*KEYS, "class_names") if key in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, DatasetError):
            raise
        if "allow_pickle" in str(error):
            raise DatasetError(
                f"Expected arrays of numbers in {path}. Received: pickled objects, which could run code. "
                "Save images of one size as one uint8 array, and class names as an array of strings."
            ) from error
        raise DatasetError(f"Expected an .npz file. Received: {path}: {error}. Save or copy it again.") from error
