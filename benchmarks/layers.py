"""A Keras network as a plain list of layers with their weights, for PyTorch and for counting operations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        kind: conv, depthwise, dense, norm, relu, pool, mean, flatten or softmax.
        before: shape of what it takes, without the batch.
        after: shape of what it gives.
        arrays: kernel (h, w, in, out), bias; scale and shift of a norm.
        stride: of conv, depthwise and pool.
        padding: pixels at top, bottom, left and right.
        limit: of a relu, or None.
    """

    kind: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    stride: int = 1
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    limit: float | None = None


def layers_of(model: Any) -> list[Layer]:
    """The layers of a Keras model whose layers are a chain, the padding layers merged into what follows them."""
    found: list[Layer] = []
    padding = (0, 0, 0, 0)
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in ("InputLayer", "Dropout"):
            continue
        if kind == "ZeroPadding2D":
            padding = tuple(side for sides in layer.padding for side in sides)
            continue
        found.extend(_convert(layer, kind, padding))
        padding = (0, 0, 0, 0)
    return found


def _convert(layer: Any, kind: str, padding: tuple[int, int, int, int]) -> list[Layer]:
    before, after = tuple(layer.input.shape[1:]), tuple(layer.output.shape[1:])
    if kind in ("Conv2D", "DepthwiseConv2D"):
        names = ("kernel", "bias") if layer.use_bias else ("kernel",)
        arrays = dict(zip(names, layer.get_weights(), strict=True))
        stride, size = layer.strides[0], layer.kernel_size[0]
        if layer.padding == "same":
            padding = _same(before[0], size, stride) + _same(before[1], size, stride)
        name = "conv" if kind == "Conv2D" else "depthwise"
        made = [Layer(name, before, after, arrays, stride=stride, padding=padding)]
        return made + _activation(layer.activation.__name__, after)
    if kind == "Dense":
        made = [Layer("dense", before, after, dict(zip(("kernel", "bias"), layer.get_weights(), strict=True)))]
        return made + _activation(layer.activation.__name__, after)
    if kind == "BatchNormalization":
        gamma, beta, mean, variance = layer.get_weights()
        scale = gamma / np.sqrt(variance + layer.epsilon)
        return [Layer("norm", before, after, {"scale": scale, "shift": beta - mean * scale})]
    if kind == "ReLU":
        limit = None if layer.max_value is None else float(layer.max_value)
        return [Layer("relu", before, after, limit=limit)]
    if kind in ("Activation", "Softmax"):
        return _activation("softmax" if kind == "Softmax" else layer.activation.__name__, after)
    simple = {"AveragePooling2D": "pool", "GlobalAveragePooling2D": "mean", "Flatten": "flatten", "Reshape": "flatten"}
    if kind not in simple:
        raise NotImplementedError(f"{kind} has no counterpart here: add it to benchmarks/layers.py.")
    stride = layer.strides[0] if kind == "AveragePooling2D" else 1
    return [Layer(simple[kind], before, after, stride=stride)]


def _activation(name: str, shape: tuple[int, ...]) -> list[Layer]:
    if name == "linear":
        return []
    if name not in ("relu", "softmax"):
        raise NotImplementedError(f"{name} has no counterpart here: add it to benchmarks/layers.py.")
    return [Layer(name, shape, shape)]


def _same(length: int, size: int, stride: int) -> tuple[int, int]:
    missing = max(0, (-(-length // stride) - 1) * stride + size - length)
    return missing // 2, missing - missing // 2
