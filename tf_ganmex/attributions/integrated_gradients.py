"""Integrated gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_ganmex.attributions.paths import path_attributions
from tf_ganmex.attributions.problem import (
    Baseline,
    Problem,
    check_baseline,
    check_count,
    evaluations_at_once,
    even_batches,
    explain_in_batches,
    pair_count,
    pose,
)
from tf_ganmex.attributions.quadrature import nodes_and_weights
from tf_ganmex.classifier import Classifier

_STEPS_AT_ONCE = 25  # of an image at least: more images in a call take less time than more of their steps
_FEATURES = 2**14  # of those images


def integrated_gradients(
    clf: Classifier,
    x: Any,
    origin: Any,
    target: Any,
    baseline: Baseline,
    *,
    steps: int = 200,
    rule: str = "midpoint",
    score: str = "probability",
    batch_size: int | None = None,
) -> np.ndarray:
    """Integrated gradients of the score delta (Sundararajan et al. 2017; GANMEX, section 2.1).

    (x − x̃) ⊙ ∫₀¹ ∇Δ(x̃ + α(x − x̃)) dα. The map sums to Δ(x) − Δ(x̃) up to the error of the quadrature.

    Args:
        clf: the classifier.
        x: images (n, h, w, c) in its value range.
        origin: class or classes (n,) to explain.
        target: class or classes (n,) to compare with; None for one-vs-all; ``"average"`` for the mean of the
            one-vs-one maps over all other classes.
        baseline: (n, h, w, c) one per image, (h, w, c) one for all, (n or 1, k, h, w, c) several (their maps are
            averaged), or a callable (x, target) -> images.
        steps: number of gradients on the path (200 in the paper).
        rule: ``"midpoint"``, ``"right"`` (DeepExplain's), ``"trapezoid"`` or ``"gauss-legendre"``.
        score: ``"probability"`` or ``"logit"``.
        batch_size: images through the classifier at a time; None chooses.

    Returns:
        Maps (n, h, w, c).

    Raises:
        ImageError, LabelError, BaselineError, OptionError: for arguments that do not fit.
    """
    problem = pose(clf, x, origin, target, score)
    nodes, weights = nodes_and_weights(rule, check_count(steps, "steps"))
    alphas, quadrature = nodes.astype(clf.dtype)[None], weights.astype(clf.dtype)
    evaluations = evaluations_at_once(problem, batch_size)

    baseline = check_baseline(problem, baseline)
    most = min(evaluations // min(steps, _STEPS_AT_ONCE), _FEATURES // problem.x[0].size)
    rows = even_batches(pair_count(problem, baseline), max(1, most))
    chunk = even_batches(steps, max(1, evaluations // rows))

    def method(part: Problem, baselines: np.ndarray) -> np.ndarray:
        return path_attributions(part, baselines[:, None], alphas, quadrature, chunk)

    return explain_in_batches(problem, baseline, method, rows)
