"""Tiny photographs with COCO's annotations, and tiny scenes, to make BAM of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 60, 80
CATEGORIES = {1: "pizza", 13: "stop sign", 18: "dog"}
SIZE = 32  # of the scenes


def write_coco(root: Path, photos: int = 5, split: str = "train2017", folder: str = "{split}") -> Path:
    """Photographs with a large pizza and a small one, and others with a stop sign, in flat colours that tell which.

    Pizza n is a rectangle (a polygon) of colour (200, 10 * n, 40), stop sign n a diamond (run lengths) of colour
    (30, 10 * n, 220); all around is green.
    """
    images, annotations = [], []
    for number in range(2 * photos):
        category = 1 if number < photos else 13
        pixels = np.full((HEIGHT, WIDTH, 3), (0, 255, 0), np.uint8)
        colour = (200, 10 * number, 40) if category == 1 else (30, 10 * (number - photos), 220)
        boxes = [(10, 5, 44, 30), (60, 40, 12, 12)] if category == 1 else [(20, 2, 20, 50)]
        image = 100 + number
        images.append({"id": image, "file_name": f"{number:012}.png", "height": HEIGHT, "width": WIDTH})
        for x, y, w, h in boxes:
            if category == 1:
                inside = rectangle(x, y, w, h)
                segmentation: object = [[x, y, x + w, y, x + w, y + h, x, y + h]]
            else:
                inside = diamond(x, y, w, h)
                segmentation = run_lengths(inside)
            pixels[inside] = colour
            annotations.append(annotate(len(annotations), image, category, [x, y, w, h], segmentation))
        path = root / folder.format(split=split) / f"{number:012}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    write_annotations(root, images, annotations, split)
    return root


def rectangle(x: int, y: int, w: int, h: int) -> np.ndarray:
    """The pixels of a box, bool of the photographs' shape."""
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[y : y + h, x : x + w] = True
    return inside


def diamond(x: int, y: int, w: int, h: int) -> np.ndarray:
    """The pixels of the diamond in a box."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return abs(rows - y - h / 2) / h + abs(columns - x - w / 2) / w <= 0.5


def run_lengths(inside: np.ndarray) -> dict:
    """COCO's uncompressed run lengths, column by column."""
    flat = inside.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, len(flat)]).tolist()
    return {"counts": [0, *runs] if flat[0] else runs, "size": list(inside.shape)}


def annotate(number: int, image: int, category: int, box: list[int], segmentation, *, iscrowd: int = 0) -> dict:
    """One entry of ``annotations``."""
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": box,
        "area": box[2] * box[3],
        "segmentation": segmentation,
        "iscrowd": iscrowd,
    }


def write_annotations(root: Path, images: list[dict], annotations: list[dict], split: str = "train2017") -> None:
    """``annotations/instances_SPLIT.json``."""
    categories = [{"id": number, "name": name} for number, name in CATEGORIES.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def write_scenes(root: Path, *folders: str, count: int = 5, size: int = SIZE) -> Path:
    """Noise, in PNGs of ``size``, so that they come through unchanged."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rng = np.random.default_rng([number, *folder.encode()])
            Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8)).save(root / folder / f"{number}.png")
    return root
