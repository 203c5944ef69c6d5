"""A GANMEX as TF-GAN's StarGAN: what its unmodified StarGANEstimator is given to train.

TF-GAN builds the model, the losses and the train operations, and runs them. From here come the two networks, with the
frozen classifier as class discriminator; the similarity term, which `stargan_loss` does not have; and batches, targets
and interpolations that follow from a counter, for TF-GAN's own come from a random state that no checkpoint holds.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tf_ganmex.gan import losses, networks
from tf_ganmex.gan.data import Batches, draw_interpolation, draw_targets
from tf_ganmex.gan.steps import REAL_CLASSIFICATION
from tf_ganmex.gan.tfgan.layers import GraphLayers, from_host
from tf_ganmex.gan.tfgan.measures import Measures
from tf_ganmex.gan.tfgan.names import SHARED_TRUNK, SOURCE_TRUNK, checkpoint_name

if TYPE_CHECKING:
    from tf_ganmex.gan.ganmex import GANMEX

v1: Any = tf.compat.v1
_COUNTERS = "ganmex_batch_counters"


class StarGANFunctions:
    """The functions that a StarGANEstimator is made from, for one GANMEX.

    Args:
        gan: its options, its classifier, and as initial values its present weights.
        tfgan: the module `tensorflow_gan`.
    """

    def __init__(self, gan: GANMEX, tfgan: types.ModuleType) -> None:
        self._gan = gan
        self._tfgan = tfgan
        self._options = gan.options
        self._generator_sizes = gan.options.generator_sizes
        self._discriminator_sizes = gan.options.discriminator_sizes(gan.classifier.num_classes)
        self._initial = initial_values(gan)

    def generator(self, inputs: Any, targets: tf.Tensor) -> tf.Tensor:
        """TF-GAN's `generator_fn`: images (n, h, w, c) in [-1, 1] and one-hot targets (n, classes) to images."""
        if isinstance(inputs, dict):
            inputs, targets = inputs["image"], self._one_hot(inputs["target"])
        return networks.generator(self._layers(), inputs, targets, self._generator_sizes)

    def discriminator(self, data: Any, num_domains: int) -> tuple[tf.Tensor, tf.Tensor]:
        """TF-GAN's `discriminator_fn`: images to source scores (n,) and class logits (n, classes)."""
        image = data["image"] if isinstance(data, dict) else data
        scores, logits = networks.discriminator(self._layers(), image, self._discriminator_sizes)
        return scores, self._classify(image) if logits is None else logits

    def loss(self, model: Any) -> Any:
        """TF-GAN's `loss_fn`: its `stargan_loss`, the similarity term, and the measures of both trainers."""
        keyed = isinstance(model.input_data, dict)
        alpha = None
        if keyed:
            alpha = model.input_data["alpha"]
            target = self._one_hot(model.input_data["target"])
            model = model._replace(input_data=model.input_data["image"], generated_data_domain_target=target)
        terms: dict[str, tf.Tensor] = {}
        # TF-GAN's gradient penalty draws its own numbers: it serves the batches that bring none.
        gan_loss = self._stargan_loss(model, terms, 0.0 if keyed else self._options.gradient_penalty_weight)
        terms["similarity"] = losses.mean_absolute(model.input_data, model.generated_data)
        generator_loss = gan_loss.generator_loss + self._options.similarity_weight * terms["similarity"]
        discriminator_loss = gan_loss.discriminator_loss
        terms["gradient_penalty"] = tf.zeros(())
        if keyed and self._options.gradient_penalty_weight > 0:
            terms["gradient_penalty"] = self._gradient_penalty(model, alpha)
            discriminator_loss += self._options.gradient_penalty_weight * terms["gradient_penalty"]
        target = tf.argmax(model.generated_data_domain_target, axis=-1, output_type=tf.int32)
        logits = model.discriminator_generated_data_domain_predication
        terms["target_share"] = losses.share(logits, target)
        terms["distance"] = losses.mean_distance(
            model.input_data, model.generated_data, self._gan.classifier.value_range
        )
        measures = Measures(terms, stand_alone=self._options.is_stand_alone)
        return gan_loss._replace(
            generator_loss=measures.of_generator(generator_loss),
            discriminator_loss=measures.of_discriminator(discriminator_loss),
        )

    def hooks(self, train_ops: Any, get_hooks_fn: Callable[[Any], list[Any]] | None = None) -> list[Any]:
        """TF-GAN's `get_hooks_fn`, by default its sequential hooks, of updates that move on to the next batch."""
        counters = v1.get_collection(_COUNTERS)

        def counted(train_op: tf.Tensor) -> tf.Tensor:
            # The next update gets the next batch.
            with tf.control_dependencies([train_op]):
                return tf.group(*[counter.assign_add(1) for counter in counters])

        train_ops = train_ops._replace(
            generator_train_op=counted(train_ops.generator_train_op),
            discriminator_train_op=counted(train_ops.discriminator_train_op),
        )
        if get_hooks_fn is None:
            get_hooks_fn = self._tfgan.get_sequential_train_hooks(self._tfgan.GANTrainSteps(*self._options.updates))
        return get_hooks_fn(train_ops)

    def _stargan_loss(self, model: Any, terms: dict[str, tf.Tensor], gradient_penalty_weight: float) -> Any:
        tuple_losses = self._tfgan.losses.tuple_losses
        game = losses.adversarial_loss(self._options.adversarial)
        classification = iter(("classification", REAL_CLASSIFICATION))

        def cross_entropy(onehot_labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            name = next(classification)
            if name == REAL_CLASSIFICATION and not self._options.is_stand_alone:
                # Of a frozen classifier it is a constant, whose gradient is zero: not worth running the classifier for.
                return tf.zeros(())
            value = v1.losses.softmax_cross_entropy(onehot_labels, logits, loss_collection=None)
            return terms.setdefault(name, value)

        def reconstruction(labels: tf.Tensor, predictions: tf.Tensor) -> tf.Tensor:
            if self._options.reconstruction_weight == 0:
                # The generator's second pass is then built and never run.
                return terms.setdefault("reconstruction", tf.zeros(()))
            value = v1.losses.absolute_difference(labels, predictions, loss_collection=None)
            return terms.setdefault("reconstruction", value)

        return self._tfgan.stargan_loss(
            model,
            generator_loss_fn=tuple_losses.stargan_generator_loss_wrapper(_recorded(game.generator, terms)),
            discriminator_loss_fn=tuple_losses.stargan_discriminator_loss_wrapper(_recorded(game.discriminator, {})),
            gradient_penalty_weight=gradient_penalty_weight,
            gradient_penalty_epsilon=losses.PENALTY_EPSILON,
            reconstruction_loss_fn=reconstruction,
            reconstruction_loss_weight=self._options.reconstruction_weight,
            classification_loss_fn=cross_entropy,
            classification_loss_weight=self._options.classification_weight,
            # Ours are of the updates themselves; TF-GAN's would be of a further batch.
            add_summaries=False,
        )

    def _gradient_penalty(self, model: Any, alpha: tf.Tensor) -> tf.Tensor:
        def score(images: tf.Tensor) -> tf.Tensor:
            with v1.variable_scope(model.discriminator_scope, reuse=True):
                return model.discriminator_fn(images, self._gan.classifier.num_classes)[0]

        # Its gradient reaches the discriminator alone: the generator's part of the graph ends before.
        return losses.gradient_penalty(score, model.input_data, tf.stop_gradient(model.generated_data), alpha)

    def _layers(self) -> GraphLayers:
        return GraphLayers(self._initial, source_trunk(self._gan))

    def _one_hot(self, target: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(target, self._gan.classifier.num_classes)

    def _classify(self, image: tf.Tensor) -> tf.Tensor:
        """The frozen classifier's logits for images in [-1, 1]."""
        clf: Any = self._gan.classifier  # a `Classifier`, as gan/estimator.py checks
        shown = tf.cast(self._gan.to_value_range(image), clf.dtype)
        return tf.cast(clf.scores_tensor(shown, _classifier_weights(clf), "logit"), tf.float32)


def step_keyed_input(batches: Batches, gan: GANMEX) -> Callable[[str], Any]:
    """Make the `input_fn` whose batches, targets and interpolations are those of `gan.fit(gan.dataset(...))`.

    Args:
        batches: which images are in a batch.
        gan: gives value range, classes, schedule and seed.

    Returns:
        A function of the mode that builds features {image, target, alpha} and one-hot labels (n, classes): to train,
        of the step and without end; otherwise as many batches as hold all images once.
    """
    parts, classes, seed = gan.options.batches_per_step, gan.classifier.num_classes, gan.options.seed

    def batch(number: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        rows = batches.rows(number)
        image, label = tf.numpy_function(lambda r: (batches.x[r], batches.y[r]), [rows], [tf.float32, tf.int32])
        image = tf.ensure_shape(image, (batches.size, *batches.x.shape[1:]))
        features = {
            "image": gan.to_tanh_range(image),
            "target": tf.ensure_shape(draw_targets(number, batches.size, classes, seed=seed), (batches.size,)),
            "alpha": draw_interpolation(number, batches.size, seed=seed),
        }
        return features, tf.one_hot(tf.ensure_shape(label, (batches.size,)), classes)

    def input_fn(mode: str) -> Any:
        if mode != "train":
            return tf.data.Dataset.range(-(-len(batches.y) // batches.size)).map(batch)
        # Not an iterator: this is evaluated again and again, and moves on with the updates alone.
        counter = v1.get_variable(
            "batch_counter", (), tf.int64, v1.zeros_initializer(), trainable=False, collections=[_COUNTERS, *_LOCAL]
        )
        return batch(v1.train.get_or_create_global_step() * parts + counter % parts)

    return input_fn


def initial_values(gan: GANMEX) -> dict[str, np.ndarray]:
    """The present weights of both networks by "layer/variable"."""
    layers = [*gan.generator.layers, *gan.discriminator.layers]
    return {f"{layer.name}/{variable.name}": variable.numpy() for layer in layers for variable in layer.weights}


def fetch_weights(session: Any, gan: GANMEX) -> list[list[np.ndarray]]:
    """Read generator's and discriminator's weights out of a session, in the order of Keras's `set_weights`."""
    variables = {variable.op.name: variable for variable in v1.trainable_variables()}
    trunk = source_trunk(gan)
    wanted = [
        [
            variables[checkpoint_name(f"{layer.name}/{weight.name}", trunk)]
            for layer in network.layers
            for weight in layer.weights
        ]
        for network in (gan.generator, gan.discriminator)
    ]
    return session.run(wanted)


def source_trunk(gan: GANMEX) -> str:
    """The published code's scope of the source discriminator beside a classifier, TF-GAN's own beside a class head."""
    return SHARED_TRUNK if gan.options.is_stand_alone else SOURCE_TRUNK


# Of this session alone: no checkpoint holds them, no optimizer sees them.
_LOCAL = [v1.GraphKeys.LOCAL_VARIABLES]


def _classifier_weights(clf: Any) -> tuple[tf.Variable, ...]:
    with v1.variable_scope("classifier", reuse=v1.AUTO_REUSE):
        return tuple(
            v1.get_variable(
                f"weight_{index}",
                value.shape,
                value.dtype,
                initializer=functools.partial(_constant, value.numpy()),
                trainable=False,
                collections=_LOCAL,
            )
            for index, value in enumerate(clf.weight_tensors)
        )


def _constant(value: np.ndarray, *_: Any, **__: Any) -> tf.Tensor:
    return from_host(value)


def _recorded(loss: Callable[..., tf.Tensor], terms: dict[str, tf.Tensor]) -> Callable[..., tf.Tensor]:
    def adversarial(*scores: tf.Tensor, add_summaries: bool) -> tf.Tensor:
        return terms.setdefault("adversarial", loss(*scores, add_summaries=add_summaries))

    return adversarial
