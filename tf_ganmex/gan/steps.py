"""The two networks, the terms of Eq. 9, and one step of training."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tf_ganmex._backend import keras
from tf_ganmex.gan import losses
from tf_ganmex.gan.classifiers import FrozenClassifier, image_shape
from tf_ganmex.gan.networks import build_discriminator, build_generator
from tf_ganmex.gan.options import GANMEXOptions

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


class GeneratorTerms(NamedTuple):
    """The unweighted terms of Eq. 9, their weighted sum, and what they were computed from."""

    loss: tf.Tensor
    adversarial: tf.Tensor
    classification: tf.Tensor
    similarity: tf.Tensor
    reconstruction: tf.Tensor
    fake: tf.Tensor
    logits: tf.Tensor


class DiscriminatorTerms(NamedTuple):
    """The unweighted terms of the discriminator's loss, and their weighted sum."""

    loss: tf.Tensor
    adversarial: tf.Tensor
    gradient_penalty: tf.Tensor


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
        shape = image_shape(classifier)
        self.generator = build_generator(
            shape,
            classifier.num_classes,
            filters=options.filters,
            blocks=options.blocks,
            dtype=options.dtype,
            seed=options.seed,
        )
        self.discriminator = build_discriminator(
            shape, filters=options.discriminator_filters, dtype=options.dtype, seed=options.seed
        )
        # All randomness of training is a function of this counter, which is saved with the weights.
        self.step = self.add_weight(name="step", shape=(), dtype="int64", initializer="zeros", trainable=False)
        self._trackers = [keras.metrics.Mean(name=metric) for metric in METRICS]
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Means since the beginning of the epoch of what a step measures."""
        return self._trackers

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Update generator and discriminator once, both from the same generated images."""
        real, origin = self._unpack(data)
        target, alpha = self.draw(tf.shape(real)[0])
        with tf.GradientTape() as tape:
            g = self.generator_terms(real, origin, target)
        generator_gradients = tape.gradient(g.loss, _tf_variables(self.generator))
        with tf.GradientTape() as tape:
            d = self.discriminator_terms(real, tf.stop_gradient(g.fake), alpha)
        discriminator_gradients = tape.gradient(d.loss, _tf_variables(self.discriminator))
        # Both gradients are taken before either update: the discriminator judges the images it was shown.
        self.optimizer.apply(generator_gradients, self.generator.trainable_variables)
        self.discriminator_optimizer.apply(discriminator_gradients, self.discriminator.trainable_variables)
        # Only once the batch is here: the input pipeline reads the step when it starts, and would race with this.
        with tf.control_dependencies([real]):
            self.step.assign_add(1)
        return self._measure(real, target, g, d)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Measure what a training step would, without an update."""
        real, origin = self._unpack(data)
        target, alpha = self.draw(tf.shape(real)[0])
        g = self.generator_terms(real, origin, target)
        return self._measure(real, target, g, self.discriminator_terms(real, g.fake, alpha))

    def draw(self, n: tf.Tensor | int) -> tuple[tf.Tensor, tf.Tensor]:
        """Draw this step's targets (n,) over all classes and interpolations (n, 1, 1, 1), keyed by seed and step."""
        step = tf.cast(self.step.value, tf.int64)
        seed = tf.constant(self.options.seed, tf.int64)
        target = tf.random.stateless_uniform(
            (n,), seed=tf.stack([seed, 2 * step]), maxval=self.classifier.num_classes, dtype=tf.int32
        )
        return target, losses.interpolation(n, tf.stack([seed, 2 * step + 1]))

    def generator_terms(self, real: tf.Tensor, origin: tf.Tensor, target: tf.Tensor) -> GeneratorTerms:
        """Compute the terms of Eq. 9.

        Args:
            real: images (n, h, w, c) in [-1, 1].
            origin: their classes (n,), for the reconstruction.
            target: the classes (n,) to generate.

        Returns:
            The unweighted terms, their weighted sum, the generated images in [-1, 1] and the classifier's logits.

        Reference:
            GANMEX, Eq. 9.
        """
        o = self.options
        fake = self.translate(real, target)
        adversarial = self._game().generator(self.discriminator(fake, training=True))
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
        return GeneratorTerms(loss, adversarial, classification, similarity, reconstruction, fake, logits)

    def discriminator_terms(self, real: tf.Tensor, fake: tf.Tensor, alpha: tf.Tensor) -> DiscriminatorTerms:
        """Compute the discriminator's loss, to which the frozen classifier adds nothing.

        Args:
            real: images (n, h, w, c) in [-1, 1].
            fake: generated images in [-1, 1].
            alpha: interpolations (n, 1, 1, 1) for the gradient penalty.

        Returns:
            The unweighted terms and their weighted sum.

        Reference:
            GANMEX, Eq. 3 and 9; Gulrajani et al. 2017, Eq. 3.
        """

        def score(images: tf.Tensor) -> tf.Tensor:
            return self.discriminator(images, training=True)

        real_scores, fake_scores = tf.split(score(tf.concat([real, fake], axis=0)), 2)
        adversarial = self._game().discriminator(real_scores, fake_scores)
        penalty = tf.zeros(())
        if self.options.gradient_penalty_weight > 0:
            penalty = losses.gradient_penalty(score, real, fake, alpha)
        return DiscriminatorTerms(adversarial + self.options.gradient_penalty_weight * penalty, adversarial, penalty)

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

    def _measure(
        self, real: tf.Tensor, target: tf.Tensor, g: GeneratorTerms, d: DiscriminatorTerms
    ) -> dict[str, tf.Tensor]:
        low, high = self.classifier.value_range
        hit = tf.equal(tf.argmax(g.logits, axis=-1, output_type=tf.int32), target)
        norm = tf.sqrt(tf.reduce_sum(tf.square(g.fake - real), axis=[1, 2, 3])) * ((high - low) / 2.0)
        values = {
            "generator_loss": g.loss,
            "discriminator_loss": d.loss,
            "adversarial": g.adversarial,
            "classification": g.classification,
            "similarity": g.similarity,
            "reconstruction": g.reconstruction,
            "gradient_penalty": d.gradient_penalty,
            "target_share": tf.reduce_mean(tf.cast(hit, tf.float32)),
            "distance": tf.reduce_mean(norm),
        }
        for tracker in self._trackers:
            tracker.update_state(values[tracker.name])
        return {tracker.name: tracker.result() for tracker in self._trackers}

    def _game(self) -> losses.AdversarialLoss:
        # At the first use: generating needs no TF-GAN.
        if self._adversarial is None:
            object.__setattr__(self, "_adversarial", losses.adversarial_loss(self.options.adversarial))
        return self._adversarial


def _tf_variables(network: keras.Model) -> list[tf.Variable]:
    return [variable.value for variable in network.trainable_variables]
