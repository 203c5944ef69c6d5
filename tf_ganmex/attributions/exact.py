"""Differences of score deltas to the precision of the logits, also where probabilities are 1 but for rounding.

In float32 a probability above 1 − 6e-8 is 1, and every change of the image that leaves it there changes nothing: of a
well-trained classifier, all features of every other image. The logits are as precise as ever, so softmax and sum are
taken in float64, without the term that is nearly 1.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.problem import Problem
from tf_ganmex.classifier.head import Head
from tf_ganmex.errors import ModelError


def exact_contrast(problem: Problem) -> np.ndarray:
    """The contrasts in float64, without the likeliest class of each image where probabilities sum to one.

    As Σ_j S_j = 1, subtracting a number from an image's contrast changes all its deltas alike and no difference of
    them. Without the one probability that is nearly 1 the differences of the others keep all their digits.
    """
    contrast = problem.contrast.astype(np.float64)
    if problem.score == "probability" and _sums_to_one(problem.clf.head):
        contrast -= np.take_along_axis(contrast, problem.clf.predict(problem.x)[:, None], 1)
    return contrast


def exact_scores(head: Head, raw: tf.Tensor, score: str) -> tf.Tensor:
    """Scores (n, classes) in float64 of a classifier's raw outputs, to be summed with :func:`exact_contrast`."""
    raw = tf.cast(raw, tf.float64)
    if score == "probability" and _sums_to_one(head):
        return tf.nn.softmax(head.logits(raw))  # for two classes too: not 1 − S
    return head.scores(raw, score)


def delta_with_exact_gradient(head: Head, raw: tf.Tensor, contrast: tf.Tensor, score: str) -> tf.Tensor:
    """Σ Δ of a classifier's raw outputs, less a constant: its gradient keeps its digits where a probability is 1."""
    if score == "probability" and _sums_to_one(head):
        scores = tf.nn.softmax(head.logits(raw))
        return tf.reduce_sum(scores * relative_to_likeliest(contrast, scores))
    return tf.reduce_sum(head.scores(raw, score) * contrast)


def relative_to_likeliest(contrast: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """Contrasts (..., classes) less that of the likeliest class.

    The softmax's gradient p_i (c_i − Σ_j c_j p_j) is the same for c less any number; for this one it takes no
    difference of numbers that are nearly equal.
    """
    likeliest = tf.argmax(probabilities, -1)[..., None]
    return contrast - tf.gather(contrast, likeliest, axis=-1, batch_dims=contrast.shape.rank - 1)


def known(gradient: tf.Tensor | None) -> tf.Tensor:
    """``gradient``; ModelError where there is none."""
    if gradient is None:
        raise ModelError(
            "Expected a differentiable classifier. Received: one whose scores have no gradient with respect to the "
            "image. Use occlusion, or a model without rounding, argmax or numpy functions on its way."
        )
    return gradient


def _sums_to_one(head: Head) -> bool:
    return head.raw == "logits" and head.kind != "sigmoid"
