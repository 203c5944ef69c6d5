"""The digits that need no download."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tf_ganmex.datasets import load_dataset


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def test_shapes_and_types(digits):
    assert digits.x_train.shape == (1437, 28, 28, 1)
    assert digits.x_test.shape == (360, 28, 28, 1)
    assert digits.x_train.dtype == np.float32
    assert digits.y_train.dtype == np.int64
    assert digits.class_names == [str(digit) for digit in range(10)]
    assert digits.name == "digits"


def test_every_source_image_is_there_once_with_its_label(digits):
    source = load_digits()
    images = np.concatenate([digits.x_train, digits.x_test])[..., 0]
    labels = np.concatenate([digits.y_train, digits.y_test])
    # The centre pixel of each enlarged 3x3 cell is the source pixel, resampled at a distance of 0.
    centres = images[:, 3:26:3, 3:26:3].reshape(len(images), -1) * 16
    np.testing.assert_allclose(centres, np.rint(centres), atol=1e-4)
    ours = np.column_stack([np.rint(centres), labels])
    theirs = np.column_stack([source.data, source.target])
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])


def test_border_is_black_and_range_is_full(digits):
    border = digits.x_train.copy()
    border[:, 2:-2, 2:-2] = 0
    assert not border.any()
    assert digits.x_train.min() == 0
    assert digits.x_train.max() == 1


def test_cells_are_interpolated(digits):
    inside = digits.x_train[:, 2:26, 2:26].reshape(-1, 8, 3, 8, 3)
    assert np.abs(inside - inside[:, :, 1:2, :, 1:2]).mean() > 0.05


def test_split_is_fixed_by_the_seed(digits):
    np.testing.assert_array_equal(load_dataset("digits").x_test, digits.x_test)
    assert not np.array_equal(load_dataset("digits", seed=1).x_test, digits.x_test)
    assert len(load_dataset("digits", test_fraction=0.5).x_test) == 899


def test_size_and_colour(digits):
    data = load_dataset("digits", image_size=(14, 20), grayscale=False)
    assert data.image_shape == (14, 20, 3)
    np.testing.assert_array_equal(data.x_test[..., 0], data.x_test[..., 2])
    np.testing.assert_array_equal(data.y_test, digits.y_test)
    # Short side 28 -> 20, so rows 3 to 17 of 20 are kept: the mean of the middle is the mean of the source's middle.
    assert abs(data.x_test[:, 4:10].mean() - digits.x_test[:, 10:18].mean()) < 0.03
