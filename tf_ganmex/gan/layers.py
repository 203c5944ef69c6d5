"""The layers that the networks are made of, here as Keras layers.

`networks.py` says what is connected to what and takes the layers from outside, so that the Keras networks and those of
TF-GAN's estimator (`tfgan/layers.py`) are one description built twice, and cannot drift apart.
"""

from __future__ import annotations

from typing import Any, Protocol

from tf_ganmex._backend import keras
from tf_ganmex.gan.convolutions import BLOCK, BlockConv, ConditionedConv, Crop, LeakyReLU, pads_evenly

# StarGAN (Choi et al. 2018, appendix 7.2) as TF-GAN builds it.
NORM_EPSILON = 1e-6
LEAKY_SLOPE = 0.01


class Layers(Protocol):
    """What a network is built with; a name is that of a weight's owner, in both frameworks."""

    def conditioned_conv(self, image: Any, target: Any, name: str, channels: int, size: int) -> Any:
        """`conv` of the image (n, h, w, c), target (n, classes) appended as constant planes, to a map as large."""

    def conv(self, net: Any, name: str, channels: int, size: int, stride: int = 1, *, pad: int) -> Any:
        """A convolution without bias, VALID after padding by hand."""

    def transposed_conv(self, net: Any, name: str, channels: int, size: int, stride: int) -> Any:
        """A VALID transposed convolution without bias."""

    def norm(self, net: Any, name: str) -> Any:
        """Instance normalization with scale and offset."""

    def unused_norm(self, net: Any, name: str) -> None:
        """A norm whose weights exist and whose result nobody reads, as in TF-GAN."""

    def relu(self, net: Any, name: str) -> Any:
        """The positive part."""

    def leaky_relu(self, net: Any, name: str) -> Any:
        """Leaky ReLU with slope 0.01."""

    def add(self, one: Any, other: Any, name: str) -> Any:
        """The sum of two maps."""

    def crop(self, net: Any, name: str) -> Any:
        """The map without its one-pixel border."""

    def double(self, net: Any, name: str) -> Any:
        """The map resized to twice its height and width, every pixel repeated."""

    def tanh(self, net: Any, name: str) -> Any:
        """The hyperbolic tangent, in float32."""

    def mean(self, net: Any, name: str) -> Any:
        """The mean of a one-channel map (n, h, w, 1), (n,) in float32."""

    def dense(self, net: Any, name: str, units: int) -> Any:
        """A dense layer without bias on the flattened map, in float32."""


class KerasLayers:
    """Keras layers with a dtype policy each, of `convolutions.py` where those do with less work.

    Initial kernels depend on seed and name alone.
    """

    def __init__(self, dtype: str, seed: int) -> None:
        self._dtype = dtype
        self._seed = seed

    def conditioned_conv(self, image: Any, target: Any, name: str, channels: int, size: int) -> Any:
        """See `Layers`."""
        return self._kernel_layer(ConditionedConv, name, channels, size)([image, target])

    def conv(self, net: Any, name: str, channels: int, size: int, stride: int = 1, *, pad: int) -> Any:
        """See `Layers`."""
        sides = net.shape[1:3]
        if not pads_evenly(sides, size, stride, pad):
            net = self._layer("ZeroPadding2D", f"{name}_pad", pad)(net)
            return self._kernel_layer(keras.layers.Conv2D, name, channels, size, stride, use_bias=False)(net)
        few = channels < 4 and stride == 1 and not any(side % BLOCK for side in sides)
        kind = BlockConv if few else keras.layers.Conv2D
        return self._kernel_layer(kind, name, channels, size, stride, padding="same", use_bias=False)(net)

    def transposed_conv(self, net: Any, name: str, channels: int, size: int, stride: int) -> Any:
        """See `Layers`."""
        return self._kernel_layer(keras.layers.Conv2DTranspose, name, channels, size, stride, use_bias=False)(net)

    def norm(self, net: Any, name: str) -> Any:
        """See `Layers`."""
        return self._layer("GroupNormalization", f"{name}_norm", groups=-1, epsilon=NORM_EPSILON)(net)

    def unused_norm(self, net: Any, name: str) -> None:
        """Nothing: Keras has no use for weights outside the graph."""

    def relu(self, net: Any, name: str) -> Any:
        """See `Layers`."""
        return self._layer("ReLU", f"{name}_relu")(net)

    def leaky_relu(self, net: Any, name: str) -> Any:
        """See `Layers`."""
        return LeakyReLU(LEAKY_SLOPE, dtype=self._dtype, name=f"{name}_relu")(net)

    def add(self, one: Any, other: Any, name: str) -> Any:
        """See `Layers`."""
        return self._layer("Add", f"{name}_sum")([one, other])

    def crop(self, net: Any, name: str) -> Any:
        """See `Layers`."""
        return Crop(dtype=self._dtype, name=f"{name}_crop")(net)

    def double(self, net: Any, name: str) -> Any:
        """See `Layers`."""
        return self._layer("UpSampling2D", f"{name}_double", 2)(net)

    def tanh(self, net: Any, name: str) -> Any:
        """See `Layers`."""
        return keras.layers.Activation("tanh", dtype="float32", name=name)(net)

    def mean(self, net: Any, name: str) -> Any:
        """See `Layers`."""
        net = keras.layers.GlobalAveragePooling2D(dtype="float32", name=f"{name}_mean")(net)
        return keras.layers.Reshape((), dtype="float32", name="score")(net)

    def dense(self, net: Any, name: str, units: int) -> Any:
        """See `Layers`."""
        net = keras.layers.Flatten(dtype="float32", name=f"{name}_flat")(net)
        kernel = keras.initializers.GlorotUniform(seed=_seed_of(name, self._seed))
        return keras.layers.Dense(units, use_bias=False, kernel_initializer=kernel, dtype="float32", name=name)(net)

    def _layer(self, kind: str, name: str, *arguments: Any, **options: Any) -> keras.layers.Layer:
        return getattr(keras.layers, kind)(*arguments, dtype=self._dtype, name=name, **options)

    def _kernel_layer(self, kind: Any, name: str, *arguments: Any, **options: Any) -> keras.layers.Layer:
        kernel = keras.initializers.GlorotUniform(seed=_seed_of(name, self._seed))
        return kind(*arguments, kernel_initializer=kernel, dtype=self._dtype, name=name, **options)


def _seed_of(name: str, seed: int) -> int:
    # A seed per layer that does not depend on the order of construction, nor on Python's salted hash.
    value = seed & 0xFFFFFFFF
    for char in name:
        value = (value * 1000003 ^ ord(char)) & 0x7FFFFFFF
    return value
