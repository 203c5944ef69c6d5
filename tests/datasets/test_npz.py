"""Arrays of the user's own in an .npz."""

from __future__ import annotations

import numpy as np
import pytest

from tf_ganmex.datasets import load_dataset
from tf_ganmex.errors import DatasetError, ImageError, LabelError

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 6), np.uint8)
LABELS = np.array([0, 1, 2, 1])


@pytest.fixture
def load(tmp_path):
    """Saves arrays, these unless told otherwise, and loads them."""

    def save_and_load(*, without=(), **changes):
        arrays = {"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS[:2], "y_test": LABELS[:2]} | changes
        np.savez(tmp_path / "own.npz", **{key: value for key, value in arrays.items() if key not in without})
        return load_dataset(tmp_path / "own.npz")

    return save_and_load


def test_bytes_become_fractions_with_a_channel(load):
    data = load()
    assert data.x_train.dtype == np.float32
    np.testing.assert_array_equal(data.x_train, PIXELS[..., np.newaxis].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(data.y_train, LABELS)
    assert data.y_train.dtype == np.int64
    assert data.class_names == ["0", "1", "2"]
    assert data.name == "own"


@pytest.mark.parametrize(
    "images",
    [
        PIXELS[..., np.newaxis],
        PIXELS.astype(np.uint16) * 257,
        (PIXELS.astype(np.uint16) * 257).astype(">u2"),
        PIXELS / 255,
        (PIXELS / 255).astype(np.float32),
        np.asfortranarray(PIXELS),
    ],
    ids=["channel", "uint16", "big-endian", "float64", "float32", "fortran"],
)
def test_other_types_hold_the_same_images(load, images):
    np.testing.assert_allclose(load(x_train=images).x_train, load().x_train, atol=1e-7)


def test_bool_and_colour_images(load):
    mask = PIXELS > 100
    data = load(x_train=np.stack([mask] * 3, -1), x_test=np.stack([mask[:2]] * 3, -1))
    assert data.image_shape == (5, 6, 3)
    np.testing.assert_array_equal(data.x_train[..., 1], mask)


@pytest.mark.parametrize(
    "labels",
    [LABELS[:, np.newaxis], np.eye(3)[LABELS], LABELS.astype(np.uint8), LABELS.astype(np.float32)],
    ids=["column", "one-hot", "uint8", "float"],
)
def test_other_forms_hold_the_same_labels(load, labels):
    data = load(y_train=labels, y_test=labels[:2])
    np.testing.assert_array_equal(data.y_train, LABELS)
    assert data.num_classes == 3


def test_one_hot_width_is_the_number_of_classes(load):
    data = load(y_train=np.eye(5)[LABELS], y_test=np.eye(5)[LABELS[:2]])
    assert data.class_names == ["0", "1", "2", "3", "4"]


def test_gaps_in_labels_are_kept(load):
    data = load(y_train=np.array([3, 8, 8, 3]), y_test=np.array([8, 3]))
    np.testing.assert_array_equal(data.y_train, [3, 8, 8, 3])
    assert data.class_names == [str(i) for i in range(9)]


def test_class_names(load):
    assert load(class_names=["cat", "dog", "owl"]).class_names == ["cat", "dog", "owl"]
    assert load(class_names=np.array([b"cat", b"dog", b"owl"])).class_names == ["cat", "dog", "owl"]
    assert load(class_names=["cat", "dog", "owl", "unseen"]).num_classes == 4
    assert load(class_names=np.array([7, 8, 9])).class_names == ["7", "8", "9"]


def test_labels_that_are_names(load):
    named = np.array(["10", "2", "x", "2"])
    data = load(y_train=named, y_test=named[:2])
    assert data.class_names == ["2", "10", "x"]
    np.testing.assert_array_equal(data.y_train, [1, 0, 2, 0])
    np.testing.assert_array_equal(data.y_test, [1, 0])
    data = load(y_train=named, y_test=named[:2], class_names=["x", "2", "10"])
    np.testing.assert_array_equal(data.y_train, [2, 1, 0, 1])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"without": ["y_test", "x_test"]}, DatasetError, "x_train, y_train. Add x_test, y_test"),
        ({"x_train": np.array([PIXELS[0], None, 1, 2], object)}, DatasetError, "pickled objects"),
        ({"x_train": np.where(PIXELS > 9, np.nan, 0)}, ImageError, "x_train without NaN"),
        ({"x_train": PIXELS.astype(np.float32)}, ImageError, r"\[0, 1\].*maximum=248"),
        ({"x_test": PIXELS[:2] / -255}, ImageError, r"floating point x_test in \[0, 1\]"),
        ({"x_train": PIXELS.astype(np.int64)}, ImageError, "dtype=int64.*astype"),
        ({"x_train": PIXELS.reshape(4, -1)}, ImageError, r"shape=\(4, 30\)"),
        ({"x_train": np.zeros((4, 3, 16, 16), np.uint8)}, ImageError, "channels first.*transpose"),
        ({"x_test": PIXELS[:2, :4]}, ImageError, "one shape"),
        ({"x_test": PIXELS[:0], "y_test": LABELS[:0]}, LabelError, r"y_test.*shape=\(0,\)"),
        ({"y_train": LABELS[:3]}, LabelError, r"train split.*x_train=\(4, 5, 6\), y_train=\(3,\)"),
        ({"y_train": LABELS - 1}, LabelError, r"y_train\[0\]=-1"),
        ({"y_train": LABELS + 0.5}, LabelError, r"y_train\[0\]=0\.5"),
        ({"y_train": np.array([0, 1, np.nan, 2])}, LabelError, r"y_train\[2\]=nan"),
        ({"y_train": LABELS * 10**6}, LabelError, r"y_train\[1\]=1000000"),
        ({"y_train": np.full((4, 3), 0.3)}, LabelError, "one-hot"),
        ({"y_train": np.eye(3)[LABELS] * 2}, LabelError, "one-hot"),
        ({"y_train": np.eye(3)[LABELS], "y_test": np.eye(2)}, LabelError, "one width"),
        ({"y_train": np.zeros((4, 2, 2))}, LabelError, r"shape=\(4, 2, 2\)"),
        ({"y_train": LABELS * 1j}, LabelError, "complex128"),
        ({"y_train": np.array(["a", "b", "a", "b"])}, LabelError, "both of names"),
        ({"y_train": np.zeros(4, int), "y_test": np.zeros(2, int)}, DatasetError, "two classes.*only label 0"),
        ({"y_test": np.array([0, 7])}, LabelError, "label 7 in y_test only"),
        ({"class_names": ["a", "b"]}, DatasetError, "3 classes. Received: 2 class_names"),
        ({"class_names": ["a", "b", "b"]}, DatasetError, "'b' twice"),
        ({"class_names": np.zeros(3)}, DatasetError, "class_names.*float64"),
    ],
)
def test_says_what_is_wrong(load, changes, error, message):
    with pytest.raises(error, match=message):
        load(**changes)


def test_one_hot_labels_need_as_many_names(load):
    with pytest.raises(DatasetError, match=r"3 classes\. Received: 4 class_names"):
        load(y_train=np.eye(3)[LABELS], y_test=np.eye(3)[:2], class_names=list("abcd"))


def test_names_outside_class_names(load):
    named = np.array(["cat", "dog", "owl", "dog"])
    with pytest.raises(LabelError, match="'owl'"):
        load(y_train=named, y_test=named[:2], class_names=["cat", "dog"])


@pytest.mark.parametrize("content", [b"", b"not an npz", b"PK\x03\x04 cut off"])
def test_damaged_files(tmp_path, content):
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(DatasetError, match=r"own\.npz"):
        load_dataset(tmp_path / "own.npz")


def test_truncated_file(tmp_path, load):
    load()
    whole = (tmp_path / "own.npz").read_bytes()
    (tmp_path / "own.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"own\.npz"):
        load_dataset(tmp_path / "own.npz")


def test_a_single_array_is_no_dataset(tmp_path):
    with (tmp_path / "own.npz").open("wb") as file:
        np.save(file, PIXELS)
    with pytest.raises(DatasetError, match=r"own\.npz"):
        load_dataset(tmp_path / "own.npz")
