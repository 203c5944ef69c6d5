"""The score deltas of images with one feature changed, many of them, to the precision of the logits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.exact import exact_contrast, exact_scores
from tf_ganmex.attributions.problem import Problem, pad_rows, power_of_two, row_slices
from tf_ganmex.classifier import Classifier


class SingleChanges:
    """Δ(x with one feature changed) − Δ(x) for the images of a problem, in float64.

    Attributes:
        at_once: how many changes a call takes at most.
    """

    def __init__(self, problem: Problem, evaluations: int, total: int):
        """Of ``total`` changes of a problem, ``evaluations`` or fewer at a time."""
        clf, score = problem.clf, problem.score
        at_once = min(evaluations, power_of_two(total))
        self.problem = problem
        self.at_once = at_once
        self.kernel = clf.kernel(("single changes", score), lambda: _changed_deltas(clf, score))
        self.contrast = exact_contrast(problem)
        # By the same kernel, as many at a time: a feature that the classifier does not see changes exactly nothing.
        every, own = np.arange(len(problem)), problem.x.reshape(len(problem), -1)[:, 0]
        parts = row_slices(len(problem), at_once)
        self.unchanged = np.concatenate(
            [self._deltas(every[rows], np.zeros_like(every[rows]), own[rows]) for rows in parts]
        )

    def __call__(self, rows: np.ndarray, features: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The changes when of the image ``rows[k]`` the feature ``features[k]`` becomes ``values[k]``, (k,)."""
        return self._deltas(rows, features, values) - self.unchanged[rows]

    def _deltas(self, rows: np.ndarray, features: np.ndarray, values: np.ndarray) -> np.ndarray:
        clf = self.problem.clf
        images, places = np.unique(rows, return_inverse=True)
        images = pad_rows(images, power_of_two(len(images)))  # few shapes, so few compilations
        changes = (places.astype(np.int32), features.astype(np.int32), values.astype(clf.dtype))
        arrays = [self.problem.x[images], self.contrast[images], *(pad_rows(array, self.at_once) for array in changes)]
        return self.kernel(*map(tf.constant, arrays), clf.weight_tensors).numpy()[: len(rows)]


def _changed_deltas(clf: Classifier, score: str) -> Callable:
    """A function of m changed images that are put together inside the graph."""

    def deltas(
        x: tf.Tensor,
        contrast: tf.Tensor,
        rows: tf.Tensor,
        features: tf.Tensor,
        values: tf.Tensor,
        weights: tuple[tf.Tensor, ...],
    ) -> tf.Tensor:
        count = rows.shape[0]
        images = tf.reshape(tf.gather(x, rows), (count, -1))
        images = tf.tensor_scatter_nd_update(images, tf.stack([tf.range(count), features], 1), values)
        raw = clf.engine.forward(tf.reshape(images, (count, *x.shape[1:])), weights)
        scores = exact_scores(clf.head, raw, score)
        return tf.reduce_sum(scores * tf.gather(contrast, rows), -1)

    return deltas
