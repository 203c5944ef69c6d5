"""DeepSHAP."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from tensorflow.python.eager import execute

from tf_ganmex._backend import keras
from tf_ganmex.attributions.deeplift import explain_with_rules, varying_nodes
from tf_ganmex.attributions.problem import (
    Baseline,
    Problem,
    check_baseline,
    explain_in_batches,
    pose,
)
from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.graph import TRACING
from tf_ganmex.errors import OptionError, UnsupportedOpError

BACKENDS = ("auto", "graph", "shap")

# Operations that SHAP 0.51's DeepExplainer was seen to explain as the graph does. Others raise LookupError there, and
# silu comes out wrong without a word, so what is not on this list never reaches it.
_SHAP_OPS = {
    "AddV2", "AvgPool", "BiasAdd", "ConcatV2", "Conv2D", "Elu", "Identity", "MatMul", "MaxPool", "Mean", "Mul", "Pad",
    "Relu", "Reshape", "Sigmoid", "Softplus", "Squeeze", "Sub", "Tanh",
}  # fmt: skip
_SHAP_SUMS = {"AddV2", "ConcatV2", "Sub"}  # the only ones for several varying inputs; products must not be broadcast


def deepshap(
    clf: Classifier,
    x: Any,
    origin: Any,
    target: Any,
    baseline: Baseline,
    *,
    backend: str = "auto",
    score: str = "probability",
    batch_size: int | None = None,
) -> np.ndarray:
    """DeepSHAP of the score delta (Lundberg & Lee 2017; Chen et al. 2019; GANMEX, section 2.1).

    The mean over the background of DeepLIFT's rescale contributions, with SHAP's rules for products, max pooling and
    the final softmax. The background of an image is its baseline, or its baselines.

    Args:
        clf: the classifier; its graph must be known.
        x: images (n, h, w, c) in its value range.
        origin: class or classes (n,) to explain.
        target: class or classes (n,) to compare with; None for one-vs-all; ``"average"`` for the mean of the
            one-vs-one maps over all other classes.
        baseline: (n, h, w, c) one per image, (h, w, c) one for all, (n or 1, k, h, w, c) a background of k images, or
            a callable (x, target) -> images.
        backend: ``"shap"`` runs SHAP's DeepExplainer, for Keras models of operations that it explains correctly;
            ``"graph"`` computes the same on the frozen graph, some ten times faster; ``"auto"`` takes SHAP where it
            can and the graph otherwise.
        score: ``"probability"`` or ``"logit"``.
        batch_size: images at a time; None chooses.

    Returns:
        Maps (n, h, w, c).

    Raises:
        UnsupportedOpError: if the graph holds an operation without a rule, or ``backend="shap"`` cannot take the model.
        ImageError, LabelError, BaselineError, OptionError: for arguments that do not fit.
    """
    if backend not in BACKENDS:
        raise OptionError(f"Expected backend to be one of {BACKENDS}. Received: backend={backend!r}.")
    problem = pose(clf, x, origin, target, score)
    obstacle = _obstacle(problem)
    if backend == "shap" and obstacle:
        raise UnsupportedOpError(
            f"Expected a model that SHAP's DeepExplainer supports. Received: {obstacle}. Use backend='graph'."
        )
    if backend == "graph" or obstacle:
        return explain_with_rules(problem, baseline, "shap", batch_size)
    explainer = ShapExplainer.of(clf, score)
    return explain_in_batches(problem, check_baseline(problem, baseline), explainer.explain, 1)


def _obstacle(problem: Problem) -> str:
    """Why SHAP's DeepExplainer cannot answer this question; empty if it can."""
    clf = problem.clf
    if not isinstance(clf.keras_model, keras.Model) or not getattr(clf.keras_model, "inputs", None):
        return "a classifier that was not made of a functional or sequential Keras 3 model"
    unknown = {node.op for node, which in varying_nodes(clf.graph) if not _shap_explains(node.op, len(which))}
    if unknown:
        return f"a model with the operations {sorted(unknown)}"
    if None in clf.input_shape:
        return "a model of images of any size"
    if clf.head.kind != "softmax":
        return "a model without exclusive classes"
    if clf.dtype != np.float32:
        return f"a model in {clf.dtype}"
    if problem.score == "logit" and clf.ends_in_activation:
        return "the logits of a model that ends in a softmax"
    return "" if _weights_are_the_same(clf) else "a Keras model whose weights have changed since it was loaded"


def _shap_explains(op: str, varying: int) -> bool:
    return op in _SHAP_OPS and (varying == 1 or op in _SHAP_SUMS)


def _weights_are_the_same(clf: Classifier) -> bool:
    weights = {weight.tobytes() for weight in clf.keras_model.get_weights()}
    return all(weight.numpy().tobytes() in weights for weight in clf.weight_tensors)


class ShapExplainer:
    """SHAP's DeepExplainer on a Keras model with one output more: the score delta.

    The delta is a dense layer without bias whose kernel is the contrast, so that one explainer serves all classes.
    """

    def __init__(self, clf: Classifier, score: str):
        model = clf.keras_model
        (scores,) = model.outputs
        if score == "probability" and not clf.ends_in_activation:
            scores = keras.layers.Softmax()(scores)
        self._delta = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", dtype="float32")
        wrapped = keras.Model(model.inputs[0], self._delta(scores))
        self._background: np.ndarray | None = None
        with warnings.catch_warnings():  # that TensorFlow is newer than 2.4, for one
            warnings.simplefilter("ignore")
            import shap

            self._explainer = shap.DeepExplainer(wrapped, lambda _: [self._background])

    @classmethod
    def of(cls, clf: Classifier, score: str) -> ShapExplainer:
        """The explainer of a classifier, made at first use."""
        kernels = clf.engine.kernels
        if ("shap", score) not in kernels:
            kernels["shap", score] = cls(clf, score)  # type: ignore[assignment]
        return kernels["shap", score]  # type: ignore[return-value]

    def explain(self, problem: Problem, baselines: np.ndarray) -> np.ndarray:
        """Maps (n, h, w, c) for one baseline an image."""
        maps = np.empty_like(problem.x)
        with TRACING, _restored_gradients(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for row, (image, baseline, contrast) in enumerate(zip(problem.x, baselines, problem.contrast, strict=True)):
                self._delta.set_weights([contrast[:, None]])
                self._background = baseline[None]
                maps[row] = self._explainer.shap_values(image[None], check_additivity=False)[0, ..., 0]
        return maps


@contextmanager
def _restored_gradients() -> Iterator[None]:
    """Gives TensorFlow its own recorder of gradients back, also where SHAP fails, which leaves its own in place."""
    recorder = execute.record_gradient
    try:
        yield
    finally:
        execute.record_gradient = recorder
