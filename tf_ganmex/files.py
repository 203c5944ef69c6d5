"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tf_ganmex.errors import OptionError


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; it becomes ``path`` when all went well.

    Missing folders are made. The temporary name keeps the extension, which tells some writers the format.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{threading.get_ident()}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a whole text file, in UTF-8."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_folder(folder: str | os.PathLike[str], option: str) -> None:
    """OptionError unless ``folder`` can be written to, or made; ``option`` is what the user calls it."""
    path = Path(folder).absolute()
    there = next(each for each in (path, *path.parents) if os.path.exists(each))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise OptionError(
            f"Expected {option} to be a directory that can be written to. Received: {option}={str(folder)!r}, where "
            f"{str(there)!r} is {'not writable' if there.is_dir() else 'a file'}. Name another."
        )
