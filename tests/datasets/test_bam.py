"""BAM: what is pasted where, which pixels the masks name, and what is said where something is missing."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import bam_sources as sources
import numpy as np
import pytest
from PIL import Image

from tf_ganmex.cli import main
from tf_ganmex.datasets import load_dataset, prepare_bam
from tf_ganmex.datasets.bam.coco import cut_out, instance_mask, read_instances
from tf_ganmex.datasets.bam.composites import BamOptions, Composites, compose
from tf_ganmex.datasets.bam.scenes import find_scenes
from tf_ganmex.errors import DatasetError, OptionError

SMALL = {"image_size": sources.SIZE, "train_per_class": 6, "test_per_class": 3, "min_object_size": 10}
CLASSES = ["pizza_bedroom", "pizza_bamboo_forest", "stop_sign_bedroom", "stop_sign_bamboo_forest"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sources")
    coco = sources.write_coco(root / "coco")
    scenes = sources.write_scenes(root / "places", "train/bedroom", "train/bamboo_forest")
    return {"coco": coco, "scenes": scenes}


@pytest.fixture(scope="module")
def data_dir(inputs, tmp_path_factory) -> Path:
    """The paper's four classes, made by the real builder."""
    folder = tmp_path_factory.mktemp("data")
    prepared = prepare_bam(**inputs, data_dir=folder, **SMALL)
    assert prepared == folder / "bam" / "pizza+stop_sign-in-bedroom+bamboo_forest" / "1.0.0"
    return folder


@pytest.fixture
def make(inputs):
    """Composites of the small photographs, without storing them."""

    def composites(**options) -> Composites:
        return Composites(**inputs, options=BamOptions(**{**SMALL, "image_size": (sources.SIZE,) * 2, **options}))

    return composites


def records(data_dir: Path, split: str) -> list[dict]:
    import tensorflow_datasets as tfds

    (folder,) = data_dir.glob("bam/*/1.0.0")
    return list(tfds.as_numpy(tfds.builder_from_directory(folder).as_dataset(split=split)))


