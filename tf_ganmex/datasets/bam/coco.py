"""Cut-outs of single objects from images with COCO's instance annotations."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tf_ganmex.datasets.images import FORMATS
from tf_ganmex.errors import DatasetError

__all__ = ["Instance", "cut_out", "read_instances"]

DEFAULT_SPLIT = "train2017"  # the one that BAM was made of, taken where a folder holds several
LAYOUT = "train2017/*.jpg (or images/train2017/*.jpg) and annotations/instances_train2017.json"
CORNERS = 3  # of the smallest polygon
FINER = 4  # Pillow's polygons are fat by half a pixel: drawn finer, they agree with COCO's own masks to 99 % (IoU)


@dataclass(frozen=True, eq=False)  # compared, and kept in a cache, as the object it is
class Instance:
    """One annotated object: the photograph it is in, and where it is in it.

    Args:
        photo: the photograph's file.
        size: its height and width in pixels.
        number: the annotation's id.
        area: in pixels.
        box: x, y, width and height in pixels.
        segmentation: polygons, or run lengths (compressed or not).
    """

    photo: Path
    size: tuple[int, int]
    number: int
    area: float
    box: tuple[float, float, float, float]
    segmentation: Any

    @property
    def source(self) -> str:
        """Which object of which photograph, as ``FILE#ID``."""
        return f"{self.photo.name}#{self.number}"


