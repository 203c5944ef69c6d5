"""Small image folders for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _save_image(path: Path, value: int, *, size=(6, 6), mode="RGB") -> Path:
    """A plain image whose every channel is ``value``; size is (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if mode == "L" else (*size, 3)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)
    return path


@pytest.fixture
def save_image():
    """Writes one plain image: ``save_image(path, value, size=(height, width))``."""
    return _save_image


@pytest.fixture
def make_folder(tmp_path):
    """Writes PNGs to ``tmp_path/name`` and returns that folder: ``{"a/1.png": 10}`` is a grey value per path."""

    def make(values: dict[str, int], name: str = "data", **options) -> Path:
        for path, value in values.items():
            _save_image(tmp_path / name / path, value, **options)
        return tmp_path / name

    return make


@pytest.fixture
def split_folder(make_folder):
    """Train and test folders of classes "2" and "10"; pixel values say which image it is."""
    return make_folder(
        {
            "train/2/a.png": 1,
            "train/2/b.png": 2,
            "train/10/a.png": 101,
            "train/10/b.png": 102,
            "train/10/c.png": 103,
            "test/2/a.png": 3,
            "test/10/a.png": 104,
        }
    )