def test_the_papers_four_classes_by_name(data_dir):
    data = load_dataset("bam", data_dir=data_dir)
    assert (data.name, data.class_names) == ("bam", CLASSES)
    assert np.bincount(data.y_train).tolist() == [6] * 4 and np.bincount(data.y_test).tolist() == [3] * 4
    assert data.image_shape == (sources.SIZE, sources.SIZE, 3)
    for images, labels, masks in (
        (data.x_train, data.y_train, data.masks_train),
        (data.x_test, data.y_test, data.masks_test),
    ):
        assert masks.shape == (len(images), sources.SIZE, sources.SIZE, 1) and masks.dtype == bool
        for image, label, mask in zip(images, labels, masks, strict=True):
            red_and_blue = np.rint(255 * image[mask[..., 0]])[:, [0, 2]]
            assert (red_and_blue == [[200, 40], [30, 220]][label // 2]).all()


def test_the_scene_is_kept_outside_the_mask_and_the_object_alone_is_inside(inputs, data_dir):
    for split in ("train", "test"):
        for record in records(data_dir, split):
            inside = record["mask"][..., 0] == 255
            assert (record["mask"][~inside] == 0).all()
            scene = np.asarray(Image.open(inputs["scenes"] / record["scene_source"].decode()))
            np.testing.assert_array_equal(record["image"][~inside], scene[~inside])
            photo = int(record["object_source"].decode().split(".")[0])
            colour = (200, 10 * photo, 40) if photo < 5 else (30, 10 * (photo - 5), 220)
            assert (record["image"][inside] == colour).all()  # nothing of the green around it
            assert (record["object"], record["scene"]) == divmod(record["label"], 2)


@pytest.mark.parametrize("share", [False, True])
def test_no_scene_and_unless_asked_for_no_photograph_of_an_object_is_in_both_splits(make, share):
    composites = make(share_objects=share, instances="all", train_per_class=40, test_per_class=40)
    used = {split: [example for _, example in composites.examples(split)] for split in ("train", "test")}
    scenes = [{example["scene_source"] for example in used[split]} for split in used]
    photos = [{example["object_source"].split("#")[0] for example in used[split]} for split in used]
    assert scenes[0].isdisjoint(scenes[1]) and len(scenes[0] | scenes[1]) == 10
    assert photos[0] == photos[1] if share else photos[0].isdisjoint(photos[1])
    assert len(photos[0] | photos[1]) == 10


def test_an_image_depends_on_seed_split_class_and_index_alone(make):
    whole = dict(make(seed=3).examples("train"))
    assert all_equal(whole, dict(make(seed=3).examples("train")))
    more = dict(
        make(seed=3, train_per_class=9, objects=("stop sign",), scene_classes=("bamboo_forest", "bedroom")).examples(
            "train"
        )
    )
    same = {key: whole[key] for key in whole.keys() & more.keys()}
    assert len(same) == 12 and all_equal(same, {key: more[key] for key in same})
    assert not all_equal(whole, dict(make(seed=4).examples("train")))


def test_the_seed_decides_object_scene_and_place(tmp_path, inputs):
    scenes = sources.write_scenes(tmp_path, "train/bedroom", "test/bedroom")  # a split that is not drawn
    small = {**SMALL, "image_size": (sources.SIZE,) * 2, "scene_classes": ("bedroom",), "share_objects": True}

    def draws(seed):
        composites = Composites(inputs["coco"], scenes, BamOptions(**small, seed=seed))
        pizzas = [
            example for key, example in composites.examples("train") if key.startswith("pizza")
        ]  # all of one shape
        return [[example[what] for example in pizzas] for what in ("object_source", "scene_source", "mask")]

    for first, second in zip(draws(0), draws(1), strict=True):
        assert not np.array_equal(first, second)


def all_equal(some: dict[str, dict], others: dict[str, dict]) -> bool:
    return all(np.array_equal(some[key][name], others[key][name]) for key in some for name in some[key])


def test_sources_come_once_before_they_come_again_and_go_together_by_index(make):
    composites = make(train_per_class=8)
    examples = dict(composites.examples("train"))
    scenes = [examples[f"pizza_bedroom-{index:05}"]["scene_source"] for index in range(8)]
    assert len(set(scenes[:4])) == len(set(scenes[4:])) == 4
    for index in range(8):
        of = {name: examples[f"{name}-{index:05}"] for name in CLASSES}
        assert of["pizza_bedroom"]["object_source"] == of["pizza_bamboo_forest"]["object_source"]
        assert of["pizza_bedroom"]["scene_source"] == of["stop_sign_bedroom"]["scene_source"]
        assert not np.array_equal(of["pizza_bedroom"]["mask"], of["pizza_bamboo_forest"]["mask"])


@pytest.mark.parametrize(("shape", "scene"), [((30, 90), (96, 96)), ((300, 100), (96, 96)), ((50, 60), (60, 100))])
def test_the_binding_side_is_between_the_published_bounds_and_every_place_is_used(shape, scene):
    background, pixels = np.zeros((*scene, 3), np.uint8), np.full((*shape, 3), 255, np.uint8)
    binding = int(np.argmax(np.array(shape) / scene))
    low, high = math.ceil(scene[binding] / math.sqrt(3)), math.floor(scene[binding] / math.sqrt(2))
    sides, starts, ends = set(), set(), set()
    for seed in range(400):
        image, mask = compose(background, pixels, np.ones(shape, bool), np.random.default_rng(seed))
        np.testing.assert_array_equal(image[..., 0] == 255, mask)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        sides.add(side := (len(rows), len(columns))[binding])
        other = (len(rows), len(columns))[1 - binding]
        assert abs(other - side * shape[1 - binding] / shape[binding]) <= 0.5
        starts.add((rows[0] == 0, columns[0] == 0))
        ends.add((rows[-1] == scene[0] - 1, columns[-1] == scene[1] - 1))
    assert sides == set(range(low, high + 1))
    for edges in (starts, ends):
        assert any(row for row, _ in edges) and any(column for _, column in edges)


def test_an_object_as_thin_as_a_line_is_still_seen():
    mask = np.eye(400, dtype=bool)
    _, placed = compose(
        np.zeros((32, 32, 3), np.uint8), np.full((400, 400, 3), 9, np.uint8), mask, np.random.default_rng(0)
    )
    assert placed.any()


def test_one_object_a_photograph_or_all_of_a_size(make):
    def pizzas(**options):
        splits = make(**options).objects["pizza"]
        return len(splits["train"] + splits["test"])

    assert (pizzas(), pizzas(instances="all"), pizzas(instances="all", min_object_size=13)) == (5, 10, 5)
    with pytest.raises(DatasetError, match=r"a pizza of at least 45 pixels.*10 smaller"):
        make(min_object_size=45)


def test_polygons_and_run_lengths_are_the_pixels_that_coco_means():
    rectangle = sources.rectangle(10, 5, 44, 30)
    corners = [[10, 5, 54, 5, 54, 35, 10, 35]]
    np.testing.assert_array_equal(instance_mask(corners, (60, 80)), rectangle)
    np.testing.assert_array_equal(instance_mask([corners[0], [0, 0, 1, 1]], (60, 80)), rectangle)  # two corners: none
    runs = {"counts": [10 * 60 + 5, *[30, 30] * 43, 30, 25 + 26 * 60], "size": [60, 80]}
    np.testing.assert_array_equal(instance_mask(runs, (60, 80)), rectangle)
    # Texts of pycocotools 2.0.11.
    ring = np.array(
        [[0, 0, 0, 0, 0, 0, 1], [0, 0, 1, 1, 1, 1, 0], [0, 0, 1, 0, 1, 1, 0], [0, 0, 1, 1, 1, 1, 0], [0] * 7]
    )
    np.testing.assert_array_equal(instance_mask({"counts": ";32NO01200ON3", "size": [5, 7]}, (5, 7)), ring)
    hole = np.zeros((60, 40), bool)
    hole[5:55, 3:30] = True
    hole[20:30, 10:12] = False
    hole[0, 0] = True
    text = "01h5a1bJ000000000000mN0:0F0:0i00000000000000000000000000000000000cb0"
    np.testing.assert_array_equal(instance_mask({"counts": text, "size": [60, 40]}, (60, 40)), hole)
    with pytest.raises(DatasetError, match="2400 pixels"):
        instance_mask({"counts": text[:-1], "size": [60, 40]}, (60, 40))


def test_a_cut_out_is_the_tight_rectangle_of_the_object(inputs):
    (first, *_) = read_instances(inputs["coco"], ["stop_sign"])["stop_sign"]
    pixels, mask = cut_out(first)
    whole = sources.diamond(20, 2, 20, 50)
    np.testing.assert_array_equal(mask, whole[whole.any(1)][:, whole.any(0)])
    assert (pixels[mask] == (30, 0, 220)).all() and (pixels[~mask] == (0, 255, 0)).all()


@pytest.mark.parametrize("folder", ["{split}", "images/{split}", "images", "."])
def test_photographs_are_found_in_every_layout_and_missing_ones_left_out(tmp_path, folder):
    coco = sources.write_coco(tmp_path, photos=3, folder=folder)
    sources.write_coco(tmp_path / "other", photos=2, split="val2017")
    (coco / folder.format(split="train2017") / "000000000001.png").unlink()
    (tmp_path / "other/annotations/instances_val2017.json").rename(coco / "annotations/instances_val2017.json")
    found = read_instances(coco, ["pizza", "stop sign"])
    assert [instance.source for instance in found["pizza"]] == [
        f"{n:012}.png#{i}" for n, i in ((0, 0), (0, 1), (2, 4), (2, 5))
    ]
    assert len(found["stop sign"]) == 3
    by_file = read_instances(coco / "annotations/instances_train2017.json", ["pizza"])
    assert [i.source for i in by_file["pizza"]] == [i.source for i in found["pizza"]]


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (["bedroom"], {"all": "bedroom"}),
        (["train/bedroom"], {"all": "train/bedroom"}),
        (["val/bedroom"], {"all": "val/bedroom"}),
        (["images/train/b/bedroom", "images/val"], {"all": "images/train/b/bedroom"}),
        (["data_256/b/bedroom"], {"all": "data_256/b/bedroom"}),
        (["train/bedroom", "test/bedroom"], {"train": "train/bedroom", "test": "test/bedroom"}),
        (["train/bedroom", "val/bedroom", "test/bedroom"], {"train": "train/bedroom", "test": "test/bedroom"}),
        (
            ["places/train/bedroom", "places/val/bedroom"],
            {"train": "places/train/bedroom", "test": "places/val/bedroom"},
        ),
    ],
)
def test_scenes_are_found_in_every_layout(tmp_path, folders, splits):
    sources.write_scenes(tmp_path, *folders, count=2, size=4)
    found = find_scenes(tmp_path, "bedroom")
    assert {split: [file.name for file in files] for split, files in found.items()} == {
        split: [f"{folder}/0.png", f"{folder}/1.png"] for split, folder in splits.items()
    }


