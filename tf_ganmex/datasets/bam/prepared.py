"""Makes BAM's copy for TensorFlow Datasets, and reads it."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tf_ganmex.datasets.arrays import parse_size, unit_images
from tf_ganmex.datasets.bam.composites import BamOptions, identifier
from tf_ganmex.datasets.dataset import Dataset
from tf_ganmex.datasets.named import prepared_folder, reading
from tf_ganmex.errors import DatasetError

if TYPE_CHECKING:
    from tf_ganmex.datasets.bam.builder import Bam

__all__ = ["is_bam", "load_bam", "prepare_bam"]

NAME = "bam"


def prepare_bam(
    *,
    coco: str | os.PathLike[str],
    scenes: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    objects: Sequence[str] = BamOptions.objects,
    scene_classes: Sequence[str] = BamOptions.scene_classes,
    image_size: int | tuple[int, int] = BamOptions.image_size,
    train_per_class: int = BamOptions.train_per_class,
    test_per_class: int = BamOptions.test_per_class,
    test_share: float = BamOptions.test_share,
    min_object_size: int = BamOptions.min_object_size,
    instances: str = BamOptions.instances,
    share_objects: bool = BamOptions.share_objects,
    seed: int = BamOptions.seed,
) -> Path:
    """Pastes objects of COCO into scenes and stores the images for ``load_dataset("bam", data_dir=...)``.

    Every pair of an object and a scene is a class, the paper's four by default; of class i, the object is
    ``objects[i // len(scene_classes)]`` and the scene ``scene_classes[i % len(scene_classes)]``. The object's binding
    side is 1/sqrt(3) to 1/sqrt(2) of the scene's, at a random place. An image depends on seed, split, class and index
    alone. No photograph of an object, and no scene, is in both splits.

    Args:
        coco: a folder with COCO's photographs (``train2017/`` or ``images/train2017/``) and
            ``annotations/instances_train2017.json``; or such a json file, of another split say.
        scenes: a folder with a folder of photographs per scene, as MiniPlaces and Places365 come (``train/CLASS``,
            ``images/train/b/bedroom``, ``data_256/b/bedroom``). Train and test (or val) folders are kept as splits.
        data_dir: where to store the copy, as ``bam/CLASSES/VERSION``. None: TensorFlow Datasets' default.
        objects: COCO categories.
        scene_classes: scene folders; ``track/outdoor`` is a folder in a folder.
        image_size: height and width in pixels, at least 8, or one number for both.
        train_per_class: images a class; objects and scenes come again, in another order, once all have been taken.
        test_per_class: likewise.
        test_share: in (0, 1), of the photographs of an object and of a scene without a test folder: at least one.
        min_object_size: the longer side of an object's box in its photograph, in pixels.
        instances: ``"largest"``: one object a photograph, as published; ``"all"``.
        share_objects: whether both splits have the same objects, for objects of few photographs: the test split then
            says nothing about objects never seen.
        seed: of all draws.

    Returns:
        The folder of the prepared copy. One that is already there and was made with the same options is kept.

    Raises:
        DatasetError: no such photographs, too few of them, or a copy of other options in the same place.
        OptionError: an option out of range.

    Reference:
        Yang and Kim, "Benchmarking Attribution Methods with Relative Feature Importance", arXiv:1907.09701.
    """
    options = BamOptions(
        objects=_tuple(objects),
        scene_classes=_tuple(scene_classes),
        image_size=parse_size(image_size) or BamOptions.image_size,
        train_per_class=train_per_class,
        test_per_class=test_per_class,
        test_share=test_share,
        min_object_size=min_object_size,
        instances=instances,
        share_objects=share_objects,
        seed=seed,
    )
    if share_objects:
        warnings.warn(
            "share_objects: the test split shows the objects trained on in new scenes, places and sizes; no new one.",
            UserWarning,
            stacklevel=2,
        )
    builder = _builder(Path(coco).expanduser(), Path(scenes).expanduser(), _root(data_dir), options)
    folder = Path(builder.data_path)
    if folder.exists() and dict(builder.info.metadata or {}) != json.loads(json.dumps(asdict(options))):
        raise DatasetError(
            f"Expected no BAM made with other options in {folder}. Received: {dict(builder.info.metadata)}. "
            "Give another data_dir, or remove that folder."
        )
    builder.download_and_prepare()
    return folder


def is_bam(name_or_path: object) -> bool:
    """Whether ``load_dataset`` means BAM: "bam", or "bam/CLASSES" where there is no such path."""
    if not isinstance(name_or_path, str):
        return False
    return name_or_path == NAME or (name_or_path.startswith(f"{NAME}/") and not Path(name_or_path).exists())


def load_bam(name: str, data_dir: str | os.PathLike[str] | None) -> Dataset:
    """Loads what :func:`prepare_bam` made.

    Args:
        name: ``bam``, or ``bam/CLASSES`` where there are several in ``data_dir``.
        data_dir: as given to ``prepare_bam``.

    Returns:
        Its images, labels and masks, in the mixed order they are stored in.

    Raises:
        DatasetError: no prepared copy, several, or a damaged one.
    """
    import tensorflow_datasets as tfds

    root = _root(data_dir)
    folder = _find(root, name)
    arrays: dict[str, np.ndarray] = {}
    builder = tfds.builder_from_directory(folder)
    with reading(builder):
        for split in ("train", "test"):
            batch = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
            arrays[f"x_{split}"] = unit_images(f"{name} ({split})", batch["image"])
            arrays[f"y_{split}"] = batch["label"].astype(np.int64)
            arrays[f"masks_{split}"] = batch["mask"] > 0
    classes = folder.parent.name
    return Dataset(
        **arrays,
        class_names=list(builder.info.features["label"].names),
        name=NAME if classes == _classes(BamOptions()) else f"{NAME} ({classes})",
    )


def _find(root: Path, name: str) -> Path:
    prepared = {
        f"{NAME}/{classes.name}": folder
        for classes in sorted(root.glob(f"{NAME}/*"))
        if (folder := prepared_folder(classes)) is not None
    }
    if name in prepared:
        return prepared[name]
    if name == NAME and len(prepared) == 1:
        return next(iter(prepared.values()))
    if prepared:
        raise DatasetError(
            f"Expected one of the prepared {', '.join(map(repr, prepared))} in {root}. Received: {name!r}. "
            "Load one of them by that name."
        )
    raise DatasetError(
        f"Expected a prepared BAM in data_dir={str(root)!r}, as {NAME}/CLASSES/VERSION. Received: none there. "
        "It cannot be downloaded; make it from COCO and from MiniPlaces or Places365 with: "
        f"ganmex prepare-bam --coco COCO --scenes PLACES --data-dir {root} (gx.datasets.prepare_bam in Python)."
    )


def _builder(coco: Path, scenes: Path, root: Path, options: BamOptions) -> Bam:
    from tf_ganmex.datasets.bam.builder import Bam, BamConfig

    return Bam(data_dir=root, config=BamConfig(_classes(options), coco=coco, scenes=scenes, options=options))


def _classes(options: BamOptions) -> str:
    """What the copy's folder is called."""
    return "-in-".join("+".join(map(identifier, names)) for names in (options.objects, options.scene_classes))


def _root(data_dir: str | os.PathLike[str] | None) -> Path:
    if data_dir is None:
        import tensorflow_datasets as tfds

        return Path(tfds.core.constants.DATA_DIR)
    return Path(data_dir).expanduser()


def _tuple(names: Sequence[str]) -> tuple[str, ...]:
    """One name as one, not as its letters."""
    return (names,) if isinstance(names, str) else tuple(names)
