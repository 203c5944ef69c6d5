"""The ReLU right behind the affine part of a classifier: on a straight path every unit of it switches at most once.

What comes back to a unit, summed over the steps where it is on, is therefore a difference of two partial sums over the
path. So the layer that reads the ReLU need not run backward at every step: once for the whole path, and once more for
each single unit that switches.
"""

from __future__ import annotations

import math
from itertools import dropwhile
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_ganmex.attributions.graphs.parts import evaluate_between, weight_feeds
from tf_ganmex.attributions.graphs.rewriting import Weights
from tf_ganmex.attributions.local.blocks import taps_between
from tf_ganmex.attributions.local.layers import ImageShape, Layer, read_segments
from tf_ganmex.classifier.graph import FrozenGraph, node_name

Ends = tuple[tf.Tensor, tf.Tensor]
Size = tuple[int, ...]


class SwitchingLayer(NamedTuple):
    """A convolution or dense layer that reads a ReLU, with at most constants added and multiplied between.

    Attributes:
        graph: the whole graph.
        read: name of what the ReLU reads (n, h, w, c).
        rectified: name of its result.
        layer: the layer; nothing of the image passes by its result (n, h', w', units) or (n, units).
        gathered: elements of the kernel that the units of one image lead to, all together.
    """

    graph: FrozenGraph
    read: str
    rectified: str
    layer: Layer
    gathered: int

    @classmethod
    def behind(cls, graph: FrozenGraph, source: str, shape: ImageShape) -> SwitchingLayer | None:
        """The layer behind the tensor ``source``, for images of ``shape``; None where there is another kind."""
        layers = [segment.layer for segment in read_segments(graph, shape)]
        relu, *others = [*dropwhile(lambda layer: layer is None or layer.source != source, layers), None]
        operations = {node.name: node.op for node in graph.graph_def.node}
        if relu is None or operations.get(node_name(relu.result)) != "Relu":
            return None
        layer = next(dropwhile(lambda layer: layer is not None and layer.kind in {"add", "scale"}, others))
        if layer is None or layer.kind not in {"conv", "dense"}:
            return None
        ways = _ways(layer, relu.shape[:2])[0].size
        return cls(graph, source, relu.result, layer, ways * relu.shape[2] * layer.shape[-1])

    def pull_back(self, ends: Ends, alphas: tf.Tensor, sums: tf.Tensor, weights: Weights) -> tf.Tensor:
        """The sum over the path of the gradients at what the ReLU reads.

        Args:
            ends: what it reads at the two ends of the path, each (m, h, w, c).
            alphas: (steps,), where on the path, ascending.
            sums: (chunks, m, chunk, h', w', units) or (chunks, m, chunk, units), up to each of the steps, of the
                gradients at the layer's result.
            weights: of the classifier.

        Returns:
            (m, h, w, c).
        """
        start, end = ends
        on_first, on_last = ((1 - alpha) * start + alpha * end > 0 for alpha in (alphas[0], alphas[-1]))
        switching = tf.where(on_first != on_last)
        before, after = tf.gather_nd(start, switching), tf.gather_nd(end, switching)
        stays_on = tf.gather_nd(on_last, switching)
        steps = _steps_before(alphas, before / (before - after), stays_on)

        constants, rectified = weight_feeds(self.graph, weights), tf.zeros_like(start)
        inputs = constants | {self.rectified: rectified}
        read, result = evaluate_between(self.graph, inputs, [self.layer.source, self.layer.result])
        (kernel,) = evaluate_between(self.graph, constants, self.layer.constants)
        (scale,) = tf.gradients(read, rectified, grad_ys=tf.ones_like(start))
        (whole,) = tf.gradients(result, rectified, grad_ys=sums[-1, :, -1])
        so_far = _at_units(self.layer, kernel, sums, tf.cast(switching, tf.int32), steps, start.shape[1:3])
        so_far *= tf.gather_nd(scale, switching)
        changes = tf.scatter_nd(switching, tf.where(stays_on, -so_far, so_far), tf.shape(start, tf.int64))
        return tf.where(on_last, whole, tf.zeros_like(whole)) + changes


def _steps_before(alphas: tf.Tensor, crossing: tf.Tensor, stays_on: tf.Tensor) -> tf.Tensor:
    """How many steps come before a unit changes; where it crosses zero it is off."""
    until, below = (tf.searchsorted(alphas, crossing, side=side) for side in ("right", "left"))
    # By rounding, a crossing can lie beyond the first or last step.
    return tf.clip_by_value(tf.where(stays_on, until, below), 1, alphas.shape[0] - 1)


def _at_units(
    layer: Layer, kernel: tf.Tensor, sums: tf.Tensor, units: tf.Tensor, steps: tf.Tensor, size: Size
) -> tf.Tensor:
    """The sums up to ``steps`` brought back to the elements ``units`` (image, row, column, channel) of its input."""
    features = layer.shape[-1]
    kernel = tf.reshape(kernel, (math.prod(layer.size), -1, features))
    kernel = tf.concat([kernel, tf.zeros_like(kernel[:1])], 0)  # the tap of ways that lead nowhere
    image, row, column, channel = tf.unstack(units, axis=1)
    results, taps = (tf.gather(array, row * size[1] + column) for array in _ways(layer, size))
    chunk, step = (steps - 1) // sums.shape[2], (steps - 1) % sums.shape[2]
    first = ((chunk * sums.shape[1] + image) * sums.shape[2] + step) * math.prod(layer.shape[:-1])
    backward = tf.gather(tf.reshape(sums, (-1, features)), first[:, None] + results)
    forward = tf.gather(tf.reshape(kernel, (-1, features)), taps * kernel.shape[1] + channel[:, None])
    return tf.reduce_sum(backward * forward, (1, 2))


def _ways(layer: Layer, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """From each position of what a layer reads: positions of its result, and by which tap, (positions, ways)."""
    height, width = layer.shape[:2] if layer.kind == "conv" else (1, 1)
    (rows, down), (columns, across) = (
        _ways_along(taps_between(layer, axis, (0, read - 1), (0, made - 1)))
        for axis, read, made in ((0, size[0], height), (1, size[1], width))
    )
    down, across = down[:, None, :, None], across[None, :, None, :]
    results = rows[:, None, :, None] * width + columns[None, :, None, :]
    taps = np.where((down < 0) | (across < 0), math.prod(layer.size), down * layer.size[1] + across)
    results, taps = (array.reshape(math.prod(size), -1).astype(np.int32) for array in (results, taps))
    return results, taps


def _ways_along(taps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of taps (inputs, results), −1 for none: the results that each input leads to, and by which tap."""
    most = (taps >= 0).sum(1).max()
    results = np.argsort(taps < 0, axis=1, kind="stable")[:, :most]
    return results, np.take_along_axis(taps, results, 1)
