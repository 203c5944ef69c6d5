"""The StarGAN generator and discriminator, with width, depth and the published variants as options.

The arithmetic is that of TF-GAN's StarGAN example, so that weights can be carried from one to the other: every
convolution is VALID after padding by hand, none has a bias, a transposed convolution is normalised before its
one-pixel border is cut off, and the last down-sampling convolution has neither norm nor activation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tf_ganmex._backend import keras
from tf_ganmex.errors import ImageError, OptionError
from tf_ganmex.gan.layers import KerasLayers, Layers

MAX_DISCRIMINATOR_CONVS = 6
UP_SAMPLINGS = ("transposed", "resize")


@dataclass(frozen=True, kw_only=True)
class GeneratorSizes:
    """What decides the shape of the generator.

    Attributes:
        filters: channels of the first convolution (64 as published); the next two have 2 and 4 times as many.
        blocks: number of residual blocks (6 as published).
        down_sampling: False for the published variant without ("hack"): all convolutions at full size, with half and
            a quarter of the channels instead of 2 and 4 times as many.
        up_sampling: "transposed" convolutions, or "resize" and convolve, which leaves no checkerboard ("smooth").
        last_down_norm: norm and ReLU after the last down-sampling convolution, as after the others; TF-GAN's code
            means to have them, but norms the wrong map and drops the result.
    """

    filters: int = 64
    blocks: int = 6
    down_sampling: bool = True
    up_sampling: str = "transposed"
    last_down_norm: bool = False

    def __post_init__(self) -> None:
        """Raise OptionError for what cannot be built."""
        if self.filters < 1 or self.blocks < 0:
            raise OptionError(
                f"Expected filters >= 1 and blocks >= 0. Received: filters={self.filters}, blocks={self.blocks}. "
                "StarGAN has 64 and 6; 32 and 3 are enough for MNIST."
            )
        if self.up_sampling not in UP_SAMPLINGS:
            raise OptionError(
                f"Expected up_sampling to be one of {', '.join(map(repr, UP_SAMPLINGS))}. "
                f"Received: up_sampling={self.up_sampling!r}. 'transposed' is StarGAN's."
            )
        if not self.down_sampling and (self.up_sampling != "transposed" or self.last_down_norm):
            raise OptionError(
                "Expected no other variant beside down_sampling=False, which samples neither down nor up. Received: "
                f"up_sampling={self.up_sampling!r}, last_down_norm={self.last_down_norm}. Leave them at their defaults."
            )


@dataclass(frozen=True, kw_only=True)
class DiscriminatorSizes:
    """What decides the shape of the discriminator.

    Attributes:
        filters: channels of the first convolution, doubled by each of the next (64 as published).
        smallest_side: no stride-2 convolution is added once height or width is below it: 3 as published, for 28×28
            images; 2 adds one as long as a pixel would be left, which at 64×64 gives TF-GAN's six.
        classes: units of the class head on the same trunk, of the stand-alone GAN; 0 for none.
    """

    filters: int = 64
    smallest_side: int = 3
    classes: int = 0

    def __post_init__(self) -> None:
        """Raise OptionError for what cannot be built."""
        if self.filters < 1 or self.smallest_side < 2:
            raise OptionError(
                "Expected discriminator filters >= 1 and a smallest side >= 2. Received: "
                f"discriminator_filters={self.filters}, discriminator_smallest_side={self.smallest_side}. "
                "As published they are 64 and 3."
            )


def build_generator(
    input_shape: tuple[int, int, int], num_classes: int, *, dtype: str = "float32", seed: int = 0, **sizes: Any
) -> keras.Model:
    """Build the generator: (image in [-1, 1], one-hot target) to image in [-1, 1].

    Args:
        input_shape: (h, w, c); h and w divisible by 4 where the generator samples down.
        num_classes: length of the one-hot target.
        dtype: Keras dtype policy of the layers; the output is float32 under any.
        seed: key of the initial weights.
        **sizes: of `GeneratorSizes`.

    Returns:
        A functional model with inputs (n, h, w, c) and (n, num_classes).

    Raises:
        ImageError: if h or w is not divisible by 4.
        OptionError: if a size is out of range.

    Reference:
        Choi et al., StarGAN, CVPR 2018, table 4.
    """
    chosen = GeneratorSizes(**sizes)
    check_sides(input_shape, chosen)
    image = keras.Input(input_shape, name="image")
    target = keras.Input((num_classes,), name="target")
    return keras.Model([image, target], generator(KerasLayers(dtype, seed), image, target, chosen), name="generator")


def build_discriminator(
    input_shape: tuple[int, int, int], *, dtype: str = "float32", seed: int = 0, **sizes: Any
) -> keras.Model:
    """Build the source discriminator: image in [-1, 1] to one unbounded number.

    Args:
        input_shape: (h, w, c).
        dtype: Keras dtype policy of the layers; the output is float32 under any.
        seed: key of the initial weights.
        **sizes: of `DiscriminatorSizes`.

    Returns:
        A functional model from (n, h, w, c) to (n,), or to (n,) and class logits (n, classes) if it has a class head.

    Raises:
        OptionError: if a size is out of range.

    Reference:
        Choi et al., StarGAN, CVPR 2018, table 5; GANMEX has no class head, for the classifier takes its place.
    """
    chosen = DiscriminatorSizes(**sizes)
    image = keras.Input(input_shape, name="image")
    score, classes = discriminator(KerasLayers(dtype, seed), image, chosen)
    return keras.Model(image, score if classes is None else [score, classes], name="discriminator")


def generator(layers: Layers, image: Any, target: Any, sizes: GeneratorSizes) -> Any:
    """Connect the generator's layers, of whatever framework; see `build_generator`."""
    net = _bottleneck(layers, *_down(layers, image, target, sizes), sizes.blocks)
    return layers.tanh(_up(layers, net, image.shape[-1], sizes), "tanh")