def test_a_scene_in_a_folder_of_a_folder_and_one_that_is_there_twice(tmp_path):
    sources.write_scenes(tmp_path, "images/train/t/track/outdoor", "images/train/t/track/indoor", count=1, size=4)
    assert len(find_scenes(tmp_path, "track/outdoor")["all"]) == 1
    assert len(find_scenes(tmp_path, "track")["all"]) == 2
    sources.write_scenes(tmp_path, "data_256/t/track/outdoor", count=1, size=4)
    with pytest.raises(DatasetError, match=r"one folder of the scene 'track'.*data_256.*images.train"):
        find_scenes(tmp_path, "track")


def test_the_folders_own_test_scenes_are_kept(tmp_path, inputs):
    scenes = sources.write_scenes(tmp_path, "train/bedroom", "test/bedroom", count=2)
    options = BamOptions(
        scene_classes=("bedroom",), image_size=(sources.SIZE,) * 2, min_object_size=10, train_per_class=4
    )
    composites = Composites(inputs["coco"], scenes, options)
    used = {example["scene_source"] for _, example in composites.examples("train")}
    assert used == {"train/bedroom/0.png", "train/bedroom/1.png"}
    assert {example["scene_source"].split("/")[0] for _, example in composites.examples("test")} == {"test"}


