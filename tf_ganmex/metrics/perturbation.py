"""Perturbation curves and the area over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.local import local_flips
from tf_ganmex.attributions.problem import (
    check_count,
    evaluations_at_once,
    even_batches,
    pad,
    pad_rows,
    pose,
    row_slices,
)
from tf_ganmex.classifier import Classifier
from tf_ganmex.errors import ImageError, OptionError

_ORDER_OF_EQUALS = 0  # seed


def perturbation_curve(
    clf: Classifier,
    x: Any,
    attributions: Any,
    origin: Any,
    target: Any,
    score: str = "probability",
    *,
    flips: int | None = None,
    batch_size: int | None = None,
) -> np.ndarray:
    """The score delta as features are flipped one after another, the highest attribution first.

    A flip is x_i → low + high − x_i, which is 1 − x_i on [0, 1] (Bach et al. 2015; Shrikumar et al. 2017; GANMEX,
    section 4.1). Features are ordered by signed attribution. Equal ones, which sparse maps are full of, come in an
    order that is random and always the same; in the order of the image, the upper half would be flipped first.

    Args:
        clf: the classifier.
        x: images (n, h, w, c) in its value range.
        attributions: maps (n, h, w, c).
        origin: class or classes (n,).
        target: class or classes (n,), or None for S_origin alone.
        score: ``"probability"`` or ``"logit"``.
        flips: how many features to flip; None flips all h·w·c.
        batch_size: images through the classifier at a time; None chooses.

    Returns:
        Score deltas (n, flips + 1) after 0, 1, ..., ``flips`` flips.

    Raises:
        ImageError, LabelError, OptionError: for arguments that do not fit.
    """
    problem = pose(clf, x, origin, target, score)
    maps = check_maps(attributions, problem.x.shape)
    features = maps[0].size
    flips = features if flips is None else min(check_count(flips, "flips"), features)
    evaluations = evaluations_at_once(problem, batch_size)
    local = local_flips(problem, flips, evaluations)
    if local:
        return local.curve(attribution_ranks(maps), flips)
    steps = even_batches(flips + 1, evaluations)
    batch = min(len(problem), max(1, evaluations // steps))
    low, high = clf.value_range
    kernel = clf.kernel(("flips", score), lambda: _deltas_after_flips(clf, score, low + high))
    curve = np.empty((len(problem), flips + 1), clf.dtype)
    for rows in row_slices(len(problem), batch):
        part = pad(problem[rows], batch)
        ranks = pad_rows(attribution_ranks(maps[rows]), batch)
        arrays = [tf.constant(array) for array in (part.x, ranks, part.contrast)]
        for counts in row_slices(flips + 1, steps):
            numbers = np.arange(counts.start, counts.start + steps, dtype=np.int32)
            deltas = kernel(*arrays, tf.constant(numbers), clf.weight_tensors).numpy()
            curve[rows, counts] = deltas[: rows.stop - rows.start, : counts.stop - counts.start]
    return curve


def check_maps(attributions: Any, shape: tuple[int, ...]) -> np.ndarray:
    """``attributions`` as an array; ImageError unless they are finite numbers of the images' shape."""
    maps = np.asarray(attributions)
    if maps.shape != shape or maps.dtype.kind not in "fiu":
        raise ImageError(
            f"Expected attributions shaped like the images, {shape}. Received: shape={maps.shape}, dtype={maps.dtype}."
        )
    if not np.isfinite(maps).all():
        raise ImageError("Expected finite attributions. Received: NaN or infinity.")
    return maps


def attribution_ranks(maps: np.ndarray) -> np.ndarray:
    """For each feature of maps (n, h, w, c) how many come before it, the highest attribution first; int32.

    Equal ones come in the order of one random permutation of the features.
    """
    flat = maps.reshape(len(maps), -1)
    shuffled = np.random.default_rng(_ORDER_OF_EQUALS).permutation(flat.shape[1])
    order = np.argsort(-flat[:, shuffled].astype(np.float64, copy=False), axis=1, kind="stable")
    ranks = np.empty_like(order, np.int32)
    np.put_along_axis(ranks, shuffled[order], np.arange(flat.shape[1], dtype=np.int32)[None], axis=1)
    return ranks.reshape(maps.shape)


def _deltas_after_flips(clf: Classifier, score: str, ends: float) -> Callable:
    def deltas(
        x: tf.Tensor, ranks: tf.Tensor, contrast: tf.Tensor, counts: tf.Tensor, weights: tuple[tf.Tensor, ...]
    ) -> tf.Tensor:
        rows, steps = x.shape[0], counts.shape[0]
        flipped = ranks[:, None] < tf.reshape(counts, (1, -1, 1, 1, 1))
        images = tf.where(flipped, (ends - x)[:, None], x[:, None])
        scores = clf.scores_tensor(tf.reshape(images, (rows * steps, *x.shape[1:])), weights, score)
        return tf.einsum("nkc,nc->nk", tf.reshape(scores, (rows, steps, -1)), contrast)

    return deltas


def aopc(curve: Any, steps: int | None = 100) -> np.ndarray:
    """The area over the perturbation curve (Samek et al. 2017; GANMEX, C.1).

    AOPC_L = 1/(L + 1) · Σ_{k=0..L} [Δ(x⁰) − Δ(x^k)].

    Args:
        curve: score deltas (n, flips + 1), as :func:`perturbation_curve` returns them.
        steps: L; None for all flips.

    Returns:
        (n,), one area for each image.

    Raises:
        OptionError: if the curve is no such array or shorter than ``steps``.
    """
    curve = np.asarray(curve)
    if curve.ndim != 2 or curve.shape[1] < 2:
        raise OptionError(f"Expected a curve of shape (n, flips + 1). Received: shape={curve.shape}.")
    last = curve.shape[1] - 1 if steps is None else check_count(steps, "steps")
    if last >= curve.shape[1]:
        raise OptionError(f"Expected steps of at most {curve.shape[1] - 1} flips. Received: steps={steps}.")
    return (curve[:, :1] - curve[:, : last + 1]).mean(1)
