"""Zips and tars of image folders, hostile ones among them."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tf_ganmex.datasets import load_dataset
from tf_ganmex.errors import DatasetError

SUFFIXES = {"zip": "zip", "tar": "tar", "gztar": "tar.gz", "bztar": "tar.bz2", "xztar": "tar.xz"}


def pack(folder, kind, name="packed", **where) -> str:
    return shutil.make_archive(str(folder.parent / name), kind, **(where or {"root_dir": folder}))


def add_to_tar(path, name, *, content=b"", **fields) -> None:
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        for field, value in fields.items():
            setattr(member, field, value)
        archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("kind", SUFFIXES)
@pytest.mark.parametrize("with_top_folder", [False, True])
def test_archives_equal_their_folder(split_folder, kind, with_top_folder):
    expected = load_dataset(split_folder)
    where = {"root_dir": split_folder.parent, "base_dir": "data"} if with_top_folder else {"root_dir": split_folder}
    data = load_dataset(pack(split_folder, kind, **where))
    assert data.name == "packed"
    assert data.class_names == expected.class_names
    for field in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(data, field), getattr(expected, field))


def test_short_suffix_and_dots_in_the_name(split_folder):
    path = pack(split_folder, "gztar")
    os.rename(path, split_folder.parent / "my.data.v1.TGZ")
    assert load_dataset(split_folder.parent / "my.data.v1.TGZ").name == "my.data.v1"


def test_hidden_members_and_other_files_are_passed_over(split_folder):
    path = pack(split_folder, "zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/train/2/._a.png", b"macOS writes these")
        archive.writestr("__MACOSX/train/2/b.png", b"nor is this an image")
        archive.writestr("train/2/.hidden.png", b"hidden")
        archive.writestr("train/2/notes.txt", b"no image")
    assert len(load_dataset(path).x_train) == 5


def test_backslashes_separate_folders(split_folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "windows.zip", "w") as archive:
        for file in split_folder.rglob("*.png"):
            info = zipfile.ZipInfo()
            info.filename = str(file.relative_to(split_folder)).replace("/", "\\")
            archive.writestr(info, file.read_bytes())
    np.testing.assert_array_equal(load_dataset(tmp_path / "windows.zip").x_train, load_dataset(split_folder).x_train)


@pytest.mark.parametrize("name", ["../evil.png", "train/../../evil.png", "/tmp/evil.png", "..\\evil.png"])
def test_members_outside_are_refused_and_nothing_is_written(split_folder, name):
    zipped, tarred = pack(split_folder, "zip"), pack(split_folder, "tar")
    content = (split_folder / "train" / "2" / "a.png").read_bytes()
    with zipfile.ZipFile(zipped, "a") as archive:
        archive.writestr(name, content)
    add_to_tar(tarred, name, content=content)
    before = sorted(split_folder.parent.rglob("*"))
    for path in (zipped, tarred):
        with pytest.raises(DatasetError, match="points outside"):
            load_dataset(path)
    assert sorted(split_folder.parent.rglob("*")) == before


def test_links_of_a_tar_stay_inside_it(split_folder):
    secret = split_folder.parent / "secret.png"
    shutil.copy(split_folder / "train" / "2" / "a.png", secret)
    path = pack(split_folder, "tar")
    add_to_tar(path, "train/2/c.png", type=tarfile.SYMTYPE, linkname="a.png")
    assert len(load_dataset(path).x_train) == 6
    add_to_tar(path, "train/2/d.png", type=tarfile.SYMTYPE, linkname=str(secret))
    with pytest.raises(DatasetError, match=r"train/2/d\.png.*not in the archive"):
        load_dataset(path)


def test_devices_of_a_tar_are_passed_over(split_folder):
    path = pack(split_folder, "tar")
    add_to_tar(path, "train/2/c.png", type=tarfile.FIFOTYPE)
    assert len(load_dataset(path).x_train) == 5


def test_bombs_are_refused_before_they_are_read(split_folder, monkeypatch):
    monkeypatch.setattr("tf_ganmex.datasets.files.MAX_FILE_BYTES", 1 << 20)
    path = pack(split_folder, "zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/2/bomb.png", bytes(3 << 20))
    with pytest.raises(DatasetError, match=r"bomb\.png' of 3 MiB"):
        load_dataset(path)


def test_temporary_copies_are_removed(split_folder, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    load_dataset(pack(split_folder, "gztar"))
    assert not list((tmp_path / "temporary").iterdir())


def test_an_empty_class_folder_is_named(split_folder):
    (split_folder / "train" / "7").mkdir()
    for kind in ("zip", "tar"):
        with pytest.raises(DatasetError, match="none in '7'"):
            load_dataset(pack(split_folder, kind))


@pytest.mark.parametrize("kind", SUFFIXES)
def test_truncated_archives(split_folder, kind):
    path = pack(split_folder, kind)
    whole = Path(path).read_bytes()
    for length in (0, 10, len(whole) // 2):
        Path(path).write_bytes(whole[:length])
        with pytest.raises(DatasetError, match="packed"):
            load_dataset(path)


def test_a_changed_byte_in_a_zip(split_folder):
    path = pack(split_folder, "zip")
    whole = bytearray(Path(path).read_bytes())
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("train/2/a.png").header_offset
    whole[offset + 30 + len("train/2/a.png") + 20] ^= 0xFF
    Path(path).write_bytes(whole)
    with pytest.raises(DatasetError, match=r"train/2/a\.png"):
        load_dataset(path)


def test_encrypted_zip(split_folder):
    path = pack(split_folder, "zip")
    whole = bytearray(Path(path).read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = whole.find(signature)
        while start >= 0:
            whole[start + flags] |= 1
            start = whole.find(signature, start + 4)
    Path(path).write_bytes(whole)
    with pytest.raises(DatasetError, match="password"):
        load_dataset(path)