def test_masks_are_resized_with_the_images(data_dir):
    whole, half = load_dataset("bam", data_dir=data_dir), load_dataset("bam", data_dir=data_dir, image_size=16)
    assert half.masks_train.shape == (24, 16, 16, 1) and half.masks_train.dtype == bool
    assert abs(half.masks_train.mean() - whole.masks_train.mean()) < 0.02
    inner = np.rint(255 * half.x_train[..., 2:]) == np.where(half.y_train < 2, 40, 220)[:, None, None, None]
    assert (half.masks_train | ~inner).mean() > 0.99


def test_the_same_options_keep_the_copy_and_others_are_refused(inputs, data_dir):
    (info,) = data_dir.glob("bam/*/1.0.0/dataset_info.json")
    before = info.stat().st_mtime_ns
    prepare_bam(**inputs, data_dir=data_dir, **SMALL)
    assert info.stat().st_mtime_ns == before
    for other in ({"seed": 1}, {"image_size": 16}, {"train_per_class": 7}):
        with pytest.raises(DatasetError, match="another data_dir"):
            prepare_bam(**inputs, data_dir=data_dir, **{**SMALL, **other})
    assert len(load_dataset("bam", data_dir=data_dir).x_train) == 24


def test_the_command_makes_a_second_set_beside_the_first(inputs, data_dir, tmp_path, capsys):
    data_dir = shutil.copytree(data_dir, tmp_path / "data")
    paths = [str(word) for name in inputs for word in (f"--{name}", inputs[name])]
    sizes = ["--image-size", "16", "--train-per-class", "2", "--test-per-class", "1", "--min-object-size", "9"]
    pair = ["--objects", "pizza", "stop sign", "--scene-classes", "bedroom", "--share-objects"]
    assert main(["prepare-bam", *paths, "--data-dir", str(data_dir), *pair, *sizes]) == 0
    captured = capsys.readouterr()
    assert "pizza+stop_sign-in-bedroom" in captured.out and "no new one" in captured.err
    data = load_dataset("bam/pizza+stop_sign-in-bedroom", data_dir=data_dir)
    assert data.name == "bam (pizza+stop_sign-in-bedroom)" and data.x_train.shape == (4, 16, 16, 3)
    with pytest.raises(DatasetError, match=r"bam/pizza\+stop_sign-in-bedroom'.*Received: 'bam'"):
        load_dataset("bam", data_dir=data_dir)
    assert main(["prepare-bam", *paths, "--objects", "pizzas", "--data-dir", str(data_dir)]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1 and "'pizza'" in errors[0]


def test_the_same_seed_gives_the_same_files(inputs, data_dir, tmp_path):
    prepare_bam(**inputs, data_dir=tmp_path, **SMALL)
    for file in tmp_path.rglob("*tfrecord*"):
        assert file.read_bytes() == (data_dir / file.relative_to(tmp_path)).read_bytes()


def test_a_damaged_copy_is_refused(data_dir, tmp_path):
    copy = shutil.copytree(data_dir, tmp_path / "data")
    for file in copy.rglob("*tfrecord*"):
        file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DatasetError, match=r"1\.0\.0.*prepare or copy it again"):
        load_dataset("bam", data_dir=copy)


