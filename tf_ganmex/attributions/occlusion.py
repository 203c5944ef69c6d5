"""Occlusion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.exact import exact_contrast, exact_scores
from tf_ganmex.attributions.local import LocalChanges, local_changes
from tf_ganmex.attributions.problem import (
    Baseline,
    Problem,
    check_baseline,
    check_count,
    evaluations_at_once,
    even_batches,
    explain_in_batches,
    pad_rows,
    pose,
    power_of_two,
    row_slices,
)
from tf_ganmex.classifier import Classifier
from tf_ganmex.errors import OptionError

CHANNELS = ("each", "together")


def occlusion(
    clf: Classifier,
    x: Any,
    origin: Any,
    target: Any,
    baseline: Baseline,
    *,
    window: int = 1,
    channels: str | None = None,
    stride: int = 1,
    score: str = "probability",
    batch_size: int | None = None,
) -> np.ndarray:
    """Occlusion: how much the score delta drops when a window of the image is replaced by the baseline.

    For ``window=1``, A_i = Δ(x) − Δ(x with x_i := x̃_i) (Zeiler & Fergus 2014; Ancona et al. 2018; Occlusion-1 of
    GANMEX, A.3). For larger windows a feature gets the sum of the drops of the windows over it, divided by the sum of
    their sizes, as in DeepExplain. Windows that the baseline does not change drop nothing and are not evaluated. Drops
    are computed to the precision of the logits, also where probabilities are 1 but for rounding.

    Args:
        clf: the classifier.
        x: images (n, h, w, c) in its value range.
        origin: class or classes (n,) to explain.
        target: class or classes (n,) to compare with; None for one-vs-all; ``"average"`` for the mean of the
            one-vs-one maps over all other classes.
        baseline: (n, h, w, c) one per image, (h, w, c) one for all, (n or 1, k, h, w, c) several (their maps are
            averaged), or a callable (x, target) -> images.
        window: side of the square window in pixels.
        channels: ``"each"`` replaces one channel at a time (default for window 1: one feature), ``"together"`` all
            channels of a pixel (default for larger windows).
        stride: pixels between windows.
        score: ``"probability"`` or ``"logit"``.
        batch_size: images through the classifier at a time; None chooses.

    Returns:
        Maps (n, h, w, c).

    Raises:
        ImageError, LabelError, BaselineError, OptionError: for arguments that do not fit.
    """
    problem = pose(clf, x, origin, target, score)
    height, width, depth = problem.x.shape[1:]
    window, stride = check_count(window, "window"), check_count(stride, "stride")
    channels = channels or ("each" if window == 1 else "together")
    if channels not in CHANNELS:
        raise OptionError(f"Expected channels to be one of {CHANNELS}. Received: channels={channels!r}.")
    if window > min(height, width):
        raise OptionError(f"Expected a window within the image ({height}, {width}). Received: window={window}.")
    corners = _corners(height, width, depth if channels == "each" else 1, window, stride)
    size = (window, window, 1 if channels == "each" else depth)
    evaluations = evaluations_at_once(problem, batch_size)

    def method(part: Problem, baselines: np.ndarray) -> np.ndarray:
        return _spread(_drops(part, baselines, corners, size, evaluations), corners, size, part.x.shape[1:])

    rows = even_batches(len(problem), max(1, _FEATURES // problem.x[0].size))
    return explain_in_batches(problem, check_baseline(problem, baseline), method, rows)


_FEATURES = 2**18  # features of the images whose drops are held at a time


def _corners(height: int, width: int, depth: int, window: int, stride: int) -> np.ndarray:
    """(windows, 3): top, left and first channel of every window."""
    axes = np.arange(0, height - window + 1, stride), np.arange(0, width - window + 1, stride), np.arange(depth)
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3).astype(np.int32)


def _drops(
    problem: Problem, baselines: np.ndarray, corners: np.ndarray, size: tuple[int, int, int], evaluations: int
) -> np.ndarray:
    """Δ(x) − Δ(x with one window from the baseline), (n, windows)."""
    rows, windows = np.nonzero(_changed(problem.x != baselines, corners, size))
    clf, score = problem.clf, problem.score
    drops = np.zeros((len(problem), len(corners)), clf.dtype)
    if len(rows) == 0:
        return drops
    local = local_changes(problem, evaluations, len(rows), size[0])
    if local:
        drops[rows, windows] = _local_drops(local, baselines, rows, corners[windows], size)
        return drops
    # First the images as they are, by a window outside of them: what the classifier does not see drops exactly nothing.
    images = np.unique(rows)
    rows = np.concatenate([images, rows])
    windows = np.concatenate([np.full_like(images, len(corners)), windows])
    places = np.vstack([corners, [problem.x.shape[1:]]]).astype(np.int32)
    kernel = clf.kernel(("occlusion", score, size), lambda: _occluded_deltas(clf, score, size))
    arrays = [tf.constant(array) for array in (problem.x, baselines, exact_contrast(problem))]
    at_once = min(evaluations, power_of_two(len(rows)))
    deltas = np.empty(len(rows))
    for part in row_slices(len(rows), at_once):
        padded = pad_rows(rows[part], at_once), places[pad_rows(windows[part], at_once)]
        found = kernel(*arrays, *map(tf.constant, padded), clf.weight_tensors).numpy()
        deltas[part] = found[: part.stop - part.start]
    whole, first = np.zeros(len(problem)), len(images)
    whole[images] = deltas[:first]
    drops[rows[first:], windows[first:]] = whole[rows[first:]] - deltas[first:]
    return drops


def _local_drops(
    local: LocalChanges, baselines: np.ndarray, rows: np.ndarray, corners: np.ndarray, size: tuple[int, int, int]
) -> np.ndarray:
    """Those of ``_drops``, by evaluating windows alone."""
    differences = baselines - local.problem.x
    windows = np.lib.stride_tricks.sliding_window_view(differences, size[:2], (1, 2))  # (n, h', w', c, window, window)
    drops = np.empty(len(rows))
    for part in row_slices(len(rows), max(1, local.at_once // size[0] ** 2)):
        row, (top, left, channel) = rows[part], corners[part].T
        change = np.moveaxis(windows[row, top, left], 1, -1)
        if size[2] == 1:
            change = change * (np.arange(change.shape[-1]) == channel[:, None, None, None])
        drops[part] = -local(row, corners[part, :2], change.astype(differences.dtype))
    return drops


def _changed(differs: np.ndarray, corners: np.ndarray, size: tuple[int, int, int]) -> np.ndarray:
    """Whether a window holds any feature that differs, (n, windows), by a table of partial sums."""
    table = np.pad(differs.astype(np.int32), ((0, 0), (1, 0), (1, 0), (1, 0)))
    for axis in (1, 2, 3):
        np.cumsum(table, axis, out=table)
    low, high = corners.T, corners.T + np.array(size)[:, None]
    total = np.zeros((len(differs), len(corners)), np.int32)
    for choice in np.ndindex(2, 2, 2):
        index = [(high if bit else low)[axis] for axis, bit in enumerate(choice)]
        total += (-1) ** (3 - sum(choice)) * table[:, index[0], index[1], index[2]]
    return total > 0


def _occluded_deltas(clf: Classifier, score: str, size: tuple[int, int, int]) -> Callable:
    """A function of m occluded images that are put together inside the graph."""

    def deltas(
        x: tf.Tensor,
        baselines: tf.Tensor,
        contrast: tf.Tensor,
        rows: tf.Tensor,
        corners: tf.Tensor,
        weights: tuple[tf.Tensor, ...],
    ) -> tf.Tensor:
        inside = tf.constant(True)
        for axis, length in enumerate(x.shape[1:]):
            positions = tf.reshape(tf.range(length), [-1 if other == axis else 1 for other in range(3)])[None]
            first = tf.reshape(corners[:, axis], (-1, 1, 1, 1))
            inside &= (positions >= first) & (positions < first + size[axis])
        occluded = tf.where(inside, tf.gather(baselines, rows), tf.gather(x, rows))
        scores = exact_scores(clf.head, clf.engine.forward(occluded, weights), score)
        return tf.reduce_sum(scores * tf.gather(contrast, rows), -1)

    return deltas


def _spread(drops: np.ndarray, corners: np.ndarray, size: tuple[int, int, int], shape: tuple[int, ...]) -> np.ndarray:
    """Maps (n, h, w, c): over each feature, the drops of its windows by the sizes of its windows."""
    if size == (1, 1, 1) and len(corners) == np.prod(shape):
        return drops.reshape(-1, *shape)
    total, sizes = np.zeros((len(drops), *shape), drops.dtype), np.zeros(shape, drops.dtype)
    for index, corner in enumerate(corners):
        inside = tuple(slice(first, first + length) for first, length in zip(corner, size, strict=True))
        total[(slice(None), *inside)] += drops[:, index, None, None, None]
        sizes[inside] += np.prod(size)
    return total / np.maximum(sizes, 1)
