"""Gradients of the score delta, at images and along straight paths to them from their baselines."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.affine import AffinePart
from tf_ganmex.attributions.exact import delta_with_exact_gradient
from tf_ganmex.attributions.problem import Problem, row_slices
from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.graph import TRACING
from tf_ganmex.errors import ModelError


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
    part = AffinePart.of(problem.clf, problem.x.shape[1:]) if baselines.shape[1] == 1 and not plain else None
    if part is not None:
        return _behind_affine_part(problem, part, baselines[:, 0], alphas, quadrature, chunk)
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
    return _weighted_sum(quadrature, terms)


def _weighted_sum(quadrature: tf.Tensor, terms: tf.Tensor) -> tf.Tensor:
    """Σ_k w_k terms_k, of (m, steps, ...); as a product of matrices, for multiplying and adding take twice as long."""
    rows, steps, *shape = terms.shape
    factors = tf.broadcast_to(quadrature, (rows, 1, steps))
    return tf.reshape(factors @ tf.reshape(terms, (rows, steps, -1)), (rows, *shape))


# --- behind the part of the network that is affine --------------------------------------------------------------------


def _behind_affine_part(
    problem: Problem, part: AffinePart, baselines: np.ndarray, alphas: np.ndarray, quadrature: np.ndarray, chunk: int
) -> np.ndarray:
    clf, score = problem.clf, problem.score
    missing = -len(quadrature) % chunk
    padded = _pad_steps(np.broadcast_to(alphas, (len(problem), len(quadrature))), missing)

    def build() -> Callable:
        return lambda *arrays: _path_sum_behind(clf, part, score, *arrays)

    kernel = clf.kernel(("path behind affine part", score, problem.x.shape[1:]), build)
    return kernel(
        tf.constant(problem.x),
        tf.constant(baselines),
        tf.constant(problem.contrast),
        tf.constant(padded.reshape(len(problem), -1, chunk).swapaxes(0, 1)),
        tf.constant(np.pad(quadrature, (0, missing)).reshape(-1, chunk)),  # a padded step weighs nothing
        clf.weight_tensors,
    ).numpy()


def _path_sum_behind(
    clf: Classifier,
    part: AffinePart,
    score: str,
    x: tf.Tensor,
    baselines: tf.Tensor,
    contrast: tf.Tensor,
    alphas: tf.Tensor,
    quadrature: tf.Tensor,
    weights: tuple[tf.Tensor, ...],
) -> tf.Tensor:
    """The path sum for alphas (chunks, m, chunk) and quadrature (chunks, chunk)."""
    behind: Any = copy(clf)
    behind.engine = part  # the same head on the network behind the affine part
    ends = part.values(baselines, weights), part.values(x, weights)
    lines = [tf.stack(pair, 1) for pair in zip(*ends, strict=True)]

    def add_chunk(index: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
        points = [_on_line(line, alphas[index]) for line in lines]
        each = tf.repeat(contrast, alphas.shape[2], axis=0)
        delta = delta_with_exact_gradient(behind, points, weights, each, score)
        found = tf.gradients(delta, points)
        known(next((gradient for gradient in found if gradient is not None), None))
        gradients = [tf.zeros_like(p) if g is None else g for p, g in zip(points, found, strict=True)]
        terms = [tf.reshape(gradient, (*alphas.shape[1:], *gradient.shape[1:])) for gradient in gradients]
        return index + 1, *(s + _weighted_sum(quadrature[index], t) for s, t in zip(sums, terms, strict=True))

    nothing = [tf.zeros_like(value) for value in ends[1]]
    # One chunk at a time, for memory; two halves of it side by side took no less of the processors.
    _, *sums = tf.while_loop(lambda index, *_: index < alphas.shape[0], add_chunk, (0, *nothing), parallel_iterations=1)
    (gradient,) = tf.gradients(ends[1], x, grad_ys=sums)
    return known(gradient) * (x - baselines)


def _on_line(line: tf.Tensor, alphas: tf.Tensor) -> tf.Tensor:
    """The points (m * steps, ...) at alphas (m, steps) between the ends (m, 2, ...), as a product of matrices."""
    (rows, steps), shape = alphas.shape, line.shape[2:]
    return tf.reshape(tf.stack([1 - alphas, alphas], -1) @ tf.reshape(line, (rows, 2, -1)), (rows * steps, *shape))


# --- gradients --------------------------------------------------------------------------------------------------------


def _delta_gradient(
    clf: Classifier, x: tf.Tensor, contrast: tf.Tensor, weights: tuple[tf.Tensor, ...], score: str
) -> tf.Tensor:
    with TRACING:  # for callables that run eagerly; while compiling it is held already
        with tf.GradientTape() as tape:
            tape.watch(x)
            delta = delta_with_exact_gradient(clf, x, weights, contrast, score)
        return known(tape.gradient(delta, x))


def known(gradient: tf.Tensor | None) -> tf.Tensor:
    """``gradient``; ModelError where there is none."""
    if gradient is None:
        raise ModelError(
            "Expected a differentiable classifier. Received: one whose scores have no gradient with respect to the "
            "image. Use occlusion, or a model without rounding, argmax or numpy functions on its way."
        )
    return gradient
