"""Keras layers that compute what StarGAN's do, with less work on processors: same weights, same numbers to rounding.

Each is named after the plain computation that it stands for; `tfgan/layers.py` has those, and tests compare the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex._backend import keras

# Pixels along either side that are computed together: 16 channels fill a register, and sides are divisible by 4.
BLOCK = 4


@keras.saving.register_keras_serializable("tf_ganmex")
class ConditionedConv(keras.layers.Layer):
    """A convolution of [image (n, h, w, c), target (n, classes)] as if the target were appended as constant planes.

    It is linear in the target, so that every class needs one convolution of a small plane of ones, and not every image.
    """

    def __init__(self, filters: int, size: int, *, kernel_initializer: Any, **options: Any) -> None:
        super().__init__(**options)
        self.filters = filters
        self.kernel_size = (size, size)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Any) -> None:
        """Make the kernel, of as many channels as image and target have together."""
        channels = sum(shape[-1] for shape in input_shape)
        self.kernel = self.add_weight(
            name="kernel", shape=(*self.kernel_size, channels, self.filters), initializer=self.kernel_initializer
        )

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again, for `generator.save`."""
        kernel = keras.initializers.serialize(self.kernel_initializer)
        sizes = {"filters": self.filters, "size": self.kernel_size[0], "kernel_initializer": kernel}
        return super().get_config() | sizes

    def call(self, inputs: Any) -> tf.Tensor:
        """Add the targets' mixture of the classes' convolved planes to the convolved image."""
        image, target = inputs
        (_, height, width, channels), classes = image.shape, target.shape[-1]
        of_image, of_planes = tf.split(tf.convert_to_tensor(self.kernel), [channels, classes], axis=2)
        of_planes = tf.reshape(of_planes, (*self.kernel_size, 1, classes * self.filters))
        down, across = (_repeated(*sizes, image.dtype) for sizes in zip((height, width), self.kernel_size, strict=True))
        planes = tf.nn.conv2d(tf.ones((1, down.shape[1], across.shape[1], 1), image.dtype), of_planes, 1, "SAME")
        planes = tf.reshape(tf.transpose(tf.reshape(planes, (-1, classes, self.filters)), (1, 0, 2)), (classes, -1))
        mixed = tf.reshape(tf.matmul(target, planes), (-1, down.shape[1] * across.shape[1], self.filters))
        everywhere = tf.reshape(tf.einsum("hy,wx->hwyx", down, across), (1, height * width, -1))
        mixed = tf.reshape(tf.matmul(everywhere, mixed), (-1, height, width, self.filters))
        return tf.nn.conv2d(image, of_image, 1, "SAME") + mixed


def _repeated(size: int, kernel: int, dtype: str) -> tf.Tensor:
    # (size, at most kernel): a convolved plane of ones is the same all over but for its borders; a small one has both.
    position, small = np.arange(size), min(size, kernel)
    before = np.minimum(position, (kernel - 1) // 2)
    after = np.minimum(size - 1 - position, kernel // 2)
    index = np.where(size <= kernel, position, np.where(after < kernel // 2, small - 1 - after, before))
    return tf.one_hot(index, small, dtype=dtype)


@keras.saving.register_keras_serializable("tf_ganmex")
class BlockConv(keras.layers.Conv2D):
    """A convolution to few channels, of maps with sides divisible by 4, that computes 4×4 pixels as 16 channels.

    Convolutions to one channel leave most of a register empty. The kernel is put at 16 places of a larger one.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolve block by block, and put the blocks' pixels where they belong."""
        height, width = (_places(size, self.compute_dtype) for size in self.kernel_size)
        kernel = tf.einsum("yai,xbj,abco->yxcijo", height, width, tf.convert_to_tensor(self.kernel))
        kernel = tf.reshape(kernel, (*kernel.shape[:3], -1))
        return tf.nn.depth_to_space(tf.nn.conv2d(inputs, kernel, BLOCK, "SAME"), BLOCK)


@keras.saving.register_keras_serializable("tf_ganmex")
class Crop(keras.layers.Layer):
    """The map without its one-pixel border, by an operation whose gradient is a padding."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Two pixels less along both sides."""
        n, height, width, channels = input_shape
        return n, height - 2, width - 2, channels

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Slice."""
        _, height, width, channels = inputs.shape
        return tf.slice(inputs, (0, 1, 1, 0), (-1, height - 2, width - 2, channels))


@keras.saving.register_keras_serializable("tf_ganmex")
class LeakyReLU(keras.layers.LeakyReLU):
    """Leaky ReLU whose slopes are constants: derivatives of its derivative are none, where TensorFlow's are zeros.

    The gradient penalty would carry those zeros back through the whole discriminator.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Multiply by the slopes."""
        one = tf.ones((), inputs.dtype)
        return inputs * tf.stop_gradient(tf.where(inputs > 0, one, one * self.negative_slope))


def pads_evenly(sides: Any, size: int, stride: int, pad: int) -> bool:
    """Whether TensorFlow's SAME padding is a border of `pad` pixels around maps of these sides."""
    return all((-(-side // stride) - 1) * stride + size - side == 2 * pad for side in sides)


def _places(size: int, dtype: str) -> tf.Tensor:
    # (size + 3, size, 4): one where a weight of the small kernel stands in the large one, for each pixel of a block.
    large, small, pixel = np.ogrid[: size + BLOCK - 1, :size, :BLOCK]
    return tf.cast(large == small + pixel, dtype)
