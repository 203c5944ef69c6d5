"""Where the classes of a question may differ: the relevant regions that inverse localization needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from tf_ganmex import metrics
from tf_ganmex.datasets import Dataset
from tf_ganmex.errors import ImageError, OptionError
from tf_ganmex.evaluation.questions import Questions
from tf_ganmex.metrics.localization import scenes_in

EDGES = "edges"


class Regions:
    """The relevant region of each question.

    ``relevant`` is None for those of the dataset's masks (BAM's objects, or their complement where scenes differ),
    ``"edges"`` for all but the vertical edge strips (SVHN), or a mask (h, w), or one for each test image (n, h, w), or
    a .npy file of these. ``where`` says it in words.
    """

    def __init__(self, data: Dataset, relevant: Any, edge_width: int):
        self.data = data
        height, width, _ = data.image_shape
        self.of_objects = relevant is None
        self.where = "the masks given"
        if self.of_objects:
            self.where = f"the objects of {data.name}, or around them where the scenes differ"
        if isinstance(relevant, str) and relevant == EDGES:
            self.where = f"all but the vertical edge strips of {edge_width} pixels"
            relevant = ~metrics.edge_strips((height, width), edge_width)
        elif isinstance(relevant, str | os.PathLike):
            self.where = f"the masks in {Path(relevant).name}"
            relevant = _read(relevant)
        relevant = data.masks_test if self.of_objects else relevant
        if relevant is None:
            raise OptionError(
                f"Expected masks of the relevant regions for inverse_localization. Received: none, and {data.name} has "
                f"none. Pass relevant={EDGES!r}, masks, or leave the metric out."
            )
        shape = (len(data.x_test), height, width)
        self.masks = np.broadcast_to(_check(relevant, shape), shape)

    def __getitem__(self, part: Questions) -> tuple[np.ndarray, np.ndarray]:
        """Masks (n, h, w) of the questions, and which questions have one, (n,)."""
        masks = self._of_objects(part) if self.of_objects else self.masks[part.image]
        return masks, np.logical_xor(masks.any((1, 2)), masks.all((1, 2)))

    def _of_objects(self, part: Questions) -> np.ndarray:
        """The object where the classes differ in it, the rest where they differ in the scene; none where in both."""
        names = self.data.class_names
        scenes = scenes_in(names)
        same = (part.origin // scenes == part.target // scenes) | (part.origin % scenes == part.target % scenes)
        objects = self.masks[part.image]
        found = np.zeros_like(objects)
        if same.any():
            asked = (objects[same, ..., None], part.origin[same], part.target[same])
            found[same] = metrics.bam_relevant_mask(*asked, names, scenes=scenes)[..., 0]
        return found


def _read(path: str | os.PathLike[str]) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise OptionError(
            f"Expected relevant to be {EDGES!r}, masks, or a .npy file of them. "
            f"Received: relevant={os.fspath(path)!r} ({error})."
        ) from error


def _check(relevant: Any, shape: tuple[int, ...]) -> np.ndarray:
    masks = np.asarray(relevant)
    masks = masks[..., 0] if masks.ndim == 4 and masks.shape[-1] == 1 else masks
    if masks.shape not in (shape, shape[1:]) or masks.dtype != np.bool_:
        raise ImageError(
            f"Expected a mask of shape {shape[1:]}, or {shape} with one for each test image, bool. "
            f"Received: shape={masks.shape}, dtype={masks.dtype}."
        )
    return masks
