"""The image files of a folder, a zip or a tar.

Nothing of an archive is written under a name it chooses: a zip is read in place, a tar's images go to numbered files
of a temporary folder.
"""

from __future__ import annotations

import lzma
import os
import shutil
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from tf_ganmex.errors import DatasetError

__all__ = ["IMAGE_SUFFIXES", "Folder", "ImageFile", "archive_kind", "open_files"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_FILE_BYTES = 1 << 28  # no photograph is as large; a decompression bomb is


@dataclass(frozen=True)
class ImageFile:
    """One image file: its path inside the folder or archive, and how to read it."""

    name: str
    read: Callable[[], bytes]


@dataclass
class Folder:
    """A folder with its images and its sub-folders by name."""

    files: list[ImageFile] = field(default_factory=list)
    folders: dict[str, Folder] = field(default_factory=dict)

    def at(self, parts: tuple[str, ...]) -> Folder:
        """The folder below, made where it is not there."""
        return self.folders.setdefault(parts[0], Folder()).at(parts[1:]) if parts else self

    def all_files(self) -> list[ImageFile]:
        """The images here and below."""
        below = [file for folder in self.folders.values() for file in folder.all_files()]
        return self.files + below


def archive_kind(path: Path) -> str | None:
    """Which archive a file is, by its name: "zip", "tar" or None."""
    if path.name.lower().endswith(TAR_SUFFIXES):
        return "tar"
    return "zip" if path.suffix.lower() == ".zip" else None


@contextmanager
def open_files(path: Path) -> Iterator[Folder]:
    """Lists the images of a folder, zip or tar; they can be read inside the ``with`` block, from any thread.

    Files and folders whose name starts with a dot, and macOS's ``__MACOSX``, are passed over.

    Args:
        path: a folder, or a file that ``archive_kind`` knows.

    Yields:
        The folder, with its sub-folders.

    Raises:
        DatasetError: a damaged or encrypted archive, or one with members outside itself.
    """
    opener = {"zip": _open_zip, "tar": _open_tar}.get(archive_kind(path) or "", _open_folder)
    with opener(path) as folder:
        yield folder


@contextmanager
def _open_folder(path: Path) -> Iterator[Folder]:
    root, seen = Folder(), set()
    for current, names, files in os.walk(path, followlinks=True):
        if os.path.realpath(current) in seen:
            raise DatasetError(
                f"Expected every folder once. Received: {current!r}, a link to a folder read before. Remove the link."
            )
        seen.add(os.path.realpath(current))
        names[:] = [name for name in names if not _is_hidden(name)]
        parts = Path(current).relative_to(path).parts
        folder = root.at(parts)
        for name in files:
            if not _is_hidden(name) and _is_image(name):
                folder.files.append(ImageFile("/".join((*parts, name)), Path(current, name).read_bytes))
    yield root


@contextmanager
def _open_zip(path: Path) -> Iterator[Folder]:
    # ZipFile counts its readers without a lock, so reading from several threads could close it early.
    lock = threading.Lock()

    def read(member: zipfile.ZipInfo) -> bytes:
        with lock, _archive_errors(path / member.filename):
            return archive.read(member)

    with _archive_errors(path):
        archive = zipfile.ZipFile(path)
    with archive:
        root = Folder()
        members = {_member_parts(path, info.filename): info for info in archive.infolist()}
        for parts, info in members.items():
            if _add_member(root, parts, info.is_dir()):
                _check_bytes(path, info.filename, info.file_size)
                root.at(parts[:-1]).files.append(ImageFile("/".join(parts), partial(read, info)))
        yield root


@contextmanager
def _open_tar(path: Path) -> Iterator[Folder]:
    with tempfile.TemporaryDirectory(prefix="tf_ganmex_") as copies:
        with _archive_errors(path), tarfile.open(path) as archive:
            root = _copy_tar(path, archive, Path(copies))
        yield root


def _copy_tar(path: Path, archive: tarfile.TarFile, copies: Path) -> Folder:
    root, images = Folder(), {}
    for number, member in enumerate(archive):
        parts = _member_parts(path, member.name)
        if not (member.isdir() or member.isfile() or member.islnk() or member.issym()):
            continue
        if _add_member(root, parts, member.isdir()):
            _check_bytes(path, member.name, member.size)
            images[parts] = copies / str(number)
            _copy_member(path, archive, member, images[parts])
    for parts, copy in images.items():
        root.at(parts[:-1]).files.append(ImageFile("/".join(parts), copy.read_bytes))
    return root


def _copy_member(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, copy: Path) -> None:
    try:
        source = archive.extractfile(member)  # follows links inside the archive only
    except KeyError:
        source = None
    if source is None:
        raise DatasetError(
            f"Expected images in {path}. Received: {member.name!r}, a link to {member.linkname!r}, "
            "which is not in the archive. Pack the files themselves (tar --dereference)."
        )
    with source, copy.open("wb") as target:
        shutil.copyfileobj(source, target)


def _add_member(root: Folder, parts: tuple[str, ...], is_folder: bool) -> bool:
    """Notes the member's folder, also where it holds no image; True if the member is an image to read."""
    if not parts or any(_is_hidden(part) for part in parts):
        return False
    root.at(parts if is_folder else parts[:-1])
    return not is_folder and _is_image(parts[-1])


def _member_parts(path: Path, name: str) -> tuple[str, ...]:
    posix = PurePosixPath(name.replace("\\", "/"))
    if posix.is_absolute() or ".." in posix.parts:
        raise DatasetError(
            f"Expected members inside the archive {path}. Received: {name!r}, which points outside. "
            "Do not trust this archive, or pack it again from its folder."
        )
    return posix.parts


def _check_bytes(path: Path, name: str, size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise DatasetError(
            f"Expected image files below {MAX_FILE_BYTES >> 20} MiB in {path}. "
            f"Received: {name!r} of {size >> 20} MiB. Remove it."
        )


@contextmanager
def _archive_errors(path: Path) -> Iterator[None]:
    """A damaged archive as our error; zipfile has errors of its own for what it cannot decrypt."""
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError) as error:
        raise DatasetError(
            f"Expected a readable archive. Received: {path}: {error}. Copy it again, or pack it without a password."
        ) from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)
