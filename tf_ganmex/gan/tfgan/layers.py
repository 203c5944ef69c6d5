"""The networks' layers in a TensorFlow 1 graph, with variables that have TF-GAN's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex.gan.layers import LEAKY_SLOPE, NORM_EPSILON
from tf_ganmex.gan.tfgan.names import graph_name


class GraphLayers:
    """Layers in the present graph and variable scope; variables are made at the first use of a name, then shared.

    Args:
        initial: initial values by our names, "layer/variable"; a norm that is not among them starts as the identity.
        source_trunk: scope of the source discriminator's convolutions, see `names`.
    """

    def __init__(self, initial: Mapping[str, np.ndarray], source_trunk: str) -> None:
        self._initial = initial
        self._trunk = source_trunk

    def conditioned_conv(self, image: tf.Tensor, target: tf.Tensor, name: str, channels: int, size: int) -> tf.Tensor:
        """See `Layers`."""
        planes = tf.tile(target[:, None, None, :], [1, *image.shape[1:3], 1])
        return self.conv(tf.concat([image, planes], axis=-1), name, channels, size, pad=size // 2)

    def conv(self, net: tf.Tensor, name: str, channels: int, size: int, stride: int = 1, *, pad: int) -> tf.Tensor:
        """See `Layers`."""
        kernel = self._variable(f"{name}/kernel", (size, size, net.shape[-1], channels))
        net = tf.pad(net, [(0, 0), (pad, pad), (pad, pad), (0, 0)])
        return tf.nn.conv2d(net, kernel, stride, "VALID")

    def transposed_conv(self, net: tf.Tensor, name: str, channels: int, size: int, stride: int) -> tf.Tensor:
        """See `Layers`."""
        kernel = self._variable(f"{name}/kernel", (size, size, channels, net.shape[-1]))
        height, width = ((side - 1) * stride + size for side in net.shape[1:3])
        grown = tf.nn.conv2d_transpose(net, kernel, [tf.shape(net)[0], height, width, channels], stride, "VALID")
        return tf.ensure_shape(grown, (net.shape[0], height, width, channels))

    def norm(self, net: tf.Tensor, name: str) -> tf.Tensor:
        """See `Layers`."""
        mean, variance = tf.nn.moments(net, axes=[1, 2], keepdims=True)
        beta, gamma = (self._variable(f"{name}_norm/{part}", (net.shape[-1],)) for part in ("beta", "gamma"))
        return tf.nn.batch_normalization(net, mean, variance, beta, gamma, NORM_EPSILON)

    def unused_norm(self, net: tf.Tensor, name: str) -> None:
        """See `Layers`."""
        self.norm(net, name)

    def relu(self, net: tf.Tensor, name: str) -> tf.Tensor:
        """See `Layers`."""
        return tf.nn.relu(net)

    def leaky_relu(self, net: tf.Tensor, name: str) -> tf.Tensor:
        """See `Layers`."""
        return tf.nn.leaky_relu(net, LEAKY_SLOPE)

    def add(self, one: tf.Tensor, other: tf.Tensor, name: str) -> tf.Tensor:
        """See `Layers`."""
        return one + other

    def crop(self, net: tf.Tensor, name: str) -> tf.Tensor:
        """See `Layers`."""
        return net[:, 1:-1, 1:-1, :]

    def double(self, net: tf.Tensor, name: str) -> tf.Tensor:
        """See `Layers`."""
        return tf.image.resize(net, [2 * side for side in net.shape[1:3]], method="nearest")

    def tanh(self, net: tf.Tensor, name: str) -> tf.Tensor:
        """See `Layers`."""
        return tf.tanh(net)

    def mean(self, net: tf.Tensor, name: str) -> tf.Tensor:
        """See `Layers`."""
        return tf.reduce_mean(net, axis=[1, 2, 3])

    def dense(self, net: tf.Tensor, name: str, units: int) -> tf.Tensor:
        """See `Layers`."""
        size = int(np.prod(net.shape[1:]))
        return tf.matmul(tf.reshape(net, [-1, size]), self._variable(f"{name}/kernel", (size, units)))

    def _variable(self, name: str, shape: tuple[int, ...]) -> tf.Variable:
        if name not in self._initial:
            # The norm that nobody reads.
            start: Any = np.ones(shape, np.float32) if name.endswith("gamma") else np.zeros(shape, np.float32)
        else:
            start = self._initial[name]
        return tf.compat.v1.get_variable(
            graph_name(name, self._trunk), shape, tf.float32, initializer=lambda *_, **__: from_host(start)
        )


def from_host(value: np.ndarray) -> tf.Tensor:
    """A tensor of this value that is not written into the graph, whose size is limited to 2 GB."""
    return tf.ensure_shape(tf.numpy_function(lambda: value, [], value.dtype), value.shape)
