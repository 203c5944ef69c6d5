"""The two networks, the terms of Eq. 9, and one step of training."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

import tensorflow as tf

from tf_ganmex._backend import keras
from tf_ganmex.gan import losses
from tf_ganmex.gan.classifiers import FrozenClassifier, image_shape
from tf_ganmex.gan.data import draw_interpolation, draw_targets
from tf_ganmex.gan.networks import build_discriminator, build_generator
from tf_ganmex.gan.options import JOINT, GANMEXOptions

METRICS = (
    "generator_loss",
    "discriminator_loss",
    "adversarial",
    "classification",
    "similarity",
    "reconstruction",
    "gradient_penalty",
    "target_share",
    "distance",
)
# Of the stand-alone GAN alone: the class head's cross-entropy on real images.
REAL_CLASSIFICATION = "classification_real"


def metrics_of(options: GANMEXOptions) -> tuple[str, ...]:
    """The names of what a step measures."""
    return (*METRICS, REAL_CLASSIFICATION) if options.is_stand_alone else METRICS


class GeneratorTerms(NamedTuple):
    """The unweighted terms of Eq. 9, their weighted sum, and what they were computed from."""

    loss: tf.Tensor
    adversarial: tf.Tensor
    classification: tf.Tensor
    similarity: tf.Tensor
    reconstruction: tf.Tensor
    fake: tf.Tensor
    scores: tf.Tensor
    logits: tf.Tensor


class DiscriminatorTerms(NamedTuple):
    """The unweighted terms of the discriminator's loss, and their weighted sum."""

    loss: tf.Tensor
    adversarial: tf.Tensor
    gradient_penalty: tf.Tensor
    classification: tf.Tensor


