"""The values that weights start from before training: of the Keras layer, or by the shape and place of the weight."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tf_ganmex._backend import keras
from tf_ganmex.classifier import Classifier
from tf_ganmex.classifier.graph import FrozenGraph, Weight
from tf_ganmex.sanity.layers import first_users

_STATISTICS = {"moving_mean": "mean", "moving_variance": "variance", "running_mean": "mean", "running_var": "variance"}
_SCALES = {"gamma", "scale", "alpha"}
# The inputs of TensorFlow's fused batch normalization.
_FUSED = {1: "scale", 2: "shift", 3: "mean", 4: "variance"}


def is_statistic(graph: FrozenGraph, weight: Weight) -> bool:
    """Whether a weight is the moving mean or variance of a normalization."""
    return _role(graph, weight) in {"mean", "variance"}


def _role(graph: FrozenGraph, weight: Weight) -> str:
    """What a weight does: "mean", "variance", "scale", "shift" or "kernel"."""
    last = re.sub(r"_\d+$", "", weight.name.rpartition("/")[2])
    if last in _STATISTICS:
        return _STATISTICS[last]
    users = first_users(graph, weight)
    fused = [_FUSED[index] for operation, index in users if operation.startswith("FusedBatchNorm") and index in _FUSED]
    if fused:
        return fused[0]
    if weight.spec.shape.rank > 1:
        return "kernel"
    return "scale" if last in _SCALES or any(operation in {"Mul", "RealDiv"} for operation, _ in users) else "shift"


class Initializers:
    """The initializers of a classifier's weights."""

    def __init__(self, clf: Classifier):
        self.graph = clf.graph
        self.facts = {weight.name: weight for weight in clf.graph.weights}
        self.of_model = {} if clf.keras_model is None else _model_initializers(clf.keras_model)

    def draw(self, name: str, seed: int) -> np.ndarray:
        """A new value for the weight ``name``."""
        weight = self.facts[name]
        shape = tuple(weight.spec.shape)
        initializer = self._of_layer(name, shape)
        if initializer is None:
            role = _role(self.graph, weight)
            initializer = {
                "kernel": keras.initializers.GlorotUniform(),
                "scale": keras.initializers.Ones(),
                "variance": keras.initializers.Ones(),
            }.get(role, keras.initializers.Zeros())
        return np.asarray(_seeded(initializer, seed)(shape, dtype="float32"))

    def _of_layer(self, name: str, shape: tuple[int, ...]) -> Any:
        """The layer's own initializer; the name of a layer may have been numbered where a model has two of it."""
        layer, _, variable = name.rpartition("/")
        for candidate in (layer, re.sub(r"_\d+$", "", layer)):
            found = [
                initializer
                for (path, sizes), initializer in self.of_model.items()
                if sizes == shape and f"/{candidate}/{variable}".endswith(f"/{path}")
            ]
            if found:
                return found[0]
        return None


def _model_initializers(model: Any) -> dict[tuple[str, tuple[int, ...]], Any]:
    """The initializers of a Keras model's variables, by path and shape."""
    found = {}
    for layer in model._flatten_layers():  # a layer before those inside it, which own their variables
        for variable in layer.weights:
            path = getattr(variable, "path", variable.name).removesuffix(":0")
            short = path.rpartition("/")[2]
            names = (f"{short}_initializer", f"{short.removesuffix('_kernel')}_initializer")
            initializer = next((getattr(layer, name) for name in names if getattr(layer, name, None)), None)
            if initializer is not None:
                found[path, tuple(variable.shape)] = initializer
    return found


def _seeded(initializer: Any, seed: int) -> Any:
    """A copy of an initializer that draws from ``seed``, where it draws at all."""
    config = initializer.get_config() if hasattr(initializer, "get_config") else {}
    return type(initializer).from_config(config | {"seed": seed}) if "seed" in config else initializer
