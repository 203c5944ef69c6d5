"""AOPC over all features: ours, and the loop that a user would write."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks import networks
from benchmarks.case import Run, Task


def ours(task: Task) -> Run:
    """``gx.metrics.perturbation_curve`` and ``aopc`` of random maps."""
    import tf_ganmex as gx

    clf = gx.load_classifier(task.folder / f"{task.network}.keras")
    p, maps = networks.problem(task), _maps(task)

    def run() -> np.ndarray:
        curve = gx.metrics.perturbation_curve(clf, p.x, maps, p.origin, p.target)
        return gx.metrics.aopc(curve, steps=None)[:, None]

    return run


def loop(task: Task, *, evaluations: int) -> Run:
    """Every image: features sorted, flipped one after the other, batches through ``clf.probabilities``."""
    import tf_ganmex as gx

    clf = gx.load_classifier(task.folder / f"{task.network}.keras")
    return _loop(task, evaluations, clf.probabilities)


def loop_keras(task: Task, *, evaluations: int) -> Run:
    """The same through the Keras model as a compiled function."""
    import tensorflow as tf

    model = networks.model(task)
    call = tf.function(lambda images: model(images, training=False), reduce_retracing=True)
    return _loop(task, evaluations, lambda images: call(tf.constant(images)).numpy())


def _loop(task: Task, evaluations: int, probabilities: Callable[[np.ndarray], np.ndarray]) -> Run:
    p, maps = networks.problem(task), _maps(task)

    def run() -> np.ndarray:
        areas = []
        for x, a, origin, target in zip(p.x, maps, p.origin, p.target, strict=True):
            flat, order = x.reshape(-1), np.argsort(-a.reshape(-1))
            ranks = np.empty_like(order)
            ranks[order] = np.arange(len(order))
            parts = []
            for first in range(0, len(flat) + 1, evaluations):
                counts = np.arange(first, min(first + evaluations, len(flat) + 1))
                images = np.where(ranks < counts[:, None], 1 - flat, flat)
                scores = probabilities(images.reshape(-1, *x.shape))
                parts.append(scores[:, origin] - scores[:, target])
            curve = np.concatenate(parts)
            areas.append((curve[0] - curve).mean())
        return np.array(areas)[:, None]

    return run


def _maps(task: Task) -> np.ndarray:
    return np.random.default_rng(task.seed).normal(size=networks.problem(task).x.shape).astype(np.float32)
