"""Xplique, Saliency and SHAP, on the Keras model."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from benchmarks import networks
from benchmarks.case import Run, Task
from benchmarks.ours import background, backgrounds


def xplique_integrated_gradients(task: Task, *, evaluations: int) -> Run:
    """Xplique's IntegratedGradients, whose baseline is one number for all images: black."""
    from xplique.attributions import IntegratedGradients

    p = networks.problem(task)
    method = IntegratedGradients(
        networks.model(task),
        batch_size=evaluations,
        operator=_delta,
        reducer=None,
        steps=task.steps,
        baseline_value=0.0,
    )
    return lambda: method.explain(p.x, p.contrast).numpy()


def xplique_occlusion(task: Task, *, evaluations: int) -> Run:
    """Xplique's Occlusion of single pixels, black."""
    from xplique.attributions import Occlusion

    p = networks.problem(task)
    method = Occlusion(
        networks.model(task), evaluations, operator=_delta, patch_size=1, patch_stride=1, occlusion_value=0.0
    )
    return lambda: method.explain(p.x, p.contrast).numpy()


def saliency_integrated_gradients(task: Task, *, evaluations: int) -> Run:
    """Saliency's IntegratedGradients, one image at a time, with gradients of a compiled function."""
    import tensorflow as tf
    from saliency.core import INPUT_OUTPUT_GRADIENTS, IntegratedGradients

    p, model = networks.problem(task), networks.model(task)

    @tf.function
    def gradients(images: Any, contrast: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(images)
            delta = tf.linalg.matvec(model(images, training=False), contrast)
        return tape.gradient(delta, images)

    def call_model(images: np.ndarray, call_model_args: Any, expected_keys: Any) -> dict[str, np.ndarray]:
        del expected_keys
        found = gradients(tf.constant(images, tf.float32), tf.constant(call_model_args))
        return {INPUT_OUTPUT_GRADIENTS: found.numpy()}

    method = IntegratedGradients()

    def run() -> np.ndarray:
        rows = zip(p.x, p.baseline, p.contrast, strict=True)
        return np.stack(
            [
                method.GetMask(image, call_model, contrast, black, x_steps=task.steps, batch_size=evaluations)
                for image, black, contrast in rows
            ]
        )

    return run


def shap_loop_deeplift(task: Task) -> Run:
    """SHAP's DeepExplainer, a new one for every image and its baseline."""
    return _shap_loop(task, networks.problem(task).baseline[:, None])


def shap_loop_deepshap(task: Task) -> Run:
    """SHAP's DeepExplainer, a new one for every image and its background."""
    return _shap_loop(task, backgrounds(task))


def shap_once_deeplift(task: Task) -> Run:
    """SHAP's DeepExplainer, one for all, whose background is a function that returns another for every image."""
    return _shap_once(task, networks.problem(task).baseline[:, None])


def shap_once_deepshap(task: Task) -> Run:
    """SHAP's DeepExplainer, one for all, whose background is a function that returns another for every image."""
    return _shap_once(task, backgrounds(task))


def shap_expected_gradients(task: Task, *, evaluations: int) -> Run:
    """SHAP's GradientExplainer of the score delta; its contrast is set for every image."""
    import shap

    p = networks.problem(task)
    model, contrast = _with_delta(networks.model(task), logits=False)
    explainer = shap.GradientExplainer(model, background(task), batch_size=evaluations)

    def run() -> np.ndarray:
        maps = []
        for image, weights in zip(p.x, p.contrast, strict=True):
            contrast.set_weights([weights[:, None]])
            maps.append(explainer.shap_values(image[None], nsamples=task.steps, rseed=task.seed)[0, ..., 0])
        return np.stack(maps)

    return run


def _shap_loop(task: Task, sets: np.ndarray) -> Run:
    import shap

    p = networks.problem(task)
    model, contrast = _with_delta(networks.model(task), logits=True)

    def run() -> np.ndarray:
        maps = []
        for image, images, weights in zip(p.x, sets, p.contrast, strict=True):
            contrast.set_weights([weights[:, None]])
            explainer = shap.DeepExplainer(model, images)
            maps.append(explainer.shap_values(image[None], check_additivity=False)[0, ..., 0])
        return np.stack(maps)

    return _quietly(run)


def _shap_once(task: Task, sets: np.ndarray) -> Run:
    import shap

    p = networks.problem(task)
    model, contrast = _with_delta(networks.model(task), logits=True)
    chosen = [sets[0]]
    explainer = shap.DeepExplainer(model, lambda _: [chosen[0]])

    def run() -> np.ndarray:
        maps = []
        for image, images, weights in zip(p.x, sets, p.contrast, strict=True):
            contrast.set_weights([weights[:, None]])
            chosen[0] = images
            maps.append(explainer.shap_values(image[None], check_additivity=False)[0, ..., 0])
        return np.stack(maps)

    return _quietly(run)


def _with_delta(model: Any, *, logits: bool) -> tuple[Any, Any]:
    """The model with the score delta as its only output, and the layer whose kernel is the contrast."""
    import keras

    scores = model.layers[-1].input if logits else model.outputs[0]
    layer = keras.layers.Dense(1, use_bias=False)
    return keras.Model(model.inputs[0], layer(scores)), layer


def _delta(model: Any, images: Any, targets: Any) -> Any:
    import tensorflow as tf

    return tf.reduce_sum(model(images) * targets, -1)


def _quietly(run: Run) -> Run:
    def call() -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run()

    return call
