"""The layer behind the first ReLU, on straight paths: by Winograd's algorithm, from the ends of the paths on.

The points of a path are made with the batch behind the positions, as the algorithm wants them. A stride is taken away
first: the pixels of a square of it are channels of one.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tf_ganmex.attributions.graphs.parts import evaluate_between, weight_feeds
from tf_ganmex.attributions.graphs.rewriting import Weights
from tf_ganmex.attributions.graphs.winograd import CHANNELS, LARGEST, TAPS, convolve, values_of_kernel
from tf_ganmex.attributions.switches import Ends, SwitchingLayer


class TiledLayer(NamedTuple):
    """A convolution without padding, on the paths between given ends.

    Attributes:
        switching: the layer.
        ends: of the paths, at what the ReLU reads, (h, w, m, 2, channels) without the stride.
        values: of the kernel without the stride.
        weights: of the classifier.
    """

    switching: SwitchingLayer
    ends: tf.Tensor
    values: tf.Tensor
    weights: Weights

    @classmethod
    def of(cls, switching: SwitchingLayer, ends: Ends, weights: Weights) -> TiledLayer | None:
        """The layer on the paths between ``ends``, each (m, h, w, c); None where the algorithm is not for it."""
        layer, graph, channels = switching.layer, switching.graph, ends[0].shape[-1]
        made, stride = layer.shape[:-1], layer.stride[0]
        if layer.kind != "conv" or layer.stride != (stride, stride) or layer.before != (0, 0):
            return None
        if any(-(-size // stride) != TAPS for size in layer.size) or max(made) > LARGEST:
            return None
        needed = [(count - 1) * stride + size for count, size in zip(made, layer.size, strict=True)]
        if any(need > length for need, length in zip(needed, ends[0].shape[1:3], strict=True)):
            return None  # it is padded behind
        if min(stride**2 * channels, layer.shape[-1]) < CHANNELS:
            return None
        (kernel,) = evaluate_between(graph, weight_feeds(graph, weights), layer.constants)
        kernel = _without_stride(kernel[None], (TAPS, TAPS), stride)
        kernel = tf.reshape(kernel, (TAPS, TAPS, stride**2 * channels, -1))
        sizes = made[0] + TAPS - 1, made[1] + TAPS - 1
        parts = [_without_stride(end[..., None], sizes, stride) for end in ends]
        both = tf.stack([tf.reshape(part, (*part.shape[:3], -1)) for part in parts], 3)
        return cls(switching, both, values_of_kernel(kernel), weights)

    def results(self, alphas: tf.Tensor) -> tf.Tensor:
        """Its results (m * steps, h', w', units) at alphas (steps,) on the paths."""
        layer, graph = self.switching.layer, self.switching.graph
        points = tf.stack([1 - alphas, alphas], -1) @ self.ends
        height, width, rows, steps, channels = points.shape
        by_channel = tf.reshape(points, (-1, 1, 1, channels // layer.stride[0] ** 2))
        feeds = weight_feeds(graph, self.weights) | {self.switching.read: by_channel}
        (read,) = evaluate_between(graph, feeds, [layer.source])
        found = convolve(tf.reshape(read, (height, width, rows * steps, channels)), self.values, padded=False)
        return tf.transpose(found, (2, 0, 1, 3))


def _without_stride(array: tf.Tensor, sizes: tuple[int, int], stride: int) -> tf.Tensor:
    """From (n, h, w, c, d) to (*sizes, n, stride, stride, c, d), what is missing filled with zeros."""
    count, height, width, *others = array.shape
    down, across = (size * stride for size in sizes)
    missing = max(0, down - height), max(0, across - width)
    array = tf.pad(array[:, :down, :across], [[0, 0], *([0, more] for more in missing), [0, 0], [0, 0]])
    array = tf.reshape(array, (count, sizes[0], stride, sizes[1], stride, *others))
    return tf.transpose(array, (1, 3, 0, 2, 4, 5, 6))
