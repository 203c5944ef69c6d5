"""The layout that CycleGAN's datasets come in: folders trainA, trainB, testA, testB."""

from __future__ import annotations

import re
from pathlib import Path

from tf_ganmex.datasets.files import Folder
from tf_ganmex.errors import DatasetError

__all__ = ["class_folders", "domain_names"]

DOMAINS = ("A", "B")


def domain_names(*names: str) -> list[str]:
    """The classes' names, A first, from the first name of the form X2Y: apple and orange of "apple2orange".

    Args:
        names: of the dataset or its folder.

    Returns:
        Two names; A and B where no name has that form.
    """
    for name in names:
        match = re.fullmatch(r"([a-z]+)2([a-z]+(?:_[a-z]+)*)", name.casefold())
        if match and match[1] != match[2]:
            return [match[1], match[2]]
    return list(DOMAINS)


def class_folders(path: Path, folder: Folder) -> Folder | None:
    """Brings trainA, trainB, testA, ... to train/A, train/B, test/A, ...

    Args:
        path: for messages.
        folder: with or without such folders; ``valA`` and ``valB`` may be there too.

    Returns:
        The same images; folders of other names stay where they are. None where this is another layout: then
        "trainA" is a class like any other.

    Raises:
        DatasetError: no images in one of the folders, or no such folder.
    """
    filled = {name for name, below in folder.folders.items() if below.all_files()}
    found = {name: match for name in folder.folders if (match := re.fullmatch(r"(train|test|val)([ab])", name, re.I))}
    splits = {match[1].casefold() for match in found.values()}
    if "train" not in splits or (len(splits) == 1 and not filled <= set(found)):
        return None
    arranged = Folder(folder.files, {name: folder.folders[name] for name in filled - set(found)})
    for name, match in found.items():
        arranged.at((match[1].casefold(), match[2].upper())).files.extend(folder.folders[name].all_files())
    _check_filled(path, arranged, splits)
    return arranged


def _check_filled(path: Path, arranged: Folder, splits: set[str]) -> None:
    for split in sorted(splits):
        for domain in DOMAINS:
            if not arranged.at((split, domain)).files:
                raise DatasetError(
                    f"Expected images in both {split}A and {split}B of {path}. "
                    f"Received: none in {split}{domain}. Add them."
                )
