"""Gradients of the score delta, at images and along straight paths to them from their baselines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.exact import delta_with_exact_gradient, known
from tf_ganmex.attributions.problem import Problem, row_slices
from tf_ganmex.attributions.straight import straight_path_attributions, weighted_sum
from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.graph import TRACING


def gradients(problem: Problem) -> np.ndarray:
    """∇Δ at the images of a problem, all in one call: (n, h, w, c)."""
    clf, score = problem.clf, problem.score

    def build() -> Callable:
        return lambda x, contrast, weights: _delta_gradient(clf, x, contrast, weights, score)

    kernel = clf.kernel(("gradient", score), build)
    return kernel(tf.constant(problem.x), tf.constant(problem.contrast), clf.weight_tensors).numpy()


def path_attributions(
    problem: Problem,
    baselines: np.ndarray,
    alphas: np.ndarray,
    quadrature: np.ndarray,
    chunk: int,
    *,
    plain: bool = False,
) -> np.ndarray:
    """Σ_k w_k (x − x̃_k) ⊙ ∇Δ(x̃_k + α_k (x − x̃_k)), the sum that IG and EG take.

    Args:
        problem: m images, all evaluated in one call.
        baselines: (m, 1, h, w, c) for the same baseline at every step, or (m, steps, h, w, c).
        alphas: (1 or m, steps), where on the path.
        quadrature: (steps,), the weights w.
        chunk: how many steps to evaluate at a time.
        plain: evaluate the whole network at every step, also where its affine part need not be.

    Returns:
        (m, h, w, c).
    """
    if baselines.shape[1] == len(alphas) == 1 and not plain:
        found = straight_path_attributions(problem, baselines[:, 0], alphas[0], quadrature, chunk)
        if found is not None:
            return found
    clf, score = problem.clf, problem.score

    def build() -> Callable:
        return lambda *arrays: _path_sum(clf, score, *arrays)

    kernel = clf.kernel(("path", score), build)
    x, contrast = tf.constant(problem.x), tf.constant(problem.contrast)
    total = np.zeros_like(problem.x)
    for steps in row_slices(len(quadrature), chunk):
        missing = chunk - (steps.stop - steps.start)
        total += kernel(
            x,
            tf.constant(baselines if baselines.shape[1] == 1 else _pad_steps(baselines[:, steps], missing)),
            contrast,
            tf.constant(_pad_steps(alphas[:, steps], missing)),
            tf.constant(np.pad(quadrature[steps], (0, missing))),  # a padded step weighs nothing
            clf.weight_tensors,
        ).numpy()
    return total


def _pad_steps(array: np.ndarray, missing: int) -> np.ndarray:
    return np.concatenate([array, np.repeat(array[:, -1:], missing, 1)], 1) if missing else array


def _path_sum(
    clf: Classifier,
    score: str,
    x: tf.Tensor,
    baselines: tf.Tensor,
    contrast: tf.Tensor,
    alphas: tf.Tensor,
    quadrature: tf.Tensor,
    weights: tuple[tf.Tensor, ...],
) -> tf.Tensor:
    rows, steps = x.shape[0], quadrature.shape[0]
    shape = x.shape[1:]
    difference = x[:, None] - baselines
    points = baselines + tf.reshape(alphas, (-1, steps, 1, 1, 1)) * difference
    gradient = _delta_gradient(
        clf, tf.reshape(points, (rows * steps, *shape)), tf.repeat(contrast, steps, axis=0), weights, score
    )
    terms = tf.reshape(gradient, (rows, steps, *shape)) * difference
    return weighted_sum(quadrature, terms)


# --- gradients --------------------------------------------------------------------------------------------------------


def _delta_gradient(
    clf: Classifier, x: tf.Tensor, contrast: tf.Tensor, weights: tuple[tf.Tensor, ...], score: str
) -> tf.Tensor:
    with TRACING:  # for callables that run eagerly; while compiling it is held already
        with tf.GradientTape() as tape:
            tape.watch(x)
            delta = delta_with_exact_gradient(clf.head, clf.engine.forward(x, weights), contrast, score)
        return known(tape.gradient(delta, x))
