"""Inverse localization: how much attribution lies where nothing can matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_ganmex.attributions.problem import check_count, row_slices
from tf_ganmex.classifier.checks import check_different, check_labels
from tf_ganmex.errors import ImageError, LabelError, OptionError
from tf_ganmex.metrics.perturbation import check_maps

__all__ = ["bam_relevant_mask", "edge_strips", "inverse_localization"]

STRIP_WIDTH = 5  # pixels; the paper does not state it
_FEATURES_AT_ONCE = 2**22


def inverse_localization(attributions: Any, relevant_mask: Any) -> np.ndarray:
    """The mean of |A| over the irrelevant region, over its mean over the relevant one; low where maps are local.

    L = mean_{i irrelevant} |A_i| / mean_{i relevant} |A_i|. On SVHN the irrelevant region is the two vertical edges:
    ``relevant_mask=~edge_strips((32, 32))``. On BAM see :func:`bam_relevant_mask`.

    Args:
        attributions: maps (n, h, w, c).
        relevant_mask: where the classes may differ, bool, (h, w) for all maps or (n, h, w) or (n, h, w, 1); a pixel
            stands for all its channels.

    Returns:
        (n,), one ratio of at least 0 for each map; NaN where the relevant region has no attribution.

    Raises:
        ImageError: if the arrays do not fit, or a mask leaves no pixel in either region.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, section 4.1 and appendix C.5; the width of the strips, and on BAM the
        regions, are choices of ours.
    """
    maps = np.asarray(attributions)
    if maps.ndim != 4 or not maps.size:
        raise ImageError(f"Expected attributions of shape (n, h, w, c). Received: attributions.shape={maps.shape}.")
    maps = check_maps(maps, maps.shape)
    relevant = check_mask(relevant_mask, maps.shape, name="relevant_mask")
    for region, empty in (("relevant", ~relevant.any((1, 2))), ("irrelevant", relevant.all((1, 2)))):
        if empty.any():
            raise ImageError(
                f"Expected pixels in both regions. Received: relevant_mask of which no pixel is {region}, for the maps "
                f"{np.flatnonzero(empty)[:5].tolist()}. Leave those out."
            )
    ratios = np.empty(len(maps))
    for rows in row_slices(len(maps), max(1, _FEATURES_AT_ONCE // maps[0].size)):
        per_pixel = np.abs(maps[rows].astype(np.float64)).mean(-1)
        inside = np.broadcast_to(relevant, (len(maps), *relevant.shape[1:]))[rows]
        on_relevant = per_pixel.mean((1, 2), where=inside)
        on_relevant[on_relevant == 0] = np.nan
        ratios[rows] = per_pixel.mean((1, 2), where=~inside) / on_relevant
    return ratios


def edge_strips(shape: Sequence[int], width: int = STRIP_WIDTH) -> np.ndarray:
    """The vertical strips at the left and the right edge of an image, where SVHN's digit of interest rarely is.

    Args:
        shape: (h, w) or (h, w, c).
        width: of each strip, in pixels.

    Returns:
        bool (h, w), true on the strips.

    Raises:
        OptionError: if the strips would cover the image.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, Figure 6.A.
    """
    if len(shape) not in (2, 3):
        raise OptionError(f"Expected the shape of one image, (h, w) or (h, w, c). Received: shape={tuple(shape)}.")
    height, across = (check_count(side, "shape") for side in shape[:2])
    if 2 * check_count(width, "width") >= across:
        raise OptionError(
            f"Expected two strips that leave a middle of {across} pixels. Received: width={width}. Take a smaller one."
        )
    strips = np.zeros((height, across), bool)
    strips[:, :width] = strips[:, -width:] = True
    return strips


def bam_relevant_mask(
    object_masks: Any, origin: Any, target: Any, class_names: Sequence[str], *, scenes: int | None = None
) -> np.ndarray:
    """Where origin and target differ in BAM: the object where their objects do, the rest where their scenes do.

    Args:
        object_masks: where the object is, bool (n, h, w, 1), as ``masks_test`` of a dataset holds it.
        origin: class or classes (n,).
        target: class or classes (n,).
        class_names: of all classes, OBJECT_SCENE, in the dataset's order: all scenes of the first object first.
        scenes: how many scenes there are; None finds out from the names.

    Returns:
        bool (n, h, w, 1), for :func:`inverse_localization`.

    Raises:
        ImageError: if the masks are none.
        LabelError: for labels that are none, for a pair that differs in both, or names that do not tell the scenes.
    """
    masks = np.asarray(object_masks)
    if masks.ndim != 4 or masks.shape[-1] != 1 or masks.dtype != np.bool_:
        raise ImageError(
            f"Expected object_masks as bool (n, h, w, 1). Received: shape={masks.shape}, dtype={masks.dtype}."
        )
    origin, target = (
        check_labels(labels, len(masks), len(class_names), name=name)
        for name, labels in (("origin", origin), ("target", target))
    )
    check_different(origin, target)
    scenes = scenes_in(class_names) if scenes is None else check_count(scenes, "scenes")
    if len(class_names) % scenes:
        raise OptionError(f"Expected scenes that divide {len(class_names)} classes. Received: scenes={scenes}.")
    objects_differ = origin // scenes != target // scenes
    both = np.flatnonzero(objects_differ & (origin % scenes != target % scenes))
    if both.size:
        first = both[0]
        raise LabelError(
            "Expected classes that differ in the object or in the scene, for of those that differ in both every pixel "
            f"is relevant. Received: origin={class_names[origin[first]]!r}, target={class_names[target[first]]!r} for "
            f"the images {both[:5].tolist()}. Leave those out."
        )
    return np.where(objects_differ[:, None, None, None], masks, ~masks)


def scenes_in(class_names: Sequence[str]) -> int:
    """How many scenes the class names OBJECT_SCENE are made of; LabelError where they tell none or several numbers."""
    names = list(class_names)
    counts = [count for count in range(1, len(names) + 1) if len(names) % count == 0 and _is_product(names, count)]
    if len(counts) != 1:
        found = f"that could be of {' or '.join(map(str, counts))} scenes" if counts else "that are not"
        raise LabelError(
            "Expected class_names OBJECT_SCENE, every object in every scene, all scenes of the first object first. "
            f"Received: class_names={names}, {found}. Pass scenes=, how many there are."
        )
    return counts[0]


def _is_product(names: list[str], scenes: int) -> bool:
    """Whether the names are those of some objects, each in the same ``scenes`` scenes."""
    first = names[0]
    for cut in (index for index, letter in enumerate(first) if letter == "_"):
        settings = [name[cut + 1 :] for name in names[:scenes]]
        things = [name.removesuffix(first[cut:]) for name in names[::scenes]]
        if names == [f"{thing}_{setting}" for thing in things for setting in settings]:
            return True
    return False


def check_mask(mask: Any, shape: tuple[int, ...], *, name: str) -> np.ndarray:
    """``mask`` as bool (n or 1, h, w); ImageError unless it fits images of ``shape`` (n, h, w, c)."""
    array = np.asarray(mask)
    fits = array.shape in {shape[1:3], shape[:3], (*shape[:3], 1)}
    if not fits or array.dtype != np.bool_:
        raise ImageError(
            f"Expected {name} as bool of shape {shape[1:3]}, {shape[:3]} or {(*shape[:3], 1)}. "
            f"Received: shape={array.shape}, dtype={array.dtype}."
        )
    return array.reshape(-1, *shape[1:3])
