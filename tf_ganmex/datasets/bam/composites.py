"""Objects pasted into scenes: every image is a function of seed, split, class and index."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from tf_ganmex.datasets.bam.coco import Instance, cut_out, read_instances
from tf_ganmex.datasets.bam.scenes import find_scenes
from tf_ganmex.datasets.files import ImageFile
from tf_ganmex.datasets.images import decode
from tf_ganmex.errors import DatasetError, OptionError

__all__ = ["BamOptions", "Composites", "compose", "identifier"]

LOW, HIGH = 1 / math.sqrt(3), 1 / math.sqrt(2)  # of the scene's side; of a square scene's area, 1/3 to 1/2 for a box
SPLITS = ("train", "test")
INSTANCES = ("largest", "all")
SMALLEST_IMAGE = 8
CUT_OUTS_KEPT = 64

Source = TypeVar("Source")


@dataclass(frozen=True, kw_only=True)
class BamOptions:
    """The options of :func:`tf_ganmex.datasets.prepare_bam`, in its words.

    Raises:
        OptionError: one that is out of range.
    """

    objects: tuple[str, ...] = ("pizza", "stop sign")
    scene_classes: tuple[str, ...] = ("bedroom", "bamboo_forest")
    image_size: tuple[int, int] = (128, 128)
    train_per_class: int = 900
    test_per_class: int = 100
    test_share: float = 0.1
    min_object_size: int = 40
    instances: str = "largest"
    share_objects: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks every option by itself."""
        for option in ("objects", "scene_classes"):
            names = [identifier(name) for name in getattr(self, option)]
            self._check(option, bool(names) and all(names) and len(names) == len(set(names)), "names, none twice")
        self._check("objects", len(self.class_names) >= 2, "two names, or two scene_classes")
        self._check("objects", len(set(self.class_names)) == len(self.class_names), "names that make different classes")
        self._check("image_size", min(self.image_size) >= SMALLEST_IMAGE, f"{SMALLEST_IMAGE} pixels or more")
        for option in ("train_per_class", "test_per_class", "min_object_size"):
            self._check(option, _is_integer(getattr(self, option)) and getattr(self, option) >= 1, "an integer from 1")
        self._check("seed", _is_integer(self.seed), "an integer")
        self._check("test_share", 0 < self.test_share < 1, "a number between 0 and 1")
        self._check("instances", self.instances in INSTANCES, "'largest' or 'all'")

    @property
    def class_names(self) -> list[str]:
        """One an object and scene; class i is object i // len(scene_classes) in scene i % len(scene_classes)."""
        return ["_".join(map(identifier, pair)) for pair in product(self.objects, self.scene_classes)]

    def _check(self, option: str, fits: bool, expected: str) -> None:
        if not fits:
            default = self.__dataclass_fields__[option].default
            raise OptionError(
                f"Expected {option} as {expected}. Received: {option}={getattr(self, option)!r}. "
                f"The default is {default!r}."
            )