def discriminator(layers: Layers, image: Any, sizes: DiscriminatorSizes) -> tuple[Any, Any | None]:
    """Connect the discriminator's layers; return scores (n,) and class logits (n, classes) or None."""
    net = image
    for index in range(discriminator_convs(image.shape[1:3], sizes)):
        net = layers.conv(net, f"critic_{index}", sizes.filters * 2**index, 4, 2, pad=1)
        net = layers.leaky_relu(net, f"critic_{index}")
    score = layers.mean(layers.conv(net, "source", 1, 3, pad=1), "source")
    return score, layers.dense(net, "class_head", sizes.classes) if sizes.classes else None


def discriminator_convs(sides: tuple[int, int], sizes: DiscriminatorSizes) -> int:
    """How many stride-2 convolutions the discriminator has for images of these sides."""
    side, count = min(sides), 0
    while side >= sizes.smallest_side and count < MAX_DISCRIMINATOR_CONVS:
        side, count = side // 2, count + 1
    return count


def check_sides(input_shape: tuple[int, ...], sizes: GeneratorSizes) -> None:
    """Raise ImageError unless images of this shape come out of the generator as large as they went in."""
    if len(input_shape) != 3 or None in input_shape or (sizes.down_sampling and any(s % 4 for s in input_shape[:2])):
        raise ImageError(
            "Expected images (h, w, c) with height and width divisible by 4, for the generator halves them twice. "
            f"Received: input_shape={tuple(input_shape)}. Pad or resize the images, and train the classifier on those."
        )


def _down(layers: Layers, image: Any, target: Any, sizes: GeneratorSizes) -> tuple[Any, int]:
    """The three convolutions before the residual blocks, and the number of channels they end with."""
    if sizes.down_sampling:
        widths, stride, size = (sizes.filters, 2 * sizes.filters, 4 * sizes.filters), 2, 4
    else:
        widths, stride, size = (sizes.filters, max(1, sizes.filters // 2), max(1, sizes.filters // 4)), 1, 5
    net = _norm_relu(layers, layers.conditioned_conv(image, target, "down_0", widths[0], 7), "down_0")
    net = _norm_relu(layers, layers.conv(net, "down_1", widths[1], size, stride, pad=(size - 1) // 2), "down_1")
    before, net = net, layers.conv(net, "down_2", widths[2], size, stride, pad=(size - 1) // 2)
    if sizes.last_down_norm:
        net = _norm_relu(layers, net, "down_2")
    elif sizes.down_sampling:
        # TF-GAN normalises what goes into the last convolution once more, and returns what comes out.
        layers.unused_norm(before, "down_2")
    return net, widths[2]


def _bottleneck(layers: Layers, net: Any, channels: int, blocks: int) -> Any:
    for index in range(blocks):
        name = f"block_{index}"
        inner = _norm_relu(layers, layers.conv(net, f"{name}_0", channels, 3, pad=1), f"{name}_0")
        inner = layers.norm(layers.conv(inner, f"{name}_1", channels, 3, pad=1), f"{name}_1")
        net = layers.add(net, inner, name)
    return net


def _up(layers: Layers, net: Any, channels: int, sizes: GeneratorSizes) -> Any:
    for index, width in enumerate((2 * sizes.filters, sizes.filters)):
        name = f"up_{index}"
        if sizes.up_sampling == "resize":
            net = _norm_relu(layers, layers.conv(layers.double(net, name), name, width, 5, pad=2), name)
        else:
            net = layers.transposed_conv(net, name, width, 4, 2 if sizes.down_sampling else 1)
            # The crop comes last: the instance norm sees the border, as in TF-GAN.
            net = layers.crop(_norm_relu(layers, net, name), name)
    # Without down-sampling each transposed convolution adds a pixel, which a smaller border takes away again.
    return layers.conv(net, "image_out", channels, 7, pad=3 if sizes.down_sampling else 2)


def _norm_relu(layers: Layers, net: Any, name: str) -> Any:
    return layers.relu(layers.norm(net, name), name)
