"""The plain gradient of the score delta."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_ganmex.attributions.paths import gradients
from tf_ganmex.attributions.problem import evaluations_at_once, even_batches, pad, pose, row_slices
from tf_ganmex.classifier import Classifier


def gradient(
    clf: Classifier,
    x: Any,
    origin: Any,
    target: Any = None,
    *,
    score: str = "probability",
    batch_size: int | None = None,
) -> np.ndarray:
    """The gradient of the score delta with respect to the image (Simonyan et al. 2014).

    Args:
        clf: the classifier.
        x: images (n, h, w, c) in its value range.
        origin: class or classes (n,) to explain.
        target: class or classes (n,) to compare with; None for one-vs-all; ``"average"`` for the mean of the
            one-vs-one maps over all other classes.
        score: ``"probability"`` or ``"logit"``.
        batch_size: images at a time; None chooses.

    Returns:
        ∂Δ/∂x, (n, h, w, c).

    Raises:
        ImageError, LabelError, OptionError: for arguments that do not fit.
    """
    problem = pose(clf, x, origin, target, score)
    batch = even_batches(len(problem), evaluations_at_once(problem, batch_size))
    maps = np.empty_like(problem.x)
    for rows in row_slices(len(problem), batch):
        maps[rows] = gradients(pad(problem[rows], batch))[: rows.stop - rows.start]
    return maps