class Composites:
    """Cut-outs and scenes in a train and a test part, and the images made of them.

    Args:
        coco: COCO's folder, or one of its ``instances_*.json`` files.
        scenes: a folder of scene folders.
        options: what to make.

    Raises:
        DatasetError: there are no such images, or too few to have some in either split.
    """

    def __init__(self, coco: Path, scenes: Path, options: BamOptions) -> None:
        """Lists the objects and scenes of both splits; reads no image yet."""
        self.options = options
        found = {name: find_scenes(scenes, name) for name in options.scene_classes}
        instances = read_instances(coco, options.objects)
        self.objects = {name: self._object_splits(coco, name, instances[name]) for name in options.objects}
        self.scenes = {name: self._scene_splits(scenes, name, files) for name, files in found.items()}
        self._cut_out = lru_cache(CUT_OUTS_KEPT)(cut_out)

    def examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """All images of a split, with the key of each."""
        for index in range(getattr(self.options, f"{split}_per_class")):
            for thing, scene in product(self.options.objects, self.options.scene_classes):
                yield f"{identifier(thing)}_{identifier(scene)}-{index:05}", self.example(split, thing, scene, index)

    def example(self, split: str, thing: str, scene: str, index: int) -> dict[str, Any]:
        """One image of a class; of one index, all scenes get the same object, and all objects the same scene.

        Returns:
            ``image`` and ``mask`` (255 where the object is), uint8 of shapes (h, w, 3) and (h, w, 1); the names
            ``label``, ``object`` and ``scene``; where they come from, ``object_source`` (FILE#ID) and ``scene_source``.
        """
        seed = self.options.seed
        instance = _draw(self.objects[thing][split], index, seed, split, "object", thing)
        file = _draw(self.scenes[scene][split], index, seed, split, "scene", scene)
        background = decode(file, size=self.options.image_size, grayscale=False)
        if background.dtype != np.uint8:  # of more than 8 bits a pixel
            background = np.rint(255 * background).astype(np.uint8)
        place = _generator(seed, split, "place", thing, scene, index)
        image, mask = compose(background, *self._cut_out(instance), place)
        return {
            "image": image,
            "mask": np.where(mask, 255, 0).astype(np.uint8)[..., np.newaxis],
            "label": f"{identifier(thing)}_{identifier(scene)}",
            "object": identifier(thing),
            "scene": identifier(scene),
            "object_source": instance.source,
            "scene_source": file.name,
        }

    def _object_splits(self, coco: Path, name: str, instances: list[Instance]) -> dict[str, list[Instance]]:
        usable = [instance for instance in instances if max(instance.box[2:]) >= self.options.min_object_size]
        if self.options.instances == "largest":
            largest = {i.photo: i for i in sorted(usable, key=lambda i: i.area)}
            usable = [instance for instance in usable if instance is largest[instance.photo]]
        photos = sorted({instance.photo for instance in usable})
        if not photos:
            raise DatasetError(
                f"Expected a {name} of at least {self.options.min_object_size} pixels in the photographs of {coco}. "
                f"Received: {len(instances)} smaller ones. Take another object, or a smaller min_object_size."
            )
        if self.options.share_objects:
            return dict.fromkeys(SPLITS, usable)
        if len(photos) < 2:
            raise DatasetError(
                f"Expected photographs of {name} for both splits in {coco}. Received: 1. Add photographs, take another "
                "object, or let both splits have the same objects with share_objects=True (--share-objects)."
            )
        test = self._test_part(photos, "object", name)
        parts = {"train": set(photos) - test, "test": test}
        return {split: [instance for instance in usable if instance.photo in part] for split, part in parts.items()}

    def _scene_splits(self, root: Path, name: str, found: dict[str, list[ImageFile]]) -> dict[str, list[ImageFile]]:
        """The folders' own train and test images, or a test part drawn from all."""
        if "all" not in found:
            return found
        files = {file.name: file for file in found["all"]}
        if len(files) < 2:
            raise DatasetError(
                f"Expected photographs of the scene {name!r} for both splits in {root}. Received: 1. Add photographs."
            )
        test = self._test_part(list(files), "scene", name)
        parts = {"train": files.keys() - test, "test": test}
        return {split: [file for file in found["all"] if file.name in part] for split, part in parts.items()}

    def _test_part(self, sources: Sequence[Source], kind: str, name: str) -> set[Source]:
        count = min(max(round(len(sources) * self.options.test_share), 1), len(sources) - 1)
        order = _generator(self.options.seed, "split", kind, name).permutation(len(sources))
        return {sources[i] for i in order[:count]}


def compose(
    scene: np.ndarray, pixels: np.ndarray, mask: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pastes an object into a scene, of random size and at a random place.

    The binding side of the object, the one that would first fill the scene, is uniform over the whole pixels from
    1/sqrt(3) to 1/sqrt(2) of the scene's; the place is uniform over those where all of it is inside. The object's
    edge is sharp: every pixel is the scene's or the object's, so that the mask is exact.

    Args:
        scene: uint8, shape (h, w, 3).
        pixels: the object's surroundings, uint8, shape (a, b, 3).
        mask: where in them the object is, bool, shape (a, b).
        generator: of size and place.

    Returns:
        The composite, like ``scene``, and where in it the object is, bool of shape (h, w).

    Reference:
        Yang and Kim, "Benchmarking Attribution Methods with Relative Feature Importance", arXiv:1907.09701.
    """
    sides, bounds = np.array(mask.shape), np.array(scene.shape[:2])
    binding = int(np.argmax(sides / bounds))
    side = generator.integers(math.ceil(bounds[binding] * LOW), math.floor(bounds[binding] * HIGH), endpoint=True)
    height, width = (max(1, round(float(s) * side / sides[binding])) for s in sides)
    colours, visible = _resize(pixels, mask, (height, width))
    top, left = (generator.integers(room, endpoint=True) for room in bounds - (height, width))
    composite, placed = scene.copy(), np.zeros(scene.shape[:2], bool)
    placed[top : top + height, left : left + width] = visible
    composite[placed] = colours[visible]
    return composite, placed


def _resize(pixels: np.ndarray, mask: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Colours and mask of the object alone: what surrounded it in its photograph does not bleed into its edge."""

    def resized(plane: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR))

    share = mask.astype(np.float32)
    covered = resized(share)
    planes = [resized(pixels[..., channel] * share) for channel in range(pixels.shape[-1])]
    colours = np.stack(planes, axis=-1) / np.maximum(covered, 1e-6)[..., np.newaxis]
    # Half covered is in; of an object as thin as a line, what is covered most.
    visible = covered >= min(0.5, covered.max())
    return np.rint(np.clip(colours, 0, 255)).astype(np.uint8), visible


def identifier(name: str) -> str:
    """A name as part of a class's name: "stop sign" as stop_sign."""
    return re.sub(r"\W+", "_", name.strip())


def _draw(sources: Sequence[Source], index: int, *key: object) -> Source:
    """The index-th draw without replacement, in a new order every time all have been drawn."""
    turn, place = divmod(index, len(sources))
    return sources[_generator(*key, turn).permutation(len(sources))[place]]


def _generator(*key: object) -> np.random.Generator:
    digest = hashlib.blake2b("\0".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
