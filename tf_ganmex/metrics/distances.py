"""How far baselines are from their images, how far images are from each other, and what baselines are taken for."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_ganmex.attributions.problem import check_count, row_slices
from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.checks import check_labels
from tf_ganmex.errors import BaselineError, ImageError, LabelError
from tf_ganmex.metrics.localization import check_mask

__all__ = ["assigned_to", "baseline_distance", "inter_class_distance", "intra_class_distance"]

_FEATURES_AT_ONCE = 2**22


def baseline_distance(x: Any, baselines: Any, mask: Any = None) -> np.ndarray:
    """The L2 distance ‖x − x̃‖ between images and their baselines.

    Args:
        x: images (n, h, w, c).
        baselines: (n, h, w, c), (h, w, c) for all, or (n or 1, k, h, w, c): of several the mean distance.
        mask: the pixels that count, bool (h, w), (n, h, w) or (n, h, w, 1); None: all. With
            ``edge_strips(x.shape[1:])`` it is the distance D_edge of SVHN.

    Returns:
        (n,) distances, in the units of the images: of images in [0, 1], they compare with the published ones.

    Raises:
        ImageError: if ``x`` or ``mask`` does not fit.
        BaselineError: if ``baselines`` does not.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, Table 2 and appendix B (D_edge).
    """
    x = _check_images(x)
    baselines = _check_baselines(baselines, x.shape)
    inside = None if mask is None else check_mask(mask, x.shape, name="mask")
    distances = np.empty(len(x))
    for rows in row_slices(len(x), max(1, _FEATURES_AT_ONCE // (baselines.shape[1] * x[0].size))):
        difference = baselines[rows].astype(np.float64) - x[rows, None]
        if inside is not None:
            difference *= np.broadcast_to(inside, (len(x), *inside.shape[1:]))[rows, None, :, :, None]
        distances[rows] = _lengths(difference.reshape(*difference.shape[:2], -1)).mean(1)
    return distances


def intra_class_distance(x: Any, y: Any, *, pairs: int = 10_000, seed: int = 0) -> np.ndarray:
    """L2 distances of random pairs of images of the same class, whose mean is D_intra.

    All pairs of two different images of one class are equally likely.

    Args:
        x: images (n, h, w, c).
        y: their classes (n,).
        pairs: how many to draw, with replacement.
        seed: of the draw.

    Returns:
        (pairs,) distances, in the units of the images.

    Raises:
        ImageError, LabelError, OptionError: for arguments that do not fit.
        LabelError: if no class has two images.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, Table 2; how pairs are drawn is a choice of ours.
    """
    return _pair_distances(x, y, pairs, seed, same=True)


def inter_class_distance(x: Any, y: Any, *, pairs: int = 10_000, seed: int = 0) -> np.ndarray:
    """L2 distances of random pairs of images of different classes, whose mean is D_inter.

    All pairs of images of different classes are equally likely.

    Args:
        x: images (n, h, w, c).
        y: their classes (n,).
        pairs: how many to draw, with replacement.
        seed: of the draw.

    Returns:
        (pairs,) distances, in the units of the images.

    Raises:
        ImageError, LabelError, OptionError: for arguments that do not fit.
        LabelError: if there is one class only.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, Table 2; how pairs are drawn is a choice of ours.
    """
    return _pair_distances(x, y, pairs, seed, same=False)


def assigned_to(clf: Classifier, images: Any, target: Any) -> np.ndarray:
    """Whether the classifier says of each image that it is of its target; the mean is the share of good baselines.

    Args:
        clf: the classifier.
        images: baselines (n, h, w, c) in its value range.
        target: class or classes (n,).

    Returns:
        bool (n,).

    Raises:
        ImageError, LabelError: for arguments that do not fit.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, Equation 13 (a baseline belongs to the target class).
    """
    images = clf.check_images(images)
    return clf.predict(images) == check_labels(target, len(images), clf.num_classes, name="target")


def _pair_distances(x: Any, y: Any, pairs: int, seed: int, *, same: bool) -> np.ndarray:
    x = _check_images(x)
    y = _check_classes(y, len(x))
    first, second = _draw_pairs(
        y, check_count(pairs, "pairs"), np.random.default_rng(check_count(seed, "seed", 0)), same
    )
    flat = x.reshape(len(x), -1)
    distances = np.empty(len(first))
    for rows in row_slices(len(first), max(1, _FEATURES_AT_ONCE // flat.shape[1])):
        distances[rows] = _lengths(flat[first[rows]].astype(np.float64) - flat[second[rows]])
    return distances


def _draw_pairs(y: np.ndarray, pairs: int, rng: np.random.Generator, same: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ``pairs`` pairs, each an image weighed by how many partners it has, and one of these."""
    order = np.argsort(y, kind="stable")  # the images of a class stand together
    _, starts, place, counts = np.unique(y[order], return_index=True, return_inverse=True, return_counts=True)
    start, count = starts[place], counts[place]  # of the class of each, in this order
    partners = count - 1 if same else len(y) - count
    if not partners.any():
        raise LabelError(
            f"Expected {'a class of two images or more' if same else 'images of two classes or more'}. Received: "
            f"{len(y)} images of {len(counts)} classes. Pass more images."
        )
    first = rng.choice(len(y), pairs, p=partners / partners.sum())
    drawn = rng.integers(partners[first])
    # The drawn-th partner: those of the class but the image itself, or all but the class.
    second = start[first] + drawn if same else drawn
    second += (second >= first) if same else np.where(drawn >= start[first], count[first], 0)
    return order[first], order[second]


def _lengths(differences: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("...i,...i->...", differences, differences))


def _check_images(x: Any) -> np.ndarray:
    array = np.asarray(x)
    if array.ndim != 4 or not array.size or array.dtype.kind not in "fiu":
        raise ImageError(f"Expected images (n, h, w, c). Received: shape={array.shape}, dtype={array.dtype}.")
    return array


def _check_baselines(baselines: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Baselines as (n, k, h, w, c), without a copy."""
    array = np.asarray(baselines)
    several = array[None, None] if array.ndim == 3 else array[:, None] if array.ndim == 4 else array
    fits = several.ndim == 5 and several.shape[2:] == shape[1:] and several.shape[1] > 0
    if not fits or len(several) not in (1, shape[0]) or array.dtype.kind not in "fiu":
        raise BaselineError(
            f"Expected baselines of shape {shape}, {shape[1:]} or (n, k, ...) for images of shape {shape}. "
            f"Received: shape={array.shape}, dtype={array.dtype}."
        )
    return np.broadcast_to(several, (shape[0], *several.shape[1:]))


def _check_classes(y: Any, count: int) -> np.ndarray:
    array = np.asarray(y)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise LabelError(
            f"Expected y as {count} integers, one for each image. Received: shape={array.shape}, dtype={array.dtype}."
        )
    return array
