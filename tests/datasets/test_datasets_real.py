"""Real data sets, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tf_ganmex.datasets import load_dataset
from tf_ganmex.errors import DatasetError

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


def real(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not in ../shared/data")
    return path


def test_mnist_as_keras_keeps_it():
    data = load_dataset(real("mnist.npz"))
    assert data.x_train.shape == (60000, 28, 28, 1)
    assert data.x_test.shape == (10000, 28, 28, 1)
    assert abs(data.x_train.mean() - 0.1307) < 1e-4  # MNIST's known mean
    assert data.y_test[:5].tolist() == [7, 2, 1, 0, 4]
    np.testing.assert_array_equal(load_dataset("mnist", data_dir=DATA).x_test, data.x_test)


def test_places_are_of_one_size():
    data = load_dataset(real("miniplaces_4.zip"))
    assert data.class_names == ["bamboo_forest", "bedroom", "bowling_alley", "bus_interior"]
    assert data.image_shape == (128, 128, 3)
    assert np.bincount(data.y_train).tolist() == [400] * 4
    assert np.bincount(data.y_test).tolist() == [100] * 4


def test_photographs_of_unequal_sizes():
    with pytest.raises(DatasetError, match="Pass image_size"):
        load_dataset(real("apple_orange.zip"))
    data = load_dataset(real("apple_orange.zip"), image_size=(64, 48))
    assert data.image_shape == (64, 48, 3)
    assert data.class_names == ["apple", "orange", "satsumas"]
    assert np.bincount(data.y_train).tolist() == [278, 57, 70]
    assert np.bincount(data.y_test).tolist() == [276, 56, 68]
