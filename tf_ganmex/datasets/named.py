"""Datasets by name, through TensorFlow Datasets or a local copy."""

from __future__ import annotations

import os
import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tf_ganmex.datasets.arrays import fit_dataset, unit_images
from tf_ganmex.datasets.cyclegan import DOMAINS, domain_names
from tf_ganmex.datasets.dataset import Dataset
from tf_ganmex.datasets.files import ImageFile
from tf_ganmex.datasets.images import decode_all
from tf_ganmex.datasets.labels import natural_key
from tf_ganmex.datasets.npz import load_npz
from tf_ganmex.errors import DatasetError

__all__ = ["DOWNLOADS", "load_named"]


@dataclass(frozen=True)
class Source:
    """What TensorFlow Datasets calls a dataset and its splits, and where it downloads it from."""

    builder: str
    url: str  # one file of the download, asked for only to see whether the host answers
    train: str = "train"
    test: str = "test"
    size: tuple[int, int] | None = None  # given where images are stored in sizes of their own: the default


DOWNLOADS = {
    "mnist": Source("mnist", "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz"),
    "svhn_cropped": Source("svhn_cropped", "http://ufldl.stanford.edu/housenumbers/test_32x32.mat"),
    "cifar10": Source("cifar10", "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"),
    "apple2orange": Source(
        "cycle_gan/apple2orange",
        "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/apple2orange.zip",
        train="trainA+trainB",
        test="testA+testB",
        size=(256, 256),
    ),
}
PROBE_SECONDS = 4.0


def load_named(
    name: str,
    data_dir: str | os.PathLike[str] | None,
    *,
    size: tuple[int, int] | None = None,
    grayscale: bool | None = None,
    seed: int = 0,
) -> Dataset:
    """Loads a dataset of TensorFlow Datasets, downloading it the first time.

    Args:
        name: one of ``DOWNLOADS``.
        data_dir: where TensorFlow Datasets keeps its data (None: its default), or a folder with ``NAME.npz``, which
            is then used instead.
        size: height and width to bring images to; None: as they are, 256 each for ``apple2orange``.
        grayscale: True: one channel; False: three; None: as they are.
        seed: of the order of ``apple2orange``, whose classes are stored one after the other.

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
        return fit_dataset(load_npz(folder / f"{name}.npz", name), size, grayscale)
    builder = _builder(name, folder)
    _check_splits(name, builder)
    if DOWNLOADS[name].size is None:
        return fit_dataset(_read_arrays(name, builder), size, grayscale)
    return _read_files(name, builder, size or DOWNLOADS[name].size, grayscale, seed)


def _builder(name: str, folder: Path | None) -> Any:
    """A builder whose data is prepared, downloading if need be."""
    import tensorflow_datasets as tfds

    source = DOWNLOADS[name]
    builder = tfds.builder(source.builder, data_dir=folder)
    prepared = prepared_folder(Path(builder.data_path).parent)
    if prepared is not None:
        return tfds.builder_from_directory(prepared)
    if not can_download(source.url):
        raise _unavailable(name, builder.data_path, f"{source.url} does not answer within {PROBE_SECONDS:g} s")
    try:
        builder.download_and_prepare()
    except Exception as error:  # the download's, the disk's and Apache Beam's errors share no base
        raise _unavailable(name, builder.data_path, f"the download failed: {error}") from error
    return builder


def prepared_folder(versions: Path) -> Path | None:
    """The newest prepared version, whichever the installed TensorFlow Datasets would itself make."""
    prepared = [
        features.parent
        for features in versions.glob("*/features.json")
        if re.fullmatch(r"\d+\.\d+\.\d+", features.parent.name)  # not what an interrupted preparation left
    ]
    return max(prepared, key=lambda version: natural_key(version.name), default=None)


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


def _check_splits(name: str, builder: Any) -> None:
    source = DOWNLOADS[name]
    needed = [*source.train.split("+"), *source.test.split("+")]
    if not set(needed) <= set(builder.info.splits) or not {"image", "label"} <= set(builder.info.features):
        raise DatasetError(
            f"Expected splits {' and '.join(needed)} with features image and label in {builder.data_path}. "
            f"Received: splits {sorted(builder.info.splits)}, features {sorted(builder.info.features)}. "
            "Prepare the dataset again."
        )


def _read_arrays(name: str, builder: Any) -> Dataset:
    """Images of one size, a split at a time."""
    import tensorflow_datasets as tfds

    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        with reading(builder):
            batch = tfds.as_numpy(builder.as_dataset(split=getattr(DOWNLOADS[name], split), batch_size=-1))
        arrays[f"x_{split}"] = unit_images(f"{name} ({split})", batch["image"])
        arrays[f"y_{split}"] = batch["label"].astype(np.int64)
    return Dataset(**arrays, class_names=_class_names(name, builder), name=name)


def _read_files(name: str, builder: Any, size: tuple[int, int] | None, grayscale: bool | None, seed: int) -> Dataset:
    """Images of sizes of their own: as they are stored, and decoded as image files are."""
    import tensorflow_datasets as tfds

    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        with reading(builder):
            encoded = {"image": tfds.decode.SkipDecoding()}
            records = list(tfds.as_numpy(builder.as_dataset(split=getattr(DOWNLOADS[name], split), decoders=encoded)))
        records = [records[i] for i in np.random.default_rng(seed).permutation(len(records))]
        files = [ImageFile(f"{name} ({split})", partial(bytes, record["image"])) for record in records]
        arrays[f"x_{split}"] = decode_all(files, size, grayscale)
        arrays[f"y_{split}"] = np.array([record["label"] for record in records], np.int64)
    return Dataset(**arrays, class_names=_class_names(name, builder), name=name)


def _class_names(name: str, builder: Any) -> list[str]:
    names = list(builder.info.features["label"].names)
    return domain_names(name) if names == list(DOMAINS) else names


@contextmanager
def reading(builder: Any) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # TensorFlow's errors of damaged records share no base with those of missing files
        raise DatasetError(
            f"Expected a prepared TensorFlow Datasets copy in {builder.data_path}. Received: {error}. "
            "Remove that folder and prepare or copy it again."
        ) from error


def _unavailable(name: str, data_path: Any, reason: str) -> DatasetError:
    layout = "trainA, trainB, testA, testB" if "A" in DOWNLOADS[name].train else "train/CLASS and test/CLASS"
    same_name = f" To read the folder {name} here, write {os.path.join('.', name)}." if Path(name).is_dir() else ""
    return DatasetError(
        f"Expected {name} in {data_path} or a network to download it. Received: {reason}. Give a local copy in one of "
        f"these ways: load_dataset({name!r}, data_dir=DIR) or --data-dir DIR, where DIR holds a prepared TensorFlow "
        f"Datasets copy ({DOWNLOADS[name].builder}/VERSION/) or {name}.npz; load_dataset('FILE.npz') with arrays "
        f"x_train, y_train, x_test, y_test; load_dataset('FOLDER') with a folder of images per class, or {layout}; "
        f"load_dataset('FILE.zip') or .tar.gz of such a folder. load_dataset('digits') needs no download.{same_name}"
    )
