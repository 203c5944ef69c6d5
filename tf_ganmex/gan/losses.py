"""The terms of Eq. 9 and of the discriminator's loss, each a small function of tensors in [-1, 1]."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from tf_ganmex.errors import OptionError

# Inside the square root of the gradient norm, as in TF-GAN and the published code.
PENALTY_EPSILON = 1e-10
ADVERSARIAL_LOSSES = ("wasserstein", "minimax")


class AdversarialLoss(NamedTuple):
    """TF-GAN's two loss functions of one kind of adversarial game."""

    generator: Callable[[tf.Tensor], tf.Tensor]
    discriminator: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def adversarial_loss(name: str) -> AdversarialLoss:
    """Return TF-GAN's adversarial losses by name.

    Args:
        name: "wasserstein" (the published code's) or "minimax" (the log loss of Eq. 3, saturating as in Eq. 9).

    Returns:
        Functions `generator(fake_scores)` and `discriminator(real_scores, fake_scores)`, each to a scalar.

    Raises:
        OptionError: for another name.

    Reference:
        GANMEX, Eq. 3 and 9.
    """
    check_adversarial(name)
    # Late, so that importing the package does not import TF-GAN.
    from tf_ganmex.gan.tfgan import import_tfgan

    losses = import_tfgan().losses.wargs
    # Nothing reads TF1's collection of losses here.
    options: dict[str, Any] = {"loss_collection": None}
    if name == "minimax":
        # TF-GAN smooths the discriminator's real labels by 0.25 unless told otherwise; Eq. 3 does not.
        options["label_smoothing"] = 0.0
    return AdversarialLoss(
        partial(getattr(losses, f"{name}_generator_loss"), **options),
        partial(getattr(losses, f"{name}_discriminator_loss"), **options),
    )


def check_adversarial(name: str) -> None:
    """Raise OptionError unless `name` is an adversarial loss."""
    if name not in ADVERSARIAL_LOSSES:
        raise OptionError(
            f"Expected adversarial to be one of {', '.join(map(repr, ADVERSARIAL_LOSSES))}. "
            f"Received: adversarial={name!r}. Use 'wasserstein' for the published setting."
        )


def classification(logits: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropy between class logits (n, classes) and classes (n,)."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=logits))


def mean_absolute(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """The L1 terms of Eq. 9: the mean over images, pixels and channels (the published code takes means)."""
    return tf.reduce_mean(tf.abs(a - b))


def share(logits: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """The share of images whose highest logit (n, classes) is that of their target (n,)."""
    return tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), target), tf.float32))


def mean_distance(real: tf.Tensor, fake: tf.Tensor, value_range: tuple[float, float]) -> tf.Tensor:
    """The mean L2 distance, in the classifier's value range, of images (n, h, w, c) in [-1, 1]."""
    low, high = value_range
    return tf.reduce_mean(tf.sqrt(tf.reduce_sum(tf.square(fake - real), axis=[1, 2, 3]))) * ((high - low) / 2.0)


def gradient_penalty(
    discriminator: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor, fake: tf.Tensor, alpha: tf.Tensor
) -> tf.Tensor:
    """Two-sided gradient penalty with target 1, of the same value as TF-GAN's for the same interpolation.

    Args:
        discriminator: images (n, h, w, c) to scores (n,).
        real: images in [-1, 1].
        fake: generated images in [-1, 1].
        alpha: interpolation weights (n, 1, 1, 1); 0 is the real image, 1 the generated one.

    Returns:
        The scalar mean of (|∇D| − 1)².

    Reference:
        Gulrajani et al., Improved Training of Wasserstein GANs, Eq. 3.
    """
    between = tf.convert_to_tensor(real + alpha * (fake - real))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(between)
        scores = discriminator(between)
    gradient = tape.gradient(scores, between)
    norm = tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3]) + PENALTY_EPSILON)
    return tf.reduce_mean(tf.square(norm - 1.0))