@pytest.mark.parametrize("name", ["bam", "bam/dog-in-bedroom"])
def test_without_a_copy_the_command_that_makes_one_is_said(tmp_path, name):
    with pytest.raises(DatasetError, match="ganmex prepare-bam --coco COCO --scenes PLACES --data-dir"):
        load_dataset(name, data_dir=tmp_path)


def test_a_folder_called_bam_can_be_read_by_its_path(make_folder, monkeypatch, tmp_path):
    make_folder({"a/1.png": 1, "a/2.png": 2, "b/1.png": 3, "b/2.png": 4}, name="bam/photos")
    monkeypatch.chdir(tmp_path)
    assert load_dataset("bam/photos").class_names == load_dataset("./bam/photos").class_names == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objects": ()}, "objects as names"),
        ({"objects": ("pizza", "pizza")}, "none twice"),
        ({"objects": "pizza", "scene_classes": "bedroom"}, "two names"),
        ({"objects": ("dog", "dog_x"), "scene_classes": ("x_y", "y")}, "different classes"),
        ({"image_size": 4}, "8 pixels"),
        ({"image_size": "big"}, "image_size"),
        ({"train_per_class": 0}, "train_per_class as an integer from 1"),
        ({"test_per_class": 1.5}, "test_per_class"),
        ({"test_share": 1}, "between 0 and 1"),
        ({"instances": "some"}, "'largest' or 'all'"),
        ({"seed": None}, "seed as an integer"),
    ],
)
def test_wrong_options(inputs, tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        prepare_bam(**inputs, data_dir=tmp_path, **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objects": ("pizzza", "dog")}, r"among the 3 categories.*'pizzza'.*'pizza'"),
        ({"objects": ("dog", "pizza")}, "a dog of at least 10 pixels"),
        ({"scene_classes": ("kitchen",)}, r"scene 'kitchen'.*CLASS.*it holds train.*Unpack MiniPlaces"),
        ({"coco": "nowhere"}, r"nowhere.*no such folder.*train2017\.zip"),
        ({"coco": "places"}, r"no such file in it.*annotations_trainval2017\.zip"),
        ({"scenes": "nowhere"}, "nowhere.*no such folder"),
    ],
)
def test_missing_photographs_are_said_with_where_to_get_them(inputs, tmp_path, changes, message):
    paths = {**inputs, **{name: inputs["coco"].parent / changes[name] for name in changes.keys() & inputs.keys()}}
    with pytest.raises(DatasetError, match=message):
        prepare_bam(data_dir=tmp_path, **{**SMALL, **changes, **paths})


