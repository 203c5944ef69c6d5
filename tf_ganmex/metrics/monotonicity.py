"""Monotonicity: whether larger attributions stand for features with larger effects."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from tf_ganmex.attributions.problem import pose, row_slices
from tf_ganmex.classifier import Classifier
from tf_ganmex.metrics.effects import draw_effects
from tf_ganmex.metrics.faithfulness import check_measured, pearson
from tf_ganmex.metrics.perturbation import check_maps

_FEATURES = 2**22  # features ranked at a time, in float64


def monotonicity(
    clf: Classifier,
    x: Any,
    attributions: Any,
    origin: Any,
    target: Any,
    draws: int = 100,
    seed: int = 0,
    score: str = "probability",
    *,
    effects: Any = None,
    stratified: bool = False,
    batch_size: int | None = None,
) -> np.ndarray:
    """The Spearman correlation, over the features of an image, of |attributions| and mean squared effects of draws.

    Correlates the ranks of |A_i| and of E[(Δ(x with x_i := u) − Δ(x))²], u uniform over the value range; equal values
    share the mean of their ranks.

    Elsewhere: Quantus's ``MonotonicityCorrelation`` is this for one class's probability, with a factor 1/S(x)² that
    changes no rank, new draws for every map, and, unless told otherwise, u in [0, 1] whatever the images' range.
    AIX360's ``monotonicity_metric`` (Luss et al. 2019) is another thing of the same name: true or false, whether
    S_origin never falls while the features of the image are put into a baseline one after another, the lowest signed
    attribution first.

    Args:
        clf: the classifier.
        x: images (n, h, w, c) in its value range.
        attributions: maps (n, h, w, c).
        origin: class or classes (n,).
        target: class or classes (n,), or None for S_origin alone.
        draws: values of u for each feature.
        seed: of the draws, which depend on it and the image alone.
        score: ``"probability"`` or ``"logit"``.
        effects: what :func:`draw_effects` returned for the same images and question; None computes them.
        stratified: as for :func:`draw_effects`.
        batch_size: images through the classifier at a time; None chooses.

    Returns:
        (n,) in [−1, 1]; NaN where |A| or the effects are the same for all features.

    Raises:
        ImageError, LabelError, OptionError: for arguments that do not fit.

    Reference:
        Nguyen & Martínez, "On quantitative aspects of model interpretability", arXiv:2007.07584; GANMEX, C.4.
    """
    problem = pose(clf, x, origin, target, score)
    maps = check_maps(attributions, problem.x.shape)
    if effects is None:
        options: dict[str, Any] = {"stratified": stratified, "batch_size": batch_size}
        effects = draw_effects(clf, x, origin, target, draws, seed, score, **options)
    return spearman(np.abs(maps.astype(np.float64, copy=False)), check_measured(effects, problem.x.shape, "effects"))


def spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman correlations (n,) of the features of two arrays (n, ...); NaN where either is constant."""
    first, second = (array.reshape(len(array), -1) for array in (first, second))
    blocks = row_slices(len(first), max(1, _FEATURES // first.shape[1]))
    return np.concatenate([pearson(rankdata(first[rows], axis=1), rankdata(second[rows], axis=1)) for rows in blocks])
