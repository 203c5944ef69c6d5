"""CycleGAN's layout: four splits of TensorFlow Datasets, or four folders, that are two classes."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tf_ganmex.datasets import load_dataset, named
from tf_ganmex.datasets.cyclegan import domain_names
from tf_ganmex.errors import DatasetError

COUNTS = {"trainA": 6, "trainB": 5, "testA": 3, "testB": 4}
FIRST_VALUES = {"trainA": 10, "trainB": 110, "testA": 30, "testB": 130}  # apples below 100, oranges above


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(named, "can_download", lambda url: False)


def plain_images(split: str):
    """Of as many sizes as images, the grey value saying which one it is."""
    for i in range(COUNTS[split]):
        yield np.full((20 + i, 30 - i, 3), FIRST_VALUES[split] + i, np.uint8)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A copy as TensorFlow Datasets keeps it."""
    tf = pytest.importorskip("tensorflow")
    tfds = pytest.importorskip("tensorflow_datasets")
    image = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
    label = tfds.features.ClassLabel(names=["A", "B"])
    signature = {"image": tf.TensorSpec((None, None, 3), tf.uint8), "label": tf.TensorSpec((), tf.int64)}

    def examples(split):
        return ({"image": image, "label": "AB".index(split[-1])} for image in plain_images(split))

    data_dir = tmp_path_factory.mktemp("tfds")
    tfds.dataset_builders.store_as_tfds_dataset(
        name="cycle_gan",
        config="apple2orange",
        version="3.0.0",
        features=tfds.features.FeaturesDict({"image": image, "label": label}),
        split_datasets={
            split: tf.data.Dataset.from_generator(lambda split=split: examples(split), output_signature=signature)
            for split in COUNTS
        },
        data_dir=str(data_dir),
    )
    return data_dir


@pytest.fixture
def folder(make_folder):
    """The unpacked archive."""
    values = {f"{split}/{i}.png": FIRST_VALUES[split] + i for split, count in COUNTS.items() for i in range(count)}
    return make_folder(values, "apple2orange")


def check_plain(data) -> None:
    """Every image is there, in its split and under its label."""
    for split in ("train", "test"):
        images, labels = getattr(data, f"x_{split}"), getattr(data, f"y_{split}")
        assert (np.ptp(images, axis=(1, 2)) == 0).all()
        expected = [FIRST_VALUES[f"{split}{domain}"] + i for domain in "AB" for i in range(COUNTS[f"{split}{domain}"])]
        values = np.rint(images[:, 0, 0, 0] * 255).astype(int)
        assert sorted(values) == expected
        np.testing.assert_array_equal(labels, values > 100)


def test_a_prepared_copy_of_unequal_images(prepared):
    data = load_dataset("apple2orange", data_dir=prepared)
    assert data.class_names == ["apple", "orange"]
    assert data.name == "apple2orange"
    assert data.image_shape == (256, 256, 3)
    check_plain(data)


def test_size_channels_and_order_of_a_prepared_copy(prepared):
    data = load_dataset("apple2orange", data_dir=prepared, image_size=(8, 12), grayscale=True)
    assert data.image_shape == (8, 12, 1)
    check_plain(data)
    assert set(data.y_train[:6]) == {0, 1}
    other, again = (
        load_dataset("apple2orange", data_dir=prepared, image_size=(8, 12), grayscale=True, seed=seed).x_train
        for seed in (1, 0)
    )
    np.testing.assert_array_equal(again, data.x_train)
    assert not np.array_equal(other, data.x_train)


def test_a_copy_without_oranges_is_refused(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "copy")
    (info,) = tmp_path.rglob("dataset_info.json")
    info.write_text(info.read_text().replace('"testB"', '"restB"'))
    with pytest.raises(DatasetError, match=r"trainA and trainB and testA and testB.*restB"):
        load_dataset("apple2orange", data_dir=tmp_path / "copy")


def test_a_damaged_copy_is_refused(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "copy")
    for record in tmp_path.rglob("*testB*tfrecord*"):
        record.write_bytes(record.read_bytes()[:-20])
    with pytest.raises(DatasetError, match=r"apple2orange.3\.0\.0.*Received"):
        load_dataset("apple2orange", data_dir=tmp_path / "copy")


def test_an_unpacked_folder_has_two_classes(folder):
    data = load_dataset(folder)
    assert data.class_names == ["apple", "orange"]
    assert data.name == "apple2orange"
    assert data.image_shape == (6, 6, 3)
    check_plain(data)


def test_an_archive_of_another_name_is_called_by_the_folder_in_it(folder, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "download"), "zip", tmp_path, "apple2orange")
    data = load_dataset(archive)
    assert data.class_names == ["apple", "orange"]
    check_plain(data)


def test_other_folders_have_the_classes_a_and_b(folder):
    for name, below in (("trainA", "traina"), ("testB", "TESTB")):
        (folder / name).rename(folder / below)
    data = load_dataset(folder.rename(folder.parent / "fruit"))
    assert data.class_names == ["A", "B"]
    check_plain(data)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["apple2orange"], ["apple", "orange"]),
        (["vangogh2photo"], ["vangogh", "photo"]),  # A stays the first
        (["summer2winter_yosemite"], ["summer", "winter_yosemite"]),
        (["", "horse2zebra"], ["horse", "zebra"]),
        (["maps"], ["A", "B"]),
        (["photo2photo"], ["A", "B"]),
        (["apple2orange_64"], ["A", "B"]),
    ],
)
def test_names_of_the_two_domains(names, expected):
    assert domain_names(*names) == expected


def test_val_folders_are_left_out_beside_test(folder, save_image):
    for domain in "AB":
        save_image(folder / f"val{domain}" / "a.png", 222)
    check_plain(load_dataset(folder))
    for domain in "AB":
        shutil.rmtree(folder / f"test{domain}")
    assert np.rint(load_dataset(folder).x_test * 255).astype(int).max() == 222


def test_without_test_folders_a_share_is_drawn(folder):
    for domain in "AB":
        shutil.rmtree(folder / f"test{domain}")
    data = load_dataset(folder)
    assert data.class_names == ["apple", "orange"]
    assert (len(data.y_train), len(data.y_test)) == (8, 3)


def test_a_missing_or_strange_folder_is_named(folder, save_image):
    save_image(folder / "samples" / "a.png", 1)
    with pytest.raises(DatasetError, match="also 'samples'"):
        load_dataset(folder)
    shutil.rmtree(folder / "samples")
    shutil.rmtree(folder / "testB")
    with pytest.raises(DatasetError, match="none in testB"):
        load_dataset(folder)


def test_train_a_can_be_a_class(make_folder):
    data = load_dataset(make_folder({f"{name}/{i}.png": i for name in ("trainA", "trainB", "bus") for i in range(3)}))
    assert data.class_names == ["bus", "trainA", "trainB"]


def test_a_folder_of_the_datasets_name_is_pointed_to(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(DatasetError, match=r"trainA, trainB, testA, testB.*write \.[/\\]apple2orange\."):
        load_dataset("apple2orange", data_dir=tmp_path / "tfds")
    check_plain(load_dataset("./apple2orange"))
