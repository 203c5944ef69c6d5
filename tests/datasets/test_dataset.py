"""Dataset: what it refuses, and how the test split is drawn."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from tf_ganmex.datasets import Dataset, load_dataset
from tf_ganmex.datasets.labels import natural_key
from tf_ganmex.datasets.split import stratified_split
from tf_ganmex.errors import DatasetError, ImageError, LabelError, OptionError


def fields(**changes):
    x, y = np.zeros((3, 4, 5, 1), np.float32), np.array([0, 1, 1])
    return {"x_train": x, "y_train": y, "x_test": x[:1], "y_test": y[:1], "class_names": ["a", "b"]} | changes


def test_says_shape_and_number_of_classes_and_is_frozen():
    data = Dataset(**fields(), name="toy")
    assert data.image_shape == (4, 5, 1)
    assert data.num_classes == 2
    assert repr(data) == "Dataset('toy', 3 train and 1 test images of shape (4, 5, 1), 2 classes)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.name = "other"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x_train": np.zeros((3, 4, 5), np.float32)}, ImageError, r"shape=\(3, 4, 5\)"),
        ({"x_train": np.zeros((3, 4, 5, 1))}, ImageError, "float64"),
        ({"x_train": np.full((3, 4, 5, 1), np.nan, np.float32)}, ImageError, "nan"),
        ({"x_train": np.full((3, 4, 5, 1), 1.5, np.float32)}, ImageError, r"maximum=1\.5"),
        ({"x_test": np.zeros((1, 4, 4, 1), np.float32)}, ImageError, "one shape"),
        ({"y_train": np.array([0, 1])}, LabelError, r"shape=\(2,\)"),
        ({"y_train": np.array([0, 1, 2])}, LabelError, r"0 \.\. 1\. Received: 0 \.\. 2"),
        ({"y_train": np.array([0, 1, -1])}, LabelError, r"-1 \.\. 1"),
        ({"y_train": np.array([0, 1, 1], np.int32)}, LabelError, "int32"),
        ({"class_names": ["a"]}, DatasetError, "two classes"),
        ({"class_names": ["a", "a"]}, DatasetError, "'a' twice"),
    ],
)
def test_refuses_what_the_package_cannot_use(changes, error, message):
    with pytest.raises(error, match=message):
        Dataset(**fields(**changes))


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.37, 0.9])
def test_split_is_disjoint_complete_and_stratified(fraction):
    labels = np.random.default_rng(1).choice(4, 500, p=[0.05, 0.15, 0.3, 0.5])
    train, test = stratified_split(labels, fraction, 0, list("abcd"))
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(500))
    assert len(test) == np.ceil(500 * fraction)
    np.testing.assert_allclose(np.bincount(labels[test]), np.bincount(labels) * fraction, atol=1)


def test_split_leaves_an_image_of_every_class_on_both_sides():
    labels = np.array([0] * 50 + [1] * 2)
    for fraction in (0.01, 0.99):
        train, test = stratified_split(labels, fraction, 0, ["a", "b"])
        assert set(labels[train]) == set(labels[test]) == {0, 1}


def test_split_depends_on_the_seed_alone():
    labels = np.arange(100) % 3
    first, again, other = (stratified_split(labels, 0.2, seed, list("abc"))[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_split_names_a_class_of_one_image():
    with pytest.raises(DatasetError, match="1 of class 'b'"):
        stratified_split(np.array([0, 0, 1]), 0.5, 0, ["a", "b"])


def test_tensorflow_is_not_imported_before_it_is_needed():
    program = "import sys, tf_ganmex.datasets; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_natural_order():
    assert sorted(["b10", "10", "B2", "2", "a"], key=natural_key) == ["2", "10", "a", "B2", "b10"]


@pytest.mark.parametrize("size", [0, -3, (4,), (4, 0), (4, 5, 3), 4.5, "28"])
def test_image_size_must_be_pixels(size):
    with pytest.raises(OptionError, match="image_size"):
        load_dataset("digits", image_size=size)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 20, float("nan")])
def test_test_fraction_must_be_a_fraction(fraction):
    with pytest.raises(OptionError, match="test_fraction"):
        load_dataset("digits", test_fraction=fraction)


def test_some_classes_are_kept_and_numbered_in_the_order_given():
    digits = load_dataset("digits")
    some = load_dataset("digits", classes=["9", "4"])
    assert some.class_names == ["9", "4"]
    for split in ("train", "test"):
        images, labels = getattr(digits, f"x_{split}"), getattr(digits, f"y_{split}")
        for number, name in enumerate(some.class_names):
            kept = getattr(some, f"x_{split}")[getattr(some, f"y_{split}") == number]
            np.testing.assert_array_equal(kept, images[labels == int(name)])


def test_masks_go_with_their_images():
    y = np.array([0, 1, 2, 1])
    x = y[:, None, None, None].astype(np.float32) / 2 * np.ones((4, 2, 2, 1), np.float32)
    data = Dataset(x, y, x, y, ["a", "b", "c"], masks_train=x > 0.7, masks_test=None).only(["c", "b"])
    np.testing.assert_array_equal(data.y_train, [1, 0, 1])
    np.testing.assert_array_equal(data.masks_train[:, 0, 0, 0], [False, True, False])
    assert data.masks_test is None


@pytest.mark.parametrize(("names", "message"), [(["a"], "two classes"), (["a", "z"], "'z'"), (["a", "a"], "twice")])
def test_classes_to_keep_must_be_there_and_two_or_more(names, message):
    with pytest.raises(DatasetError, match=message):
        Dataset(**fields()).only(names)
