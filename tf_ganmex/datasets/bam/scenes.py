"""Photographs of scenes in the folders that MiniPlaces and Places365 come in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tf_ganmex.datasets.files import IMAGE_SUFFIXES, ImageFile, open_files
from tf_ganmex.datasets.folder import SPLITS
from tf_ganmex.datasets.labels import natural_key
from tf_ganmex.errors import DatasetError

__all__ = ["find_scenes"]

LAYOUTS = "CLASS, train/CLASS and test/CLASS (or val/CLASS), images/train/b/bedroom (MiniPlaces), data_256/b/bedroom"


def find_scenes(root: Path, name: str) -> dict[str, list[ImageFile]]:
    """Finds the photographs of one scene class.

    Args:
        root: a folder of MiniPlaces or Places365, or any with class folders, with or without train and test (or val)
            folders above and folders of first letters (``b/bedroom``) between.
        name: the class folder's name; ``track/outdoor`` is a folder in a folder.

    Returns:
        ``{"train": files, "test": files}`` where both are there, else ``{"all": files}``; in natural order, named by
        their paths in ``root``.

    Raises:
        DatasetError: no such folder, none with images in it, or two for one split.
    """
    folders = sorted(set(_class_folders(root, name)))
    by_split = {_split(folder.relative_to(root).parent): folder for folder in folders}
    if len(by_split) < len(folders) or ("all" in by_split and len(folders) > 1):
        raise DatasetError(
            f"Expected one folder of the scene {name!r} in {root}, or train and test (or val) folders. "
            f"Received: {', '.join(map(str, folders))}. Give the folder that is above one of them only."
        )
    found = {split: _images(root, folder) for split, folder in by_split.items()}
    found = {split: files for split, files in found.items() if files}
    if not found:
        raise _missing(root, name)
    held_out = found.get("test", found.get("val"))
    if "train" in found and held_out:
        return {"train": found["train"], "test": held_out}
    return {"all": found.get("train") or found.get("all") or held_out or []}


def _class_folders(root: Path, name: str) -> Iterator[Path]:
    above = chain([root], _below(root), *map(_below, _below(root)))
    for folder in above:
        for candidate in (folder / name, folder / name[0] / name):
            if candidate.is_dir():
                yield candidate


def _below(folder: Path) -> list[Path]:
    """The folders in a folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:  # which knows folders from files without asking for each of many images
        return [Path(entry.path) for entry in entries if not entry.name.startswith(".") and entry.is_dir()]


def _split(path: Path) -> str:
    named = [SPLITS[part.casefold()] for part in path.parts if part.casefold() in SPLITS]
    return named[0] if named else "all"


def _images(root: Path, folder: Path) -> list[ImageFile]:
    with open_files(folder) as content:
        files = sorted(content.all_files(), key=lambda file: natural_key(file.name))
    return [ImageFile(f"{folder.relative_to(root).as_posix()}/{file.name}", file.read) for file in files]


def _missing(root: Path, name: str) -> DatasetError:
    if not root.is_dir():
        what = "a file; unpack it first" if root.is_file() else "no such folder"
    else:
        what = f"none there (it holds {', '.join(sorted(path.name for path in _below(root))[:8]) or 'no folder'})"
    return DatasetError(
        f"Expected photographs ({', '.join(IMAGE_SUFFIXES[:3])}, ...) of the scene {name!r} in one of these folders of "
        f"scenes={str(root)!r}: {LAYOUTS}. Received: {what}. Unpack MiniPlaces "
        "(https://github.com/CSAILVision/miniplaces) or Places365 (http://places2.csail.mit.edu) there, or your own."
    )
