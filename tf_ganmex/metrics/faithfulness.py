"""Faithfulness: whether attributions follow what single flips do."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_ganmex.attributions.problem import Baseline, pose, row_slices
from tf_ganmex.classifier import Classifier
from tf_ganmex.errors import ImageError, OptionError
from tf_ganmex.metrics.effects import flip_drops
from tf_ganmex.metrics.perturbation import check_maps

_FEATURES = 2**22  # features correlated at a time, in float64


def faithfulness(
    clf: Classifier,
    x: Any,
    attributions: Any,
    origin: Any,
    target: Any,
    score: str = "probability",
    *,
    drops: Any = None,
    replacement: Baseline | None = None,
    batch_size: int | None = None,
) -> np.ndarray:
    """The Pearson correlation, over the features of an image, of attributions and the drops of single flips.

    Correlates A_i with Δ(x) − Δ(x with x_i → low + high − x_i), which is 1 − x_i on [0, 1]. The papers do not say what
    takes a feature's place; the flip is that of the perturbation curve, and ``replacement`` puts another value there.

    Elsewhere: AIX360's ``faithfulness_metric`` is this with a replacement for one-vs-all (``target=None``), the origin
    being the predicted class. So is Quantus's ``FaithfulnessEstimate``, of a given class's logit or probability.
    Quantus's ``FaithfulnessCorrelation`` (Bhatt et al. 2020) correlates the sums over random subsets of features with
    the drops when a whole subset is replaced: for subsets of one feature it is this, on a sample of the features.

    Args:
        clf: the classifier.
        x: images (n, h, w, c) in its value range.
        attributions: maps (n, h, w, c).
        origin: class or classes (n,).
        target: class or classes (n,), or None for S_origin alone.
        score: ``"probability"`` or ``"logit"``.
        drops: what :func:`flip_drops` returned for the same images and question; None computes them.
        replacement: a baseline whose values are put in place of the flipped ones.
        batch_size: images through the classifier at a time; None chooses.

    Returns:
        (n,) in [−1, 1]; NaN where the map or the drops are the same for all features.

    Raises:
        ImageError, LabelError, BaselineError, OptionError: for arguments that do not fit.

    Reference:
        Alvarez-Melis & Jaakkola, "Towards Robust Interpretability with Self-Explaining Neural Networks",
        arXiv:1806.07538; GANMEX, C.4.
    """
    problem = pose(clf, x, origin, target, score)
    maps = check_maps(attributions, problem.x.shape)
    if drops is None:
        drops = flip_drops(clf, x, origin, target, score, replacement=replacement, batch_size=batch_size)
    elif replacement is not None:
        raise OptionError("Expected drops or a replacement. Received: both. The drops hold what the replacement did.")
    return pearson(maps, check_measured(drops, problem.x.shape, "drops"))


def check_measured(values: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """``values`` as an array; ImageError unless they are finite numbers, one for each feature."""
    array = np.asarray(values)
    if array.shape != shape or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ImageError(
            f"Expected finite {name}, one for each feature of the images, {shape}. "
            f"Received: shape={array.shape}, dtype={array.dtype}."
        )
    return array


def pearson(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson correlations (n,) of the features of two arrays (n, ...); NaN where either is constant."""
    first, second = (array.reshape(len(array), -1) for array in (first, second))
    blocks = row_slices(len(first), max(1, _FEATURES // first.shape[1]))
    products = [(_directions(first[rows]) * _directions(second[rows])).sum(1) for rows in blocks]
    return np.clip(np.concatenate(products), -1, 1)


def _directions(values: np.ndarray) -> np.ndarray:
    """Rows without their mean, of length 1; NaN where they are constant."""
    values = values.astype(np.float64)
    constant = values.max(1) == values.min(1)
    values[constant] = np.nan
    values -= values.mean(1, keepdims=True)
    # Drops may be so small that their squares are zero.
    values /= np.abs(values).max(1, keepdims=True)
    return values / np.sqrt(np.square(values).sum(1, keepdims=True))
