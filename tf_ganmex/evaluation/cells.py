"""Finished cells on disk: the arrays of one column, or one baseline, for one block of images."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np

from tf_ganmex.files import replaced

Arrays = dict[str, np.ndarray]

_BAD_ARCHIVE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


class Cells:
    """Arrays by a label, which says what they are, and a key, which changes with everything that they depend on.

    Args:
        folder: where the files are; None keeps nothing.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder

    def read(self, label: str, key: str) -> Arrays:
        """What was written last; nothing where there is no file, or a damaged one."""
        if self.folder is None:
            return {}
        try:
            with np.load(_path(self.folder, label, key), allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except _BAD_ARCHIVE:
            return {}

    def write(self, label: str, key: str, arrays: Arrays) -> None:
        """Writes all arrays of a cell, whole or not at all."""
        if self.folder is not None:
            with replaced(_path(self.folder, label, key)) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]


def _path(folder: Path, label: str, key: str) -> Path:
    return folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', label)[:80]}-{key}.npz"
