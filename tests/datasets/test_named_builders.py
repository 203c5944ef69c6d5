"""Datasets by name through TensorFlow Datasets' own builders, on small local files in place of downloads."""

from __future__ import annotations

import socket
import time

import numpy as np
import pytest
from PIL import Image

from tf_ganmex.datasets import load_dataset, named
from tf_ganmex.errors import DatasetError

COUNTS = {"train": 12, "test": 5}
DIGITS = [str(digit) for digit in range(10)]
CIFAR_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def random_images(shape: tuple[int, ...]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return {
        split: (rng.integers(0, 256, (count, *shape), np.uint8), np.arange(count, dtype=np.uint8) % 10)
        for split, count in COUNTS.items()
    }


def mnist_files(folder, monkeypatch):
    """A header, then bytes (idx)."""
    module = pytest.importorskip("tensorflow_datasets.image_classification.mnist")
    data, files = random_images((28, 28, 1)), {}
    for split, (images, labels) in data.items():
        monkeypatch.setattr(module, f"_{split.upper()}_EXAMPLES", COUNTS[split])
        for key, array, header in ((f"{split}_data", images, 16), (f"{split}_labels", labels, 8)):
            files[key] = str(folder / key)
            (folder / key).write_bytes(bytes(header) + array.tobytes())
    return files, data, DIGITS


def svhn_files(folder, monkeypatch):
    """MATLAB files whose digit 0 has the label 10."""
    from scipy.io import savemat

    data, files = random_images((32, 32, 3)), {}
    for split, (images, labels) in {**data, "extra": data["test"]}.items():
        files[split] = str(folder / f"{split}_32x32.mat")
        digits = np.where(labels == 0, 10, labels)
        savemat(files[split], {"X": np.moveaxis(images, 0, -1), "y": digits[:, np.newaxis]})
    return files, data, DIGITS


def cifar_files(folder, monkeypatch):
    """A label's byte, then the red, the green and the blue plane."""
    data, below = random_images((32, 32, 3)), folder / "cifar-10-batches-bin"
    below.mkdir()
    rows = {
        split: np.column_stack([labels, np.moveaxis(images, -1, 1).reshape(len(images), -1)])
        for split, (images, labels) in data.items()
    }
    for i, part in enumerate(np.array_split(rows["train"], 5), 1):
        (below / f"data_batch_{i}.bin").write_bytes(part.tobytes())
    (below / "test_batch.bin").write_bytes(rows["test"].tobytes())
    (below / "batches.meta.txt").write_text("\n".join(CIFAR_CLASSES) + "\n")
    return str(folder), data, CIFAR_CLASSES


def apple2orange_files(folder, monkeypatch):
    """JPEG files in four folders."""
    data = random_images((16, 16, 3))
    for split, (images, labels) in data.items():
        labels %= 2
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / "apple2orange" / f"{split}{'AB'[label]}" / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
            image[:] = np.asarray(Image.open(path))  # JPEG loses something
    return str(folder), data, ["apple", "orange"]


FILES = {
    "mnist": mnist_files,
    "svhn_cropped": svhn_files,
    "cifar10": cifar_files,
    "apple2orange": apple2orange_files,
}


def sorted_rows(images, labels) -> np.ndarray:
    rows = np.column_stack([labels, images.reshape(len(images), -1)])
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize("name", FILES)
def test_what_is_downloaded_is_prepared_and_read_and_found_again(tmp_path, monkeypatch, name):
    tfds = pytest.importorskip("tensorflow_datasets")
    (tmp_path / "files").mkdir()
    files, expected, class_names = FILES[name](tmp_path / "files", monkeypatch)
    monkeypatch.setattr(named, "can_download", lambda url: True)
    for method in ("download", "download_and_extract"):
        monkeypatch.setattr(tfds.download.DownloadManager, method, lambda self, urls: files)
    size = expected["train"][0].shape[1:3]
    downloaded = load_dataset(name, data_dir=tmp_path / "data", image_size=size)
    monkeypatch.undo()
    monkeypatch.setattr(named, "can_download", lambda url: False)
    for data in (downloaded, load_dataset(name, data_dir=tmp_path / "data", image_size=size)):
        assert (data.name, data.class_names) == (name, class_names)
        for split, (images, labels) in expected.items():
            read = sorted_rows(getattr(data, f"x_{split}"), getattr(data, f"y_{split}"))
            np.testing.assert_array_equal(read, sorted_rows(images / np.float32(255), labels))


@pytest.mark.parametrize("name", FILES)
def test_without_a_network_it_fails_at_once(tmp_path, monkeypatch, name):
    pytest.importorskip("tensorflow_datasets")
    with socket.socket() as unused:  # bound, but nobody listens
        unused.bind(("127.0.0.1", 0))
        for variable in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{unused.getsockname()[1]}")
        monkeypatch.setattr("urllib.request._opener", None)  # it keeps the proxies that it first saw
        start = time.monotonic()
        with pytest.raises(DatasetError, match=f"{name}.*does not answer"):
            load_dataset(name, data_dir=tmp_path)
    assert time.monotonic() - start < 8
