"""The StarGAN generator and discriminator, with width and depth as options.

The arithmetic is that of TF-GAN's StarGAN example, so that weights can be carried from one to the other: every
convolution is VALID after padding by hand, none has a bias, a transposed convolution is normalised before its
one-pixel border is cut off, and the last down-sampling convolution has neither norm nor activation.
"""

from __future__ import annotations

from collections.abc import Callable

from tf_ganmex._backend import keras
from tf_ganmex.errors import ImageError, OptionError

layers = keras.layers

# StarGAN (Choi et al. 2018, appendix 7.2) as TF-GAN builds it.
NORM_EPSILON = 1e-6
LEAKY_SLOPE = 0.01
MAX_DISCRIMINATOR_CONVS = 6
# Below this height or width a further stride-2 convolution would leave no pixel.
SMALLEST_STRIDED_SIDE = 3


def build_generator(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    filters: int = 64,
    blocks: int = 6,
    dtype: str = "float32",
    seed: int = 0,
) -> keras.Model:
    """Build the generator: (image in [-1, 1], one-hot target) to image in [-1, 1].

    Args:
        input_shape: (h, w, c); h and w divisible by 4.
        num_classes: length of the one-hot target.
        filters: channels of the first convolution (64 as published); the next two have 2 and 4 times as many.
        blocks: number of residual blocks (6 as published).
        dtype: Keras dtype policy of the layers; the output is float32 under any.
        seed: key of the initial weights.

    Returns:
        A functional model with inputs (n, h, w, c) and (n, num_classes).

    Raises:
        ImageError: if h or w is not divisible by 4.
        OptionError: if `filters` or `blocks` is out of range.

    Reference:
        Choi et al., StarGAN, CVPR 2018, table 4.
    """
    _check_sizes(input_shape, filters, blocks)
    height, width, channels = input_shape
    conv = _convolutions(dtype, seed)
    image = keras.Input(input_shape, name="image")
    target = keras.Input((num_classes,), name="target")

    planes = layers.Reshape((1, 1, num_classes), dtype=dtype, name="target_planes")(target)
    planes = layers.UpSampling2D((height, width), dtype=dtype, name="target_tiles")(planes)
    net = layers.Concatenate(dtype=dtype, name="conditioned")([image, planes])

    net = _norm_relu(conv(net, filters, 7, 1, pad=3, name="down_0"), dtype, "down_0")
    net = _norm_relu(conv(net, 2 * filters, 4, 2, pad=1, name="down_1"), dtype, "down_1")
    net = conv(net, 4 * filters, 4, 2, pad=1, name="down_2")
    for index in range(blocks):
        net = _residual_block(net, conv, 4 * filters, dtype, f"block_{index}")
    net = _up_sample(net, 2 * filters, dtype, seed, "up_0")
    net = _up_sample(net, filters, dtype, seed, "up_1")
    net = conv(net, channels, 7, 1, pad=3, name="image_out")
    net = layers.Activation("tanh", dtype="float32", name="tanh")(net)
    return keras.Model([image, target], net, name="generator")


def build_discriminator(
    input_shape: tuple[int, int, int], *, filters: int = 64, dtype: str = "float32", seed: int = 0
) -> keras.Model:
    """Build the source discriminator: image in [-1, 1] to one unbounded number.

    Args:
        input_shape: (h, w, c).
        filters: channels of the first convolution, doubled by each of the next (64 as published).
        dtype: Keras dtype policy of the layers; the output is float32 under any.
        seed: key of the initial weights.

    Returns:
        A functional model from (n, h, w, c) to (n,).

    Raises:
        OptionError: if `filters` is out of range.

    Reference:
        Choi et al., StarGAN, CVPR 2018, table 5, without its classification head.
    """
    _check_sizes(input_shape, filters, blocks=0)
    conv = _convolutions(dtype, seed)
    image = keras.Input(input_shape, name="image")
    net = image
    for index in range(MAX_DISCRIMINATOR_CONVS):
        if min(net.shape[1:3]) < SMALLEST_STRIDED_SIDE:
            break
        net = conv(net, filters * 2**index, 4, 2, pad=1, name=f"critic_{index}")
        net = layers.LeakyReLU(LEAKY_SLOPE, dtype=dtype, name=f"critic_{index}_relu")(net)
    net = conv(net, 1, 3, 1, pad=1, name="source")
    net = layers.GlobalAveragePooling2D(dtype="float32", name="source_mean")(net)
    net = layers.Reshape((), dtype="float32", name="score")(net)
    return keras.Model(image, net, name="discriminator")


def _check_sizes(input_shape: tuple[int, ...], filters: int, blocks: int) -> None:
    if len(input_shape) != 3 or any(side is None or side % 4 for side in input_shape[:2]):
        raise ImageError(
            "Expected images (h, w, c) with height and width divisible by 4, for the generator halves them twice. "
            f"Received: input_shape={tuple(input_shape)}. Pad or resize the images, and train the classifier on those."
        )
    if filters < 1 or blocks < 0:
        raise OptionError(
            f"Expected filters >= 1 and blocks >= 0. Received: filters={filters}, blocks={blocks}. "
            "StarGAN has 64 and 6; 32 and 3 are enough for MNIST."
        )


def _seed_of(name: str, seed: int) -> int:
    # A seed per layer that does not depend on the order of construction, nor on Python's salted hash.
    value = seed & 0xFFFFFFFF
    for char in name:
        value = (value * 1000003 ^ ord(char)) & 0x7FFFFFFF
    return value


def _kernel(name: str, seed: int) -> keras.initializers.Initializer:
    return keras.initializers.GlorotUniform(seed=_seed_of(name, seed))


def _convolutions(dtype: str, seed: int) -> Callable[..., keras.KerasTensor]:
    def conv(net, channels: int, size: int, stride: int, *, pad: int, name: str):
        net = layers.ZeroPadding2D(pad, dtype=dtype, name=f"{name}_pad")(net)
        return layers.Conv2D(
            channels,
            size,
            stride,
            padding="valid",
            use_bias=False,
            kernel_initializer=_kernel(name, seed),
            dtype=dtype,
            name=name,
        )(net)

    return conv


def _norm(net, dtype: str, name: str):
    return layers.GroupNormalization(groups=-1, epsilon=NORM_EPSILON, dtype=dtype, name=f"{name}_norm")(net)


def _norm_relu(net, dtype: str, name: str):
    return layers.ReLU(dtype=dtype, name=f"{name}_relu")(_norm(net, dtype, name))


def _residual_block(net, conv, channels: int, dtype: str, name: str):
    inner = _norm_relu(conv(net, channels, 3, 1, pad=1, name=f"{name}_0"), dtype, f"{name}_0")
    inner = _norm(conv(inner, channels, 3, 1, pad=1, name=f"{name}_1"), dtype, f"{name}_1")
    return layers.Add(dtype=dtype, name=f"{name}_sum")([net, inner])


def _up_sample(net, channels: int, dtype: str, seed: int, name: str):
    net = layers.Conv2DTranspose(
        channels,
        4,
        2,
        padding="valid",
        use_bias=False,
        kernel_initializer=_kernel(name, seed),
        dtype=dtype,
        name=name,
    )(net)
    # The crop comes last: the instance norm sees the border, as in TF-GAN.
    return layers.Cropping2D(1, dtype=dtype, name=f"{name}_crop")(_norm_relu(net, dtype, name))
