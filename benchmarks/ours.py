"""Ours, called as a user calls it."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import networks
from benchmarks.case import Run, Task


def integrated_gradients(task: Task, **options: Any) -> Run:
    """Integrated gradients by the midpoint rule."""
    return _method(task, "integrated_gradients", steps=task.steps, **options)


def occlusion(task: Task, **options: Any) -> Run:
    """Occlusion of every feature."""
    return _method(task, "occlusion", **options)


def deeplift(task: Task, **options: Any) -> Run:
    """DeepLIFT of the logits."""
    return _method(task, "deeplift", score="logit", **options)


def deepshap(task: Task, **options: Any) -> Run:
    """DeepSHAP of the logits, ``task.steps`` baselines an image, others for every image."""
    return _method(task, "deepshap", baseline=backgrounds(task), score="logit", **options)


def expected_gradients(task: Task, seed: int = 0) -> Run:
    """Expected gradients with one background for all images."""
    import tf_ganmex as gx

    clf, p = _loaded(task)
    samples = background(task)
    return lambda: gx.attributions.expected_gradients(
        clf, p.x, p.origin, p.target, samples, steps=task.steps, seed=seed
    )


def backgrounds(task: Task) -> np.ndarray:
    """(n, steps, h, w, c): for every image the images after it."""
    x = networks.problem(task).x
    return np.stack([np.roll(x, -shift, 0) for shift in range(1, task.steps + 1)], 1)


def background(task: Task) -> np.ndarray:
    """(100, h, w, c): the last images, for all alike."""
    with np.load(task.folder / f"{task.network}.npz") as file:
        return file["x"][-100:]


def _method(task: Task, name: str, **options: Any) -> Run:
    import tf_ganmex as gx

    clf, p = _loaded(task)
    method = getattr(gx.attributions, name)
    arguments = {"baseline": p.baseline, **options}
    return lambda: method(clf, p.x, p.origin, p.target, **arguments)


def _loaded(task: Task) -> tuple[Any, networks.Problem]:
    import tf_ganmex as gx

    return gx.load_classifier(task.folder / f"{task.network}.keras"), networks.problem(task)