def read_instances(coco: Path, names: Sequence[str]) -> dict[str, list[Instance]]:
    """Lists the instances of some categories, those of photographs that are not there left out.

    Args:
        coco: COCO's folder, or one of its ``instances_*.json`` files. Of several files in a folder, the one of
            ``train2017`` is read.
        names: of categories, with spaces or underscores.

    Returns:
        For every name its instances, groups of objects that are annotated as one (``iscrowd``) included, in the
        order of the photographs' names and of the annotations' ids.

    Raises:
        DatasetError: no annotations, no photographs, an unknown category, or a damaged file.
    """
    annotations = _annotations_file(coco)
    try:
        content = json.loads(annotations.read_bytes())
        numbers = _category_numbers(annotations, content["categories"], names)
        categories = set(numbers.values())
        photos = {photo["id"]: photo for photo in content["images"]}
        wanted = [entry for entry in content["annotations"] if entry["category_id"] in categories and _has_area(entry)]
        folder = _photo_folder(annotations, photos, wanted)
        instances = [(entry["category_id"], _instance(folder, photos[entry["image_id"]], entry)) for entry in wanted]
        there = {photo for photo in {instance.photo for _, instance in instances} if photo.is_file()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(
            f"Expected COCO's instance annotations in {annotations}. Received: {type(error).__name__}: {error}. "
            "Copy the file again, or write it as COCO does (images, annotations, categories)."
        ) from error
    found = {name: [i for number, i in instances if number == numbers[name] and i.photo in there] for name in names}
    return {name: sorted(some, key=lambda i: (i.photo.name, i.number)) for name, some in found.items()}


def cut_out(instance: Instance) -> tuple[np.ndarray, np.ndarray]:
    """Cuts an object out of its photograph.

    Returns:
        The photograph inside the tightest rectangle around the object, uint8 of shape (h, w, 3), and where in it the
        object is, bool of shape (h, w).

    Raises:
        DatasetError: a photograph that cannot be read or is not of the annotated size, or an object outside it.
    """
    pixels = _photograph(instance)
    mask = instance_mask(instance.segmentation, instance.size)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise DatasetError(
            f"Expected the object of annotation {instance.number} in {instance.photo}. Received: no pixel of it. "
            "Correct or remove the annotation."
        )
    inside = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return pixels[inside], mask[inside]


def _photograph(instance: Instance) -> np.ndarray:
    try:
        with Image.open(instance.photo, formats=FORMATS) as image:  # as stored: COCO annotates before any EXIF turn
            pixels = np.array(image.convert("RGB"))
    except Exception as error:  # Pillow raises whatever its decoders stumble on
        raise DatasetError(
            f"Expected an image. Received: {str(instance.photo)!r}, which cannot be read: {error}. Copy it again."
        ) from error
    if pixels.shape[:2] != instance.size:
        raise DatasetError(
            f"Expected {instance.photo} of {instance.size[0]}x{instance.size[1]} pixels (height x width), as its "
            f"annotation says. Received: {pixels.shape[0]}x{pixels.shape[1]}. "
            "Use the photographs as COCO publishes them, not resized."
        )
    return pixels


def instance_mask(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Where an object is, bool of shape ``size``, from polygons or run lengths in COCO's manner."""
    if isinstance(segmentation, dict):
        return _from_runs(_runs(segmentation["counts"]), size)
    fine = Image.new("L", (size[1] * FINER, size[0] * FINER))
    draw = ImageDraw.Draw(fine)
    for polygon in segmentation:
        if len(polygon) >= 2 * CORNERS:
            # COCO counts from the corner of the first pixel, Pillow from its centre.
            draw.polygon([coordinate * FINER - 0.5 for coordinate in polygon], fill=255)
    covered = np.asarray(fine.reduce(FINER))
    # Half covered is in; of an object as thin as a line, what is covered most.
    return covered >= np.clip(covered.max(), 1, 128)


def _from_runs(runs: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Runs of pixels outside and inside in turn, column by column."""
    if sum(runs) != math.prod(size) or min(runs) < 0:
        raise DatasetError(
            f"Expected run lengths of {math.prod(size)} pixels together, for a mask of {size[0]}x{size[1]}. "
            f"Received: {sum(runs)}. Copy the annotations again."
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(size, order="F")


def _runs(counts: Sequence[int] | str) -> Sequence[int]:
    """Run lengths from COCO's text: six bits a character, five of them a digit, each run less the last but one."""
    if not isinstance(counts, str):
        return counts
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        digit = ord(character) - ord("0")
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:  # more digits follow
            continue
        if digit & 16:  # a negative number
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs


def _annotations_file(coco: Path) -> Path:
    if coco.is_file() and coco.suffix.lower() == ".json":
        return coco
    files = sorted(coco.glob("annotations/instances_*.json"))
    named = [file for file in files if file.stem == f"instances_{DEFAULT_SPLIT}"]
    if not files:
        what = "no such file in it" if coco.is_dir() else "another file" if coco.exists() else "no such folder"
        raise DatasetError(
            f"Expected COCO's images and instance annotations: a folder with {LAYOUT}. Received: coco={str(coco)!r}, "
            f"{what}. Unpack train2017.zip and annotations_trainval2017.zip of https://cocodataset.org into one folder."
        )
    if len(files) > 1 and not named:
        raise DatasetError(
            f"Expected one instances_*.json, or instances_{DEFAULT_SPLIT}.json, in {coco / 'annotations'}. "
            f"Received: {', '.join(file.name for file in files)}. Give the file: coco={str(files[0])!r}."
        )
    return named[0] if named else files[0]


def _category_numbers(annotations: Path, categories: list[dict[str, Any]], names: Sequence[str]) -> dict[str, int]:
    known = {category["name"]: category["id"] for category in categories}
    spaced = {name: name.replace("_", " ") for name in names}
    for name in names:
        if spaced[name] not in known:
            close = difflib.get_close_matches(spaced[name], known, n=3, cutoff=0.5) or sorted(known)
            raise DatasetError(
                f"Expected objects among the {len(known)} categories of {annotations}. Received: {name!r}. "
                f"Take, for example, {', '.join(map(repr, close[:8]))}."
            )
    return {name: known[spaced[name]] for name in names}


def _photo_folder(annotations: Path, photos: dict[Any, dict[str, Any]], wanted: list[dict[str, Any]]) -> Path:
    """Where the photographs are: beside the annotations, as COCO's zips unpack, or in ``images``."""
    root = annotations.parent.parent if annotations.parent.name == "annotations" else annotations.parent
    split = annotations.stem.removeprefix("instances_")
    folders = [root / split, root / "images" / split, root / "images", root]
    names = {photos[entry["image_id"]]["file_name"] for entry in wanted}
    for folder in folders:
        if not names or (folder.is_dir() and any((folder / name).is_file() for name in names)):
            return folder
    raise DatasetError(
        f"Expected the photographs of {annotations} in {folders[0]} or {folders[1]}. Received: none of the "
        f"{len(names)} that show the objects asked for. Unpack {split}.zip of https://cocodataset.org there."
    )


def _has_area(entry: dict[str, Any]) -> bool:
    """Some of COCO's polygons have two corners."""
    segmentation = entry["segmentation"]
    return isinstance(segmentation, dict) or any(len(polygon) >= 2 * CORNERS for polygon in segmentation)


def _instance(folder: Path, photo: dict[str, Any], entry: dict[str, Any]) -> Instance:
    x, y, width, height = map(float, entry["bbox"])
    return Instance(
        photo=folder / photo["file_name"],
        size=(photo["height"], photo["width"]),
        number=entry["id"],
        area=float(entry["area"]),
        box=(x, y, width, height),
        segmentation=entry["segmentation"],
    )
