"""The score deltas of images with one feature changed, many of them, to the precision of the logits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.exact import exact_contrast, exact_scores
from tf_ganmex.attributions.local import LocalChanges, local_changes
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
        self.problem = problem
        self.local = local_changes(problem, evaluations, total)
        if self.local:
            self.at_once = self.local.at_once
            return
        at_once = min(evaluations, power_of_two(total))
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
        if self.local:
            return self._local_changes(self.local, rows, features, values)
        return self._deltas(rows, features, values) - self.unchanged[rows]

    def _local_changes(
        self, local: LocalChanges, rows: np.ndarray, features: np.ndarray, values: np.ndarray
    ) -> np.ndarray:
        _, _, width, depth = self.problem.x.shape
        pixels, channels = np.divmod(features, depth)
        top, left = np.divmod(pixels, width)
        differences = np.zeros((len(rows), 1, 1, depth), self.problem.x.dtype)
        own = self.problem.x[rows, top, left, channels]
        differences[np.arange(len(rows)), 0, 0, channels] = values.astype(own.dtype) - own
        return local(rows, np.stack([top, left], 1), differences)

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
