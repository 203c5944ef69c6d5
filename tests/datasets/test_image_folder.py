"""Folders of class folders: splits, classes, order, and what is refused."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tf_ganmex.datasets import load_dataset
from tf_ganmex.errors import DatasetError


def values(images) -> np.ndarray:
    """Which plain images they are."""
    return np.rint(images[:, 0, 0, 0] * 255).astype(int)


def pairs(images, labels) -> set[tuple[int, int]]:
    return set(zip(values(images).tolist(), labels.tolist(), strict=True))


def test_train_and_test_folders(split_folder):
    data = load_dataset(split_folder)
    assert data.class_names == ["2", "10"]
    assert data.name == "data"
    assert data.image_shape == (6, 6, 3)
    assert data.y_train.dtype == np.int64
    assert pairs(data.x_train, data.y_train) == {(1, 0), (2, 0), (101, 1), (102, 1), (103, 1)}
    assert pairs(data.x_test, data.y_test) == {(3, 0), (104, 1)}


@pytest.mark.parametrize(
    ("renamed", "as_called"), [("train", "Training"), ("test", "TEST"), ("test", "testing"), ("test", "Validation")]
)
def test_names_of_split_folders(split_folder, renamed, as_called):
    expected = load_dataset(split_folder)
    (split_folder / renamed).rename(split_folder / as_called)
    data = load_dataset(split_folder)
    np.testing.assert_array_equal(data.x_test, expected.x_test)
    np.testing.assert_array_equal(data.x_train, expected.x_train)


def test_val_is_left_out_beside_test(split_folder, save_image):
    for name in ("2", "10"):
        save_image(split_folder / "val" / name / "a.png", 222)
    data = load_dataset(split_folder)
    assert 222 not in values(data.x_train)
    assert 222 not in values(data.x_test)


@pytest.mark.parametrize("above", ["", "train/"])
def test_without_a_test_folder_a_share_of_each_class_is_drawn(make_folder, above):
    numbers = {f"{above}{name}/{i}.png": base + i for name, base in (("a", 0), ("b", 100)) for i in range(20)}
    folder = make_folder(numbers)
    data = load_dataset(folder, test_fraction=0.25)
    assert np.bincount(data.y_train).tolist() == [15, 15]
    assert np.bincount(data.y_test).tolist() == [5, 5]
    everything = pairs(data.x_train, data.y_train) | pairs(data.x_test, data.y_test)
    assert everything == {(value, value // 100) for value in numbers.values()}
    assert set(values(data.x_test)) != set(values(load_dataset(folder, test_fraction=0.25, seed=1).x_test))


def test_order_is_mixed_and_fixed_by_the_seed(make_folder, monkeypatch):
    numbers = {f"{name}/{i}.png": base + i for name, base in (("a", 0), ("b", 100)) for i in range(20)}
    folder = make_folder(numbers)
    data = load_dataset(folder)
    assert set(data.y_train[:10]) == {0, 1}
    walk = os.walk

    def backwards(*args, **options):
        for current, folders, files in walk(*args, **options):
            folders.reverse()
            yield current, folders, files[::-1]

    monkeypatch.setattr(os, "walk", backwards)
    np.testing.assert_array_equal(load_dataset(folder).x_train, data.x_train)
    np.testing.assert_array_equal(load_dataset(folder).y_test, data.y_test)


def test_what_is_passed_over(split_folder):
    (split_folder / "README.txt").write_text("no image")
    (split_folder / "train" / "2" / "notes.txt").write_text("no image")
    (split_folder / "train" / "2" / "._a.png").write_bytes(b"macOS writes these")
    (split_folder / "annotations").mkdir()
    (split_folder / "annotations" / "all.json").write_text("{}")
    (split_folder / "train" / ".ipynb_checkpoints").mkdir()
    (split_folder / "__MACOSX" / "train").mkdir(parents=True)
    assert len(load_dataset(split_folder).x_train) == 5


def test_a_single_folder_is_looked_through_and_deeper_images_belong_to_their_class(make_folder):
    folder = make_folder({f"top/inner/{name}/{i}/deep.png": i for name in "ab" for i in range(4)})
    data = load_dataset(folder)
    assert data.class_names == ["a", "b"]
    assert len(data.x_train) + len(data.x_test) == 8


def test_train_can_be_a_class(make_folder):
    data = load_dataset(make_folder({f"{name}/{i}.png": i for name in ("train", "bus", "car") for i in range(3)}))
    assert data.class_names == ["bus", "car", "train"]


def test_suffixes_in_capitals_and_grey_folders(make_folder):
    data = load_dataset(make_folder({f"{name}/{i}.PNG": i for name in "ab" for i in range(3)}, mode="L"))
    assert data.image_shape == (6, 6, 1)
    assert load_dataset(make_folder({}), grayscale=False).image_shape == (6, 6, 3)


def test_unequal_sizes_need_image_size(split_folder, save_image):
    save_image(split_folder / "test" / "2" / "b.png", 5, size=(8, 9))
    with pytest.raises(DatasetError, match=r"test/2/b\.png.*8x9.*image_size"):
        load_dataset(split_folder)
    assert load_dataset(split_folder, image_size=(4, 5)).image_shape == (4, 5, 3)
    assert load_dataset(split_folder, image_size=4).image_shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds none"),
        ({"1.png": 1, "2.png": 2}, r"'\d\.png', in none"),
        ({"a/1.png": 1, "a/2.png": 2}, r"two class folders.*\['a'\]"),
        ({"a/1.png": 1, "a/2.png": 2, "b/1.png": 3}, "1 of class 'b'"),
        ({"a/1.png": 1, "b/1.png": 2, "c.png": 3}, r"'c\.png', in none"),
        ({"train/a/1.png": 1, "train/b/1.png": 2, "c.png": 3}, r"'c\.png', in none"),
        ({"train/1.png": 1, "test/1.png": 2}, r"'train/1\.png', in none"),
        ({"train/a/1.png": 1, "train/b/1.png": 2, "test/a/1.png": 3}, r"\['b'\] in one of them only"),
        ({"train/a/1.png": 1, "train/b/1.png": 2, "test/a/1.png": 3, "test/c/1.png": 3}, r"\['b', 'c'\]"),
        ({"test/a/1.png": 1, "test/b/1.png": 2}, "a train folder"),
        ({"train/a/1.png": 1, "train/b/1.png": 2, "unlabelled/x/1.png": 3}, "also 'unlabelled'"),
        ({"train/a/1.png": 1, "train/b/1.png": 2, "Training/a/1.png": 3}, "also 'Training'|also 'train'"),
        ({"a/train/1.png": 1, "a/test/1.png": 2, "b/train/1.png": 3}, "'t(rain|est)' inside '[ab]'"),
    ],
)
def test_other_layouts_are_explained(make_folder, tmp_path, files, message):
    (tmp_path / "data").mkdir()
    with pytest.raises(DatasetError, match=message):
        load_dataset(make_folder(files))


@pytest.mark.parametrize("parent", ["train", "test"])
def test_an_empty_class_folder_is_named(split_folder, parent):
    (split_folder / parent / "7").mkdir()
    with pytest.raises(DatasetError, match="none in '7'"):
        load_dataset(split_folder)


def test_a_damaged_image_is_named(split_folder):
    (split_folder / "train" / "2" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(DatasetError, match=r"train/2/b\.png"):
        load_dataset(split_folder)


def test_links_are_followed_once(split_folder):
    try:
        (split_folder / "train" / "3").symlink_to(split_folder / "train" / "2")
    except OSError as error:
        pytest.skip(f"no symbolic links here: {error}")
    with pytest.raises(DatasetError, match="link to a folder read before"):
        load_dataset(split_folder)
    (split_folder / "train" / "3").unlink()
    (split_folder / "train" / "2" / "loop").symlink_to(split_folder)
    with pytest.raises(DatasetError, match="link to a folder read before"):
        load_dataset(split_folder)
