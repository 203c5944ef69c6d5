"""Folders with a folder of images per class, and archives of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tf_ganmex.datasets.cyclegan import class_folders, domain_names
from tf_ganmex.datasets.dataset import Dataset
from tf_ganmex.datasets.files import IMAGE_SUFFIXES, TAR_SUFFIXES, Folder, ImageFile, open_files
from tf_ganmex.datasets.images import decode_all
from tf_ganmex.datasets.labels import natural_key
from tf_ganmex.datasets.split import stratified_split
from tf_ganmex.errors import DatasetError

__all__ = ["load_folder"]

SPLITS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
}

Classes = dict[str, list[ImageFile]]


def load_folder(
    path: Path, *, size: tuple[int, int] | None, grayscale: bool | None, test_fraction: float, seed: int
) -> Dataset:
    """Loads ``CLASS/*`` or ``train/CLASS/*`` and ``test/CLASS/*`` from a folder, a zip or a tar.

    A ``val`` folder is the test split where there is no ``test`` folder, and is left out otherwise. Without either,
    a stratified share of every class is drawn. A single folder around it all is looked through. Classes are
    numbered in natural order of their names ("2" before "10"); the images of each split come mixed.

    ``trainA, trainB, testA, testB``, as CycleGAN's datasets come, are the splits of two classes: 0 is A and 1 is B,
    called so or, in a folder or archive ``apple2orange``, apple and orange.

    Args:
        path: the folder or archive.
        size: height and width to bring images to; None: as they are.
        grayscale: True: one channel; False: three; None: one if all images are grey.
        test_fraction: of each class, where there is no test folder.
        seed: of that split and of the order of the images.

    Returns:
        The images of both splits.

    Raises:
        DatasetError: another layout, an empty or a single class, classes that differ between the splits, images
            that are damaged or of different sizes.
    """
    with open_files(path) as folder:
        _check_any(path, folder)
        inner, folder = _look_through(folder)
        domains = class_folders(path, folder)
        train, test = _find_splits(path, domains or folder)
        names = sorted(train, key=natural_key)
        _check_names(path, names)
        train_files, y_train = _label(train, names)
        if test is None:
            kept, drawn = stratified_split(y_train, test_fraction, seed, names)
            test_files, y_test = [train_files[i] for i in drawn], y_train[drawn]
            train_files, y_train = [train_files[i] for i in kept], y_train[kept]
        else:
            test_files, y_test = _label(test, names)
        train_order, test_order = (np.random.default_rng(seed).permutation(len(y)) for y in (y_train, y_test))
        files = [train_files[i] for i in train_order] + [test_files[i] for i in test_order]
        images = decode_all(files, size, grayscale)
    x_train, x_test = np.split(images, [len(train_files)])
    if domains:
        names = domain_names(inner, _stem(path))
    return Dataset(x_train, y_train[train_order], x_test, y_test[test_order], names, _stem(path))


def _label(classes: Classes, names: list[str]) -> tuple[list[ImageFile], np.ndarray]:
    files = [file for name in names for file in sorted(classes[name], key=lambda file: natural_key(file.name))]
    labels = np.repeat(np.arange(len(names), dtype=np.int64), [len(classes[name]) for name in names])
    return files, labels


def _find_splits(path: Path, folder: Folder) -> tuple[Classes, Classes | None]:
    if not _has_splits(folder):
        return _classes(path, folder), None
    splits = _split_folders(path, folder)
    train = _classes(path, splits["train"])
    held_out = splits.get("test", splits.get("val"))
    if held_out is None:
        return train, None
    test = _classes(path, held_out)
    if train.keys() != test.keys():
        differing = sorted(train.keys() ^ test.keys(), key=natural_key)
        raise DatasetError(
            f"Expected the same classes in the train and the test folder of {path}. "
            f"Received: {differing} in one of them only. Add the missing folders, or remove these."
        )
    return train, test


def _look_through(folder: Folder) -> tuple[str, Folder]:
    """Past single folders around it all, with the name of the last of them."""
    inner = ""
    while not folder.files and len(folder.folders) == 1:
        ((name, only),) = folder.folders.items()
        if name.casefold() in SPLITS or only.files or not only.folders:
            break
        inner, folder = name, only
    return inner, folder


def _has_splits(folder: Folder) -> bool:
    """Whether there are split folders; "train" beside "car" and "bus" is a class, and holds images, not folders."""
    filled = {name: below for name, below in folder.folders.items() if below.all_files()}
    named = [below for name, below in filled.items() if name.casefold() in SPLITS]
    return bool(named) and (len(named) == len(filled) or any(not below.files for below in named))


def _split_folders(path: Path, folder: Folder) -> dict[str, Folder]:
    splits: dict[str, Folder] = {}
    for name, below in folder.folders.items():
        if not below.all_files():  # annotations and the like
            continue
        split = SPLITS.get(name.casefold())
        if split is None or split in splits:
            raise DatasetError(
                f"Expected one train and one test (or val) folder in {path}. "
                f"Received: also {name!r}. Move it elsewhere."
            )
        splits[split] = below
    _check_loose(path, folder)
    if "train" not in splits:
        raise DatasetError(
            f"Expected a train folder in {path}. Received: {sorted(folder.folders)}. "
            "Name the folder to train on train, or leave out the folders above the classes."
        )
    return splits


def _classes(path: Path, folder: Folder) -> Classes:
    _check_loose(path, folder)
    classes = {name: below.all_files() for name, below in folder.folders.items()}
    empty = sorted((name for name, files in classes.items() if not files), key=natural_key)
    if empty:
        raise DatasetError(
            f"Expected images ({', '.join(IMAGE_SUFFIXES)}) in every class folder of {path}. "
            f"Received: none in {empty[0]!r}. Add images, or remove the folder."
        )
    _check_nesting(path, folder)
    return classes


def _check_any(path: Path, folder: Folder) -> None:
    if not folder.all_files():
        raise DatasetError(
            f"Expected images ({', '.join(IMAGE_SUFFIXES)}) in class folders. Received: {path}, which holds none. "
            "Check the path."
        )


def _check_names(path: Path, names: list[str]) -> None:
    if len(names) < 2:
        raise DatasetError(
            f"Expected at least two class folders in {path}. Received: {names}. "
            "Why one class and not another needs another: add a folder with images of a second class."
        )


def _check_nesting(path: Path, folder: Folder) -> None:
    """Splits inside the classes would be read as one, and test images trained on."""
    for name, below in folder.folders.items():
        inner = [split for split in below.folders if split.casefold() in SPLITS]
        if inner:
            raise DatasetError(
                f"Expected train and test folders above the class folders in {path}. "
                f"Received: {inner[0]!r} inside {name!r}. Move {name}/{inner[0]} to {inner[0]}/{name}."
            )


def _check_loose(path: Path, folder: Folder) -> None:
    if folder.files:
        raise DatasetError(
            f"Expected every image of {path} in the folder of its class. Received: {folder.files[0].name!r}, "
            "in none. Move it into a class folder, or elsewhere."
        )


def _stem(path: Path) -> str:
    name = path.resolve().name
    for suffix in sorted((".zip", *TAR_SUFFIXES), key=len, reverse=True):
        if name.lower().endswith(suffix) and path.is_file():
            return name[: -len(suffix)]
    return name
