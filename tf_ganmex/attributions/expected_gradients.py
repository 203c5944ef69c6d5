"""Expected gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tf_ganmex.attributions.paths import path_attributions
from tf_ganmex.attributions.problem import (
    Problem,
    asks_every_target,
    baseline_images,
    check_baseline,
    check_baseline_array,
    check_count,
    evaluations_at_once,
    mean_over_targets,
    pad,
    pad_rows,
    pose,
    row_slices,
)
from tf_ganmex.classifier import Classifier
from tf_ganmex.draws import image_generator, without_replacement

Sampler = Callable[[Problem, slice], np.ndarray]


def expected_gradients(
    clf: Classifier,
    x: Any,
    origin: Any,
    target: Any,
    samples: Any,
    *,
    steps: int = 200,
    seed: int = 0,
    score: str = "probability",
    batch_size: int | None = None,
) -> np.ndarray:
    """Expected gradients of the score delta (Erion et al. 2019; GANMEX, section 4).

    E over samples x̃ and α ~ U(0, 1) of (x − x̃) ⊙ ∇Δ(x̃ + α(x − x̃)), by ``steps`` draws. The samples are drawn without
    replacement as long as they last, α from the strata of [0, 1] in random order, so that the estimate converges
    faster than with independent draws. Draws depend on the seed and the image alone, not on the batch.

    Args:
        clf: the classifier.
        x: images (n, h, w, c) in its value range.
        origin: class or classes (n,) to explain.
        target: class or classes (n,) to compare with; None for one-vs-all; ``"average"`` for the mean of the
            one-vs-one maps over all other classes.
        samples: the reference images: (m, h, w, c) or (1, m, h, w, c) shared by all images, (n, m, h, w, c), or
            ``gx.baselines.random_sample(x_train, y_train)``, which draws training images of each image's target class
            (the paper's choice).
        steps: number of draws (200 in the paper).
        seed: of the draws.
        score: ``"probability"`` or ``"logit"``.
        batch_size: images through the classifier at a time; None chooses.

    Returns:
        Maps (n, h, w, c).

    Raises:
        ImageError, LabelError, BaselineError, OptionError: for arguments that do not fit.
    """
    problem = pose(clf, x, origin, target, score)
    check_count(steps, "steps")
    samples = check_samples(problem, samples)
    sampler = _sampler(samples, steps, seed)
    evaluations = evaluations_at_once(problem, batch_size)
    if asks_every_target(problem, samples):
        return mean_over_targets(problem, lambda part: _explain(part, sampler, steps, seed, evaluations))
    return _explain(problem, sampler, steps, seed, evaluations)


def check_samples(problem: Problem, samples: Any) -> Any:
    """``samples`` as a callable, or as an array (n or 1, m, h, w, c) in the classifier's type.

    Raises:
        BaselineError: if their shape or values do not fit the images.
    """
    if not callable(samples) and np.ndim(samples) == 4:
        samples = np.asarray(samples)[None]
    return check_baseline(problem, samples)


def _explain(problem: Problem, sampler: Sampler, steps: int, seed: int, evaluations: int) -> np.ndarray:
    quadrature = np.full(steps, 1 / steps, problem.clf.dtype)
    batch = min(len(problem), max(1, evaluations // steps))
    maps = np.empty_like(problem.x)
    for rows in row_slices(len(problem), batch):
        part = problem[rows]
        alphas = np.stack([_alphas(image, steps, seed) for image in part.x]).astype(problem.clf.dtype)
        samples = pad_rows(sampler(part, rows), batch)
        found = path_attributions(
            pad(part, batch), samples, pad_rows(alphas, batch), quadrature, min(steps, evaluations)
        )
        maps[rows] = found[: len(part)]
    return maps


def _alphas(image: np.ndarray, steps: int, seed: int) -> np.ndarray:
    """One α from each of ``steps`` strata of [0, 1], in random order."""
    generator = image_generator(image, seed, "expected gradients, alpha")
    return (generator.permutation(steps) + generator.random(steps)) / steps


def _sampler(samples: Any, steps: int, seed: int) -> Sampler:
    """A function from a part of the problem, and where it stands, to ``steps`` samples for each of its images."""
    if hasattr(samples, "draw"):
        return lambda part, rows: check_baseline_array(
            part, samples.draw(part.x, part.target, count=steps, seed=seed), shared=False
        )
    if callable(samples):
        return lambda part, rows: _pick(part, baseline_images(part, samples, slice(None)), steps, seed)
    return lambda part, rows: _pick(part, samples if len(samples) == 1 else samples[rows], steps, seed)


def _pick(part: Problem, pool: np.ndarray, steps: int, seed: int) -> np.ndarray:
    """``steps`` samples (n, steps, h, w, c) for each image from its pool (n or 1, m, h, w, c)."""
    pools = np.broadcast_to(pool, (len(part), *pool.shape[1:]))
    generators = [image_generator(image, seed, "expected gradients, samples") for image in part.x]
    return np.stack([mine[without_replacement(len(mine), steps, g)] for mine, g in zip(pools, generators, strict=True)])
