"""Random changes of training images, each a function of a key, so that an interrupted training resumes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import tensorflow as tf

from tf_ganmex.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far images are turned, slanted, enlarged and moved at most; every image by its own random amounts.

    What comes in from outside an image is the nearest pixel of its edge.

    Attributes:
        rotation: degrees, either way.
        shear: degrees, either way.
        zoom: relative change of height and width, each, up or down.
        shift: fraction of height and width, each, either way.
        flip: whether half of the images are mirrored, left to right.
    """

    rotation: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    flip: bool = False

    def __post_init__(self) -> None:
        """OptionError for amounts that leave no image."""
        limits = {"rotation": 180.0, "shear": 60.0, "zoom": 0.9, "shift": 1.0}
        for name, limit in limits.items():
            if not 0 <= getattr(self, name) <= limit:
                raise OptionError(f"Expected {name} in [0, {limit:g}]. Received: {name}={getattr(self, name)!r}.")

    def as_dict(self) -> dict[str, Any]:
        """The amounts by name."""
        return asdict(self)

    def apply(self, images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """Changes a batch.

        Args:
            images: (n, h, w, c).
            key: two integers; the same change the same images alike.

        Returns:
            Images of the same shape.
        """
        n, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]
        # Six amounts an image, each in [-1, 1).
        turn, slant, tall, wide, down, right = tf.unstack(
            tf.random.stateless_uniform((6, n), seed=key, minval=-1.0, maxval=1.0)
        )
        angle, shear = turn * math.radians(self.rotation), tf.tan(slant * math.radians(self.shear))
        tall, wide = 1.0 + tall * self.zoom, 1.0 + wide * self.zoom
        if self.flip:
            wide *= tf.sign(tf.random.stateless_uniform((n,), seed=key + 1, minval=-1.0, maxval=1.0))
        # Where in the image each pixel of the result comes from, about the centre: x, then y.
        a, b = wide * tf.cos(angle), tall * (shear * tf.cos(angle) - tf.sin(angle))
        c, d = wide * tf.sin(angle), tall * (shear * tf.sin(angle) + tf.cos(angle))
        middle_x, middle_y = (width - 1) / 2.0, (height - 1) / 2.0
        from_x = middle_x + right * self.shift * width - a * middle_x - b * middle_y
        from_y = middle_y + down * self.shift * height - c * middle_x - d * middle_y
        nothing = tf.zeros_like(a)
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.stack([a, b, from_x, c, d, from_y, nothing, nothing], axis=1),
            output_shape=[height, width],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )


AUGMENTATIONS: dict[str, Augmentation | None] = {
    "none": None,
    # The published code's for MNIST.
    "digits": Augmentation(rotation=5.0, shear=0.1, zoom=0.1, shift=0.1),
    "objects": Augmentation(shift=0.125, flip=True),
    "photos": Augmentation(rotation=15.0, zoom=0.2, shift=0.1, flip=True),
}


def named_augmentation(name: Augmentation | str | None) -> Augmentation | None:
    """The augmentation called so, or the one given; OptionError for an unknown name."""
    if not isinstance(name, str):
        return name
    if name not in AUGMENTATIONS:
        raise OptionError(
            f"Expected augmentation to be one of {', '.join(AUGMENTATIONS)}. Received: augmentation={name!r}."
        )
    return AUGMENTATIONS[name]


def change_of(augmentation: Augmentation | str | None, seed: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None:
    """A function of (images, step) that changes the images of a step, keyed by seed and step; None for no change."""
    found = named_augmentation(augmentation)
    if found is None:
        return None
    return lambda images, step: found.apply(images, tf.stack([tf.constant(2 * seed, tf.int64), step]))
