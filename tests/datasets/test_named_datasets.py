"""Datasets by name: TensorFlow Datasets, local copies, and what is said where neither is there."""

from __future__ import annotations

import http.server
import threading
import time

import numpy as np
import pytest

from tf_ganmex.datasets import load_dataset, named
from tf_ganmex.errors import DatasetError

DIGITS = [str(digit) for digit in range(10)]


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr(named, "can_download", lambda url: False)


def prepare(name, version, images, labels, data_dir, *, splits=("train", "test")):
    """A copy as TensorFlow Datasets keeps it, of uint8 images."""
    tf = pytest.importorskip("tensorflow")
    tfds = pytest.importorskip("tensorflow_datasets")
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=images.shape[1:], encoding_format="png"),
            "label": tfds.features.ClassLabel(names=DIGITS),
        }
    )
    half = len(images) // 2
    parts = dict(zip(splits, (slice(0, half), slice(half, None)), strict=True))
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version=version,
        features=features,
        split_datasets={
            split: tf.data.Dataset.from_tensor_slices({"image": images[part], "label": labels[part]})
            for split, part in parts.items()
        },
        data_dir=str(data_dir),
    )


def sorted_rows(images, labels) -> np.ndarray:
    rows = np.column_stack([labels, images.reshape(len(images), -1)])
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize(
    ("name", "version", "shape"),
    [("mnist", "3.0.1", (28, 28, 1)), ("svhn_cropped", "9.0.0", (32, 32, 3)), ("cifar10", "3.0.2", (32, 32, 3))],
)
def test_a_prepared_copy_is_read_without_a_network(tmp_path, digits, no_network, name, version, shape):
    images = np.rint(digits.x_test[:12] * 255).astype(np.uint8)
    images = np.pad(images, ((0, 0), *[((shape[0] - 28) // 2,) * 2] * 2, (0, 0)))
    images = np.repeat(images, shape[2], -1)
    prepare(name, version, images, digits.y_test[:12], tmp_path)
    data = load_dataset(name, data_dir=tmp_path)
    assert data.name == name
    assert data.class_names == DIGITS
    assert data.image_shape == shape
    assert data.y_train.dtype == np.int64
    unit = images.astype(np.float32) / 255
    np.testing.assert_array_equal(sorted_rows(data.x_train, data.y_train), sorted_rows(unit[:6], digits.y_test[:6]))
    np.testing.assert_array_equal(sorted_rows(data.x_test, data.y_test), sorted_rows(unit[6:], digits.y_test[6:12]))


def test_the_newest_whole_version_is_read(tmp_path, digits, no_network):
    images = np.rint(digits.x_test[:8] * 255).astype(np.uint8)
    for version, count in (("3.0.1", 2), ("10.0.0", 8), ("9.9.9", 4)):
        prepare("mnist", version, images[:count], np.arange(count) % 2, tmp_path)
    (tmp_path / "mnist" / "10.0.0").rename(tmp_path / "mnist" / "10.0.0.incomplete")
    assert len(load_dataset("mnist", data_dir=tmp_path).x_train) == 2
    (tmp_path / "mnist" / "10.0.0.incomplete").rename(tmp_path / "mnist" / "10.0.0")
    assert len(load_dataset("mnist", data_dir=tmp_path).x_train) == 4


def test_a_copy_without_a_test_split_is_refused(tmp_path, digits, no_network):
    images = np.rint(digits.x_test[:4] * 255).astype(np.uint8)
    prepare("mnist", "3.0.1", images, digits.y_test[:4], tmp_path, splits=("train", "extra"))
    with pytest.raises(DatasetError, match="splits train and test"):
        load_dataset("mnist", data_dir=tmp_path)


def test_a_damaged_copy_is_refused(tmp_path, digits, no_network):
    images = np.rint(digits.x_test[:4] * 255).astype(np.uint8)
    prepare("mnist", "3.0.1", images, digits.y_test[:4], tmp_path)
    for record in tmp_path.rglob("*tfrecord*"):
        record.write_bytes(record.read_bytes()[:-20])
    with pytest.raises(DatasetError, match=r"mnist.3\.0\.1.*Received"):
        load_dataset("mnist", data_dir=tmp_path)


def test_an_npz_in_data_dir_is_used(tmp_path, no_network):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 28, 28), np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=pixels, y_train=[0, 1, 2, 9], x_test=pixels[:1], y_test=[0])
    data = load_dataset("mnist", data_dir=tmp_path)
    assert data.name == "mnist"
    np.testing.assert_array_equal(data.x_train[..., 0], pixels / np.float32(255))


def test_without_copy_and_network_every_way_out_is_named(tmp_path, no_network, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", lambda self: None)
    with pytest.raises(DatasetError, match="does not answer") as caught:
        load_dataset("mnist", data_dir=tmp_path)
    for way in ("data_dir=DIR", "mnist/VERSION/", "mnist.npz", "FILE.npz", "x_train, y_train", "FOLDER", "FILE.zip"):
        assert way in str(caught.value)


def test_a_failed_download_is_reported(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(named, "can_download", lambda url: True)

    def fail(self, **options):
        raise ConnectionError("reset by peer")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(DatasetError, match=r"download failed: reset by peer.*FILE\.npz"):
        load_dataset("mnist", data_dir=tmp_path)


def test_data_dir_must_be_a_folder(tmp_path):
    (tmp_path / "mnist.npz").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"mnist\.npz.*load_dataset\(path\)"):
        load_dataset("mnist", data_dir=tmp_path / "mnist.npz")


class Server:
    """A local web server that answers at once, with an error, or never."""

    def __init__(self, status: int, delay: float = 0) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                time.sleep(delay)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/file"

    def __exit__(self, *error) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


def test_a_host_that_answers_can_be_downloaded_from(no_proxy):
    with Server(200) as url:
        assert named.can_download(url)


def test_a_host_that_refuses_or_is_not_there_cannot(no_proxy):
    with Server(404) as url:
        assert not named.can_download(url)
    assert not named.can_download(url)
    assert not named.can_download("http://host.invalid/file", timeout=2)


def test_a_silent_host_is_given_up_in_time(no_proxy):
    with Server(200, delay=1.5) as url:
        start = time.monotonic()
        assert not named.can_download(url, timeout=0.2)
        assert time.monotonic() - start < 1


def test_a_slow_look_up_is_given_up_in_time(monkeypatch, no_proxy):
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **options: time.sleep(1.5) or [])
    start = time.monotonic()
    assert not named.can_download("http://example.invalid/file", timeout=0.2)
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("name", ["mnits", "orange2apple", "no/such/folder", "", "x.npz"])
def test_unknown_names_list_what_there_is(name):
    with pytest.raises(DatasetError, match=r"digits, mnist, svhn_cropped, cifar10, apple2orange, .*\.npz"):
        load_dataset(name)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "table.csv").write_text("a,b")
    with pytest.raises(DatasetError, match=r"\.npz, a folder.*table\.csv"):
        load_dataset(tmp_path / "table.csv")
