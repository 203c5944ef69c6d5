"""Datasets by name, through TensorFlow Datasets or a local copy."""

from __future__ import annotations

import os
import re
import threading
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from tf_ganmex.datasets.arrays import unit_images
from tf_ganmex.datasets.dataset import Dataset
from tf_ganmex.datasets.labels import natural_key
from tf_ganmex.datasets.npz import load_npz
from tf_ganmex.errors import DatasetError

__all__ = ["DOWNLOADS", "load_named"]

# One file each of what TensorFlow Datasets would download: asked for only to see whether the host answers.
DOWNLOADS = {
    "mnist": "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz",
    "svhn_cropped": "http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
    "cifar10": "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
}
PROBE_SECONDS = 4.0


def load_named(name: str, data_dir: str | os.PathLike[str] | None) -> Dataset:
    """Loads a dataset of TensorFlow Datasets, downloading it the first time.

    Args:
        name: one of ``DOWNLOADS``.
        data_dir: where TensorFlow Datasets keeps its data (None: its default), or a folder with ``NAME.npz``, which
            is then used instead.

    Returns:
        The dataset's own train and test split; uint8 pixels divided by 255.

    Raises:
        DatasetError: it is not in ``data_dir`` and cannot be downloaded. TensorFlow Datasets would try again for
            minutes; this fails within seconds.
    """
    folder = None if data_dir is None else Path(data_dir).expanduser()
    if folder is not None and folder.exists() and not folder.is_dir():
        raise DatasetError(
            f"Expected data_dir to be a folder. Received: data_dir={str(folder)!r}. "
            "Pass a file as load_dataset(path) instead."
        )
    if folder is not None and (folder / f"{name}.npz").is_file():
        return load_npz(folder / f"{name}.npz", name)
    return _read_splits(name, _builder(name, folder))


def _builder(name: str, folder: Path | None) -> Any:
    """A builder whose data is prepared, downloading if need be."""
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=folder)
    prepared = _prepared_folder(name, Path(builder.data_path).parents[1])
    if prepared is not None:
        return tfds.builder_from_directory(prepared)
    if not can_download(DOWNLOADS[name]):
        raise _unavailable(name, builder.data_path, f"{DOWNLOADS[name]} does not answer within {PROBE_SECONDS:g} s")
    try:
        builder.download_and_prepare()
    except Exception as error:  # the download's, the disk's and Apache Beam's errors share no base
        raise _unavailable(name, builder.data_path, f"the download failed: {error}") from error
    return builder


def _prepared_folder(name: str, data_dir: Path) -> Path | None:
    """The newest prepared version, whichever the installed TensorFlow Datasets would itself make."""
    versions = [
        features.parent
        for features in data_dir.glob(f"{name}/*/features.json")
        if re.fullmatch(r"\d+\.\d+\.\d+", features.parent.name)  # not what an interrupted preparation left
    ]
    return max(versions, key=lambda version: natural_key(version.name), default=None)


def can_download(url: str, timeout: float = PROBE_SECONDS) -> bool:
    """Whether a host answers, through the environment's proxy if there is one.

    Args:
        url: asked for its headers only.
        timeout: in seconds, the look-up of the host's name included, which has no timeout of its own.
    """
    answered = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout):
                answered.set()
        except (OSError, ValueError):
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return answered.is_set()


def _read_splits(name: str, builder: Any) -> Dataset:
    import tensorflow_datasets as tfds

    missing = {"train", "test"} - set(builder.info.splits)
    if missing or not {"image", "label"} <= set(builder.info.features):
        raise DatasetError(
            f"Expected splits train and test with features image and label in {builder.data_path}. "
            f"Received: splits {sorted(builder.info.splits)}, features {sorted(builder.info.features)}. "
            "Prepare the dataset again."
        )
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        batch = _read_split(tfds, builder, split)
        arrays[f"x_{split}"] = unit_images(f"{name} ({split})", batch["image"])
        arrays[f"y_{split}"] = batch["label"].astype(np.int64)
    return Dataset(**arrays, class_names=list(builder.info.features["label"].names), name=name)


def _read_split(tfds: Any, builder: Any, split: str) -> Any:
    try:
        return tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
    except Exception as error:  # TensorFlow's errors of damaged records share no base with those of missing files
        raise DatasetError(
            f"Expected a prepared TensorFlow Datasets copy in {builder.data_path}. Received: {error}. "
            "Remove that folder and prepare or copy it again."
        ) from error


def _unavailable(name: str, data_path: Any, reason: str) -> DatasetError:
    return DatasetError(
        f"Expected {name} in {data_path} or a network to download it. Received: {reason}. Give a local copy in one of "
        f"these ways: load_dataset({name!r}, data_dir=DIR), where DIR holds a prepared TensorFlow Datasets copy "
        f"({name}/VERSION/) or {name}.npz; load_dataset('FILE.npz') with arrays x_train, y_train, x_test, y_test; "
        "load_dataset('FOLDER') with a folder of images per class, or train/CLASS and test/CLASS; "
        "load_dataset('FILE.zip') or .tar.gz of such a folder. load_dataset('digits') needs no download."
    )