class Eq9Trainer(keras.Model):
    """Generator and discriminator, and a training step that is a pure function of (weights, `step`, batch).

    Args:
        classifier: the frozen class discriminator.
        options: weights of the losses, sizes of the networks, seed.
        name: name of the Keras model.

    Reference:
        GANMEX, Eq. 9.
    """

    classifier: FrozenClassifier
    options: GANMEXOptions
    generator: keras.Model
    discriminator: keras.Model
    step: keras.Variable

    def __init__(self, classifier: FrozenClassifier, options: GANMEXOptions, *, name: str) -> None:
        super().__init__(name=name)
        # Past Keras's attribute tracking: the classifier is no part of what is trained or saved.
        object.__setattr__(self, "classifier", classifier)
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "_adversarial", None)
        shape, classes = image_shape(classifier), classifier.num_classes
        made: dict[str, Any] = {"dtype": options.dtype, "seed": options.seed}
        self.generator = build_generator(shape, classes, **made, **asdict(options.generator_sizes))
        self.discriminator = build_discriminator(shape, **made, **asdict(options.discriminator_sizes(classes)))
        # All randomness of training is a function of this counter, which is saved with the weights.
        self.step = self.add_weight(name="step", shape=(), dtype="int64", initializer="zeros", trainable=False)
        self._trackers = [keras.metrics.Mean(name=metric) for metric in metrics_of(options)]
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Means since the beginning of the epoch of what a step measures."""
        return self._trackers

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Update both networks: once and together, or one after the other as often as `schedule` says."""
        real, origin = self._unpack(data)
        update = self._joint_updates if self.options.schedule == JOINT else self._updates_in_turn
        measured = update(real, origin)
        # Only once the batch is here: the input pipeline reads the step when it starts, and would race with this.
        with tf.control_dependencies([real]):
            self.step.assign_add(1)
        return self._track(measured)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Measure what a training step would, without an update."""
        real, origin = self._unpack(data)
        target, alpha = self.draw(tf.shape(real)[0])
        g = self.generator_terms(real, origin, target)
        d = self.discriminator_terms(real, origin, g.fake, alpha, scores=g.scores)
        return self._track(self._measures(real, target, g, d))

    def draw(self, n: tf.Tensor | int, part: int = 0) -> tuple[tf.Tensor, tf.Tensor]:
        """Draw targets (n,) over all classes and interpolations (n, 1, 1, 1) of a batch of this step."""
        number = tf.cast(self.step.value, tf.int64) * self.options.batches_per_step + part
        target = draw_targets(number, n, self.classifier.num_classes, seed=self.options.seed)
        return target, draw_interpolation(number, n, seed=self.options.seed)

    def _joint_updates(self, real: tf.Tensor, origin: tf.Tensor) -> dict[str, tf.Tensor]:
        # One pass of the generator, and one of the discriminator over what it made, serve both networks.
        target, alpha = self.draw(tf.shape(real)[0])
        with tf.GradientTape() as discriminator_tape:
            with tf.GradientTape() as generator_tape:
                g = self.generator_terms(real, origin, target)
            d = self.discriminator_terms(real, origin, tf.stop_gradient(g.fake), alpha, scores=g.scores)
        generator_gradients = generator_tape.gradient(g.loss, _tf_variables(self.generator))
        discriminator_gradients = discriminator_tape.gradient(d.loss, _tf_variables(self.discriminator))
        # Both gradients are taken before either update: the discriminator judges the images it was shown.
        self.optimizer.apply(generator_gradients, self.generator.trainable_variables)
        self.discriminator_optimizer.apply(discriminator_gradients, self.discriminator.trainable_variables)
        return self._measures(real, target, g, d)

    def _updates_in_turn(self, real: tf.Tensor, origin: tf.Tensor) -> dict[str, tf.Tensor]:
        # As TF-GAN's sequential hooks: the generator first, every update on a batch and with targets of its own.
        generator_updates, discriminator_updates = self.options.updates
        size = tf.shape(real)[0] // self.options.batches_per_step
        batches = [
            (real[part * size : (part + 1) * size], origin[part * size : (part + 1) * size], *self.draw(size, part))
            for part in range(self.options.batches_per_step)
        ]
        for images, labels, target, _ in batches[:generator_updates]:
            with tf.GradientTape() as tape:
                g = self.generator_terms(images, labels, target)
            gradients = tape.gradient(g.loss, _tf_variables(self.generator))
            self.optimizer.apply(gradients, self.generator.trainable_variables)
            shown = images, target, g
        for images, labels, target, alpha in batches[-discriminator_updates:]:
            with tf.GradientTape() as tape:
                d = self.discriminator_terms(images, labels, tf.stop_gradient(self.translate(images, target)), alpha)
            gradients = tape.gradient(d.loss, _tf_variables(self.discriminator))
            self.discriminator_optimizer.apply(gradients, self.discriminator.trainable_variables)
        return self._measures(*shown, d)

    def generator_terms(self, real: tf.Tensor, origin: tf.Tensor, target: tf.Tensor) -> GeneratorTerms:
        """Compute the terms of Eq. 9.

        Args:
            real: images (n, h, w, c) in [-1, 1].
            origin: their classes (n,), for the reconstruction.
            target: the classes (n,) to generate.

        Returns:
            The unweighted terms, their weighted sum, the generated images in [-1, 1], the discriminator's scores of
            them, and their class logits: the classifier's, or those of the stand-alone GAN's own class head.

        Reference:
            GANMEX, Eq. 9.
        """
        o = self.options
        fake = self.translate(real, target)
        scores, logits = self._judge(fake)
        adversarial = self._game().generator(scores)
        if logits is None:
            # A float64 classifier takes and returns float64.
            shown = tf.cast(self.to_value_range(fake), getattr(self.classifier, "dtype", tf.float32))
            logits = tf.cast(self.classifier.logits_tensor(shown), tf.float32)
        classification = losses.classification(logits, target)
        similarity = losses.mean_absolute(real, fake)
        loss = adversarial + o.classification_weight * classification + o.similarity_weight * similarity
        reconstruction = tf.zeros(())
        if o.reconstruction_weight > 0:
            reconstruction = losses.mean_absolute(real, self.translate(fake, origin))
            loss += o.reconstruction_weight * reconstruction
        return GeneratorTerms(loss, adversarial, classification, similarity, reconstruction, fake, scores, logits)

    def discriminator_terms(
        self,
        real: tf.Tensor,
        origin: tf.Tensor,
        fake: tf.Tensor,
        alpha: tf.Tensor,
        *,
        scores: tf.Tensor | None = None,
    ) -> DiscriminatorTerms:
        """Compute the discriminator's loss, to which a frozen classifier adds nothing.

        Args:
            real: images (n, h, w, c) in [-1, 1].
            origin: their classes (n,), which the class head of the stand-alone GAN learns.
            fake: generated images in [-1, 1].
            alpha: interpolations (n, 1, 1, 1) for the gradient penalty.
            scores: the scores (n,) of the generated images, where they are known already.

        Returns:
            The unweighted terms and their weighted sum.

        Reference:
            GANMEX, Eq. 3 and 9; Gulrajani et al. 2017, Eq. 3.
        """
        o = self.options
        # Two passes and not one over both: nothing then goes back through the real images for the generator's sake.
        real_scores, logits = self._judge(real)
        adversarial = self._game().discriminator(real_scores, self._judge(fake)[0] if scores is None else scores)
        penalty = classification = tf.zeros(())
        if o.gradient_penalty_weight > 0:
            penalty = losses.gradient_penalty(lambda images: self._judge(images)[0], real, fake, alpha)
        if logits is not None:
            classification = losses.classification(logits, origin)
        loss = adversarial + o.gradient_penalty_weight * penalty + o.classification_weight * classification
        return DiscriminatorTerms(loss, adversarial, penalty, classification)

    def translate(self, image: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Run the generator on images (n, h, w, c) in [-1, 1] and integer targets (n,)."""
        return self.generator([image, tf.one_hot(target, self.classifier.num_classes)], training=True)

    def to_tanh_range(self, x: tf.Tensor) -> tf.Tensor:
        """Map images from the classifier's value range to [-1, 1], in which the networks work."""
        low, high = self.classifier.value_range
        return (x - low) * (2.0 / (high - low)) - 1.0

    def to_value_range(self, x: tf.Tensor) -> tf.Tensor:
        """Map images from [-1, 1] to the classifier's value range."""
        low, high = self.classifier.value_range
        return (x + 1.0) * ((high - low) / 2.0) + low

    def _unpack(self, data: Any) -> tuple[tf.Tensor, tf.Tensor]:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self.to_tanh_range(tf.cast(x, tf.float32)), tf.reshape(tf.cast(y, tf.int32), [-1])

    def _judge(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """The source discriminator's scores (n,), and the class logits of a head that it has in the stand-alone GAN."""
        outputs = self.discriminator(images, training=True)
        return tuple(outputs) if self.options.is_stand_alone else (outputs, None)

    def _measures(
        self, real: tf.Tensor, target: tf.Tensor, g: GeneratorTerms, d: DiscriminatorTerms
    ) -> dict[str, tf.Tensor]:
        return {
            "generator_loss": g.loss,
            "discriminator_loss": d.loss,
            "adversarial": g.adversarial,
            "classification": g.classification,
            "similarity": g.similarity,
            "reconstruction": g.reconstruction,
            "gradient_penalty": d.gradient_penalty,
            "target_share": losses.share(g.logits, target),
            "distance": losses.mean_distance(real, g.fake, self.classifier.value_range),
            REAL_CLASSIFICATION: d.classification,
        }

    def _track(self, measures: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        for tracker in self._trackers:
            tracker.update_state(measures[tracker.name])
        return {tracker.name: tracker.result() for tracker in self._trackers}

    def _game(self) -> losses.AdversarialLoss:
        # At the first use: generating needs no TF-GAN.
        if self._adversarial is None:
            object.__setattr__(self, "_adversarial", losses.adversarial_loss(self.options.adversarial))
        return self._adversarial


def _tf_variables(network: keras.Model) -> list[tf.Variable]:
    return [variable.value for variable in network.trainable_variables]