@pytest.fixture
def broken(tmp_path):
    """A fresh copy of the photographs to break, and how to make BAM of it."""
    coco = sources.write_coco(tmp_path / "coco", photos=2)
    scenes = sources.write_scenes(tmp_path / "places", "bedroom", count=2)

    def prepare():
        return prepare_bam(coco=coco, scenes=scenes, data_dir=tmp_path / "data", scene_classes="bedroom", **SMALL)

    return coco, scenes, prepare


def test_a_damaged_photograph_stops_it_and_leaves_no_copy(broken, tmp_path):
    coco, _, prepare = broken
    for photo in (coco / "train2017").glob("*.png"):
        photo.write_bytes(photo.read_bytes()[:60])
    with pytest.raises(DatasetError, match=r"cannot be read.*Copy it again"):
        prepare()
    assert not list((tmp_path / "data").rglob("dataset_info.json"))


def test_a_resized_photograph_is_refused(broken):
    coco, _, prepare = broken
    for photo in (coco / "train2017").glob("*.png"):
        Image.open(photo).resize((40, 30)).save(photo)
    with pytest.raises(DatasetError, match=r"60x80 pixels.*Received: 30x40"):
        prepare()


def test_one_photograph_is_too_few_unless_shared(broken):
    coco, scenes, prepare = broken
    (coco / "train2017/000000000001.png").unlink()
    with pytest.raises(DatasetError, match=r"pizza for both splits.*share_objects=True"):
        prepare()
    (scenes / "bedroom/0.png").unlink()
    with pytest.raises(DatasetError, match="'bedroom' for both splits"):
        Composites(coco, scenes, BamOptions(scene_classes=("bedroom",), share_objects=True, min_object_size=10))


@pytest.mark.parametrize(
    "content", ["", "[]", '{"images": []}', json.dumps({"categories": [1], "images": [], "annotations": []})]
)
def test_damaged_annotations(broken, content):
    coco, _, prepare = broken
    (coco / "annotations/instances_train2017.json").write_text(content)
    with pytest.raises(DatasetError, match=r"instance annotations in .*instances_train2017\.json"):
        prepare()


def test_several_splits_without_train2017_need_a_choice(broken):
    coco, _, _ = broken
    sources.write_coco(coco, split="b")
    (coco / "annotations/instances_train2017.json").rename(coco / "annotations/instances_a.json")
    with pytest.raises(DatasetError, match=r"instances_a\.json, instances_b\.json.*Give the file"):
        read_instances(coco, ["pizza"])


def test_nothing_of_tensorflow_datasets_is_imported_with_the_package():
    code = "import sys, tf_ganmex.datasets; sys.exit('tensorflow_datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0


def test_real_photographs(shared, tmp_path):
    files = {name: shared / "data" / name for name in ("coco128_instances.zip", "miniplaces_4.zip")}
    for file in files.values():
        if not file.is_file():
            pytest.skip(f"needs {file.name} in the shared data")
    coco, scenes = (tmp_path / Path(name).stem for name in files)
    with zipfile.ZipFile(files["coco128_instances.zip"]) as archive:
        archive.extractall(coco)
    with zipfile.ZipFile(files["miniplaces_4.zip"]) as archive:
        archive.extractall(scenes, [name for name in archive.namelist() if "/be" in name or "/bamboo" in name])
    paths = {"coco": coco, "scenes": scenes, "data_dir": tmp_path / "data"}
    with pytest.raises(DatasetError, match="stop sign for both splits"):
        prepare_bam(**paths, train_per_class=4, test_per_class=4)
    prepare_bam(**paths, objects=("pizza", "elephant"), instances="all", train_per_class=4, test_per_class=4)
    data = load_dataset("bam", data_dir=tmp_path / "data")
    assert data.x_train.shape == (16, 128, 128, 3)
    for masks in (data.masks_train, data.masks_test):
        assert (masks.mean((1, 2, 3)) > 0.02).all() and (masks.mean((1, 2, 3)) < 0.5).all()
    pixels = {
        split: [example["scene_source"] for example in records(tmp_path / "data", split)] for split in ("train", "test")
    }
    assert {name[:5] for name in map(bytes.decode, pixels["test"])} == {"test/"}
    assert {name[:6] for name in map(bytes.decode, pixels["train"])} == {"train/"}
