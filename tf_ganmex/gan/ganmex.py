"""GANMEX: a StarGAN whose class discriminator is the classifier to be explained (Eq. 9)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex._backend import keras
from tf_ganmex.errors import OptionError
from tf_ganmex.gan.callbacks import notify_interrupted, with_divergence_check
from tf_ganmex.gan.checks import (
    check_batch_size,
    check_classifier,
    check_epoch_length,
    check_images,
    check_labels,
    check_targets,
)
from tf_ganmex.gan.classifiers import FrozenClassifier, check_trainable, image_shape
from tf_ganmex.gan.data import Batches, step_keyed_dataset
from tf_ganmex.gan.options import (
    JOINT,
    PUBLISHED_CLASSIFICATION_WEIGHT,
    PUBLISHED_GRADIENT_PENALTY_WEIGHT,
    PUBLISHED_RECONSTRUCTION_WEIGHT,
    PUBLISHED_SIMILARITY_WEIGHT,
    GANMEXOptions,
    Schedule,
)
from tf_ganmex.gan.steps import Eq9Trainer

# Adam of our MNIST trials; the published apple2orange run has 2e-5 for G, 1e-4 for D and betas (0.9, 0.999).
LEARNING_RATE = 2e-4
BETAS = (0.5, 0.999)
BATCH_SIZE = 32
_COMPILE_OPTIONS = {"run_eagerly", "steps_per_execution", "jit_compile", "auto_scale_loss"}


class GANMEX(Eq9Trainer):
    """A generator of class-targeted baselines: the closest realistic image that the classifier calls `target`.

    Args:
        clf: the frozen classifier, from `load_classifier`; height and width divisible by 4.
        classification_weight: λ_cls, of the cross-entropy between target and classifier.
        similarity_weight: λ_sim, of the mean |x − G(x, target)| on images in [-1, 1].
        reconstruction_weight: λ_rec, of the mean |x − G(G(x, target), origin)|; 0 leaves out a generator pass.
        gradient_penalty_weight: of the discriminator's two-sided gradient penalty.
        adversarial: "wasserstein" (published code) or "minimax" (Eq. 3).
        class_discriminator: "classifier", or "joint" for the stand-alone GAN of the ablation: a head on the source
            discriminator, trained with it from scratch, in place of `clf`; `clf` then gives sizes and names alone.
        schedule: "joint", one update of each network on the same batch from one pass of the generator (fastest); or
            (g, d), g updates of the generator and then d of the discriminator, each on its own batch, as TF-GAN does.
        filters: channels of the generator's first convolution (64 as published).
        blocks: residual blocks (6 as published).
        down_sampling: False for the published variant that convolves at full size ("hack").
        up_sampling: "transposed", or "resize" for the published variant that resizes and convolves ("smooth").
        last_down_norm: norm and ReLU after the last down-sampling convolution too, which TF-GAN computes and drops.
        discriminator_filters: channels of the discriminator's first convolution; by default `filters`.
        discriminator_smallest_side: below which no stride-2 convolution is added: 3 (published), or 2 (TF-GAN's six
            convolutions at 64×64).
        dtype: "float32" or "mixed_bfloat16", for the two networks; the classifier stays float32.
        seed: key of initial weights, targets and interpolations: same seed, same weights.
        name: name of the Keras model.

    Raises:
        ModelError: if `clf` is no classifier of this package.
        OptionError: for an option with a value that it cannot take.
        ImageError: if the images' height or width is not divisible by 4.

    Reference:
        Shih et al., GANMEX, ICML 2021, Eq. 9. The default weights are those of the published MNIST run.
    """

    notes: dict[str, Any]
    has_new_discriminator = False  # saved without its own, which matters only when training goes on

    def __init__(
        self,
        clf: FrozenClassifier,
        *,
        classification_weight: float = PUBLISHED_CLASSIFICATION_WEIGHT,
        similarity_weight: float = PUBLISHED_SIMILARITY_WEIGHT,
        reconstruction_weight: float = PUBLISHED_RECONSTRUCTION_WEIGHT,
        gradient_penalty_weight: float = PUBLISHED_GRADIENT_PENALTY_WEIGHT,
        adversarial: str = "wasserstein",
        class_discriminator: str = "classifier",
        schedule: Schedule = JOINT,
        filters: int = 64,
        blocks: int = 6,
        down_sampling: bool = True,
        up_sampling: str = "transposed",
        last_down_norm: bool = False,
        discriminator_filters: int | None = None,
        discriminator_smallest_side: int = 3,
        dtype: str = "float32",
        seed: int = 0,
        name: str = "ganmex",
    ) -> None:
        check_classifier(clf)
        options = GANMEXOptions(
            classification_weight=classification_weight,
            similarity_weight=similarity_weight,
            reconstruction_weight=reconstruction_weight,
            gradient_penalty_weight=gradient_penalty_weight,
            adversarial=adversarial,
            class_discriminator=class_discriminator,
            schedule=schedule,
            filters=filters,
            blocks=blocks,
            down_sampling=down_sampling,
            up_sampling=up_sampling,
            last_down_norm=last_down_norm,
            discriminator_filters=filters if discriminator_filters is None else discriminator_filters,
            discriminator_smallest_side=discriminator_smallest_side,
            dtype=dtype,
            seed=seed,
        )
        super().__init__(clf, options, name=name)
        object.__setattr__(self, "notes", {})
        object.__setattr__(self, "_graph", None)

    def compile(
        self,
        generator_optimizer: keras.optimizers.Optimizer | str | None = None,
        discriminator_optimizer: keras.optimizers.Optimizer | str | None = None,
        **options: Any,
    ) -> None:
        """Set the optimizers; `fit` does so with the defaults where this was not called.

        Args:
            generator_optimizer: by default Adam with learning rate 2e-4 and betas (0.5, 0.999).
            discriminator_optimizer: the same by default; not the same object.
            **options: `run_eagerly`, `steps_per_execution` and `jit_compile` of `keras.Model.compile`.

        Raises:
            OptionError: if both optimizers are one object, or losses or metrics are given.
        """
        if isinstance(generator_optimizer, keras.Optimizer) and generator_optimizer is discriminator_optimizer:
            raise OptionError(
                "Expected two optimizers, for each keeps the moments of its own network. "
                f"Received: generator_optimizer={generator_optimizer!r} twice. Make a second one."
            )
        unknown = set(options) - _COMPILE_OPTIONS
        if unknown:
            raise OptionError(
                f"Expected the losses of Eq. 9 to be left as they are. Received: {', '.join(sorted(unknown))}. "
                "Change their weights in GANMEX(...) instead."
            )
        # XLA did not help this training step, and takes long to compile it.
        options.setdefault("jit_compile", False)
        super().compile(optimizer=_optimizer(generator_optimizer), loss=None, **options)
        self.discriminator_optimizer = _optimizer(discriminator_optimizer)
        # Now, not at the first step: a restored run needs the moments' variables to exist.
        self.optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    @property
    def generator_optimizer(self) -> keras.optimizers.Optimizer:
        """The generator's optimizer, which is also the model's `optimizer` for Keras's callbacks."""
        return self.optimizer

    def fit(self, x: Any = None, y: Any = None, *, callbacks: Any = None, **options: Any) -> keras.callbacks.History:
        """Train both networks: one step of each a batch. Like `keras.Model.fit`.

        Args:
            x: `gan.dataset(...)`, or another dataset of (images in the value range, integer labels), or images. With
                `schedule=(g, d)` every element of a dataset is cut into g + d batches of the same size.
            y: labels, when x is an array of images.
            callbacks: Keras callbacks.
            **options: of `keras.Model.fit`; `steps_per_epoch` is needed with `gan.dataset`, which never ends.

        Returns:
            Keras's History: per epoch the mean of each loss term (unweighted), of `target_share`, the share of
            generated images that the classifier calls their target, and of `distance`, the L2 distance between
            image and generated image in the classifier's value range.

        Raises:
            TrainingDivergedError: as soon as a loss is not finite.
            ModelError: if this GANMEX was loaded without its classifier.
            OptionError: if `steps_per_epoch` is missing for a dataset without end.
        """
        check_trainable(self.classifier)
        if self.has_new_discriminator:
            warnings.warn(
                "This GANMEX was saved without its discriminator: training starts with a new one.", stacklevel=2
            )
            self.has_new_discriminator = False
        if self.options.schedule != JOINT and isinstance(x, (np.ndarray, tf.Tensor)):
            raise OptionError(
                "Expected gan.dataset(x, y, batch_size=...) for updates in turn, each on a batch of its own. Received: "
                f"arrays, with schedule={self.options.schedule}. Pass fit(gan.dataset(x, y), steps_per_epoch=...)."
            )
        if isinstance(x, tf.data.Dataset):
            check_epoch_length(x, options.get("steps_per_epoch"))
            # Keras would warn that it does not shuffle a dataset.
            options.setdefault("shuffle", False)
        if not self.compiled:
            self.compile()
        callbacks = with_divergence_check(callbacks, self)
        try:
            return super().fit(x, y, callbacks=callbacks, **options)
        except KeyboardInterrupt:
            # Keras calls no callback then, and hours of training would be lost.
            notify_interrupted(callbacks)
            raise

    def dataset(
        self,
        x_train: np.ndarray,
        y_train: np.ndarray,
        *,
        batch_size: int | None = None,
        per_class: int | None = None,
        seed: int = 0,
        change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
    ) -> tf.data.Dataset:
        """Make the endless training dataset whose batches depend on `seed` and the training step alone.

        Args:
            x_train: images (n, h, w, c) in the classifier's value range.
            y_train: integer labels (n,).
            batch_size: images per batch (32).
            per_class: instead, images of every class per batch, as published (6).
            seed: key of the shuffle, a new one each epoch of the data.
            change: of (images, step) to images, to augment those of a step; random by the step alone.

        Returns:
            A `tf.data.Dataset` of (images, labels), one element a step, starting at `gan.step` whenever an iterator
            is made from it. With `schedule=(g, d)` an element holds g + d batches.

        Raises:
            ImageError: for images of another shape or value range than the classifier's.
            LabelError: for labels that are not integers of the classifier's classes, or classes without images.
            OptionError: for a batch size below 1, a negative seed, or both batch_size and per_class.
        """
        return step_keyed_dataset(
            self.batches(x_train, y_train, batch_size=batch_size, per_class=per_class, seed=seed),
            batches_per_step=self.options.batches_per_step,
            current_step=lambda: int(self.step),
            change=change,
        )

    def batches(
        self,
        x_train: np.ndarray,
        y_train: np.ndarray,
        *,
        batch_size: int | None = None,
        per_class: int | None = None,
        seed: int = 0,
    ) -> Batches:
        """Check the training data and say which images are in which batch; see `dataset`."""
        clf = self.classifier
        if batch_size is None and per_class is None:
            batch_size = BATCH_SIZE
        for name, value in (("batch_size", batch_size), ("per_class", per_class)):
            if value is not None:
                check_batch_size(value, name)
        images = check_images(x_train, image_shape(clf), clf.value_range)
        labels = check_labels(y_train, len(images), clf.num_classes)
        return Batches(images, labels, clf.num_classes, batch_size=batch_size, per_class=per_class, seed=seed)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Generate from (images in the value range, integer targets (n,)); differentiable, unlike `generate`."""
        x, target = inputs
        image = self.translate(self.to_tanh_range(tf.cast(x, tf.float32)), tf.cast(target, tf.int32))
        return self.to_value_range(image)

    def generate(self, x: Any, target: Any, *, batch_size: int = 256) -> np.ndarray:
        """Generate the baseline of each image: a realistic image near it that the classifier calls `target`.

        Args:
            x: images (n, h, w, c) in the classifier's value range.
            target: one class, or one for each image (n,).
            batch_size: images per pass; it does not change the result.

        Returns:
            Images (n, h, w, c), float32, within the value range.

        Raises:
            ImageError: for images of another shape or value range than the classifier's.
            LabelError: for targets that are no classes, or not one per image.
            OptionError: for a batch size below 1.
        """
        clf = self.classifier
        check_batch_size(batch_size)
        x = check_images(x, image_shape(clf), clf.value_range, empty=True)
        target = check_targets(target, len(x), clf.num_classes)
        graph = self._generate_graph()
        chunks = [slice(start, start + batch_size) for start in range(0, len(x), batch_size)]
        images = [graph(tf.constant(x[chunk]), tf.constant(target[chunk])).numpy() for chunk in chunks]
        return np.concatenate(images) if images else np.zeros_like(x)

    def _generate_graph(self) -> Any:
        if self._graph is None:
            low, high = self.classifier.value_range
            # One trace for every batch size.
            signature = [tf.TensorSpec((None, *self.classifier.input_shape)), tf.TensorSpec((None,), tf.int32)]
            graph = tf.function(
                lambda x, target: tf.clip_by_value(self.call((x, target)), low, high),
                input_signature=signature,
                autograph=False,
            )
            object.__setattr__(self, "_graph", graph)
        return self._graph

    def save(
        self,
        path: str | Path,
        overwrite: bool = True,
        *,
        weights_dtype: str = "float32",
        discriminator: bool = True,
        notes: dict[str, Any] | None = None,
    ) -> None:
        """Write networks and options to a directory that `load_ganmex` reads; optimizer state is not written.

        Args:
            path: the directory, made where it does not exist.
            overwrite: whether a GANMEX that is already there is replaced.
            weights_dtype: "float32", or "float16" for files of half the size.
            discriminator: whether the discriminator is written too; without it, later training starts a new one.
            notes: anything that JSON can hold, found again as `gan.notes`; None keeps the present ones.

        Raises:
            CheckpointError: if the directory cannot be written, or is not to be overwritten.
            OptionError: for another `weights_dtype`, or notes that JSON cannot hold.
        """
        # Late: it builds GANMEX objects and so imports this module.
        from tf_ganmex.gan.persistence import save_ganmex

        save_ganmex(
            self,
            path,
            overwrite=overwrite,
            weights_dtype=weights_dtype,
            discriminator=discriminator,
            notes=notes,
        )


def _optimizer(given: keras.optimizers.Optimizer | str | None) -> keras.optimizers.Optimizer:
    if given is None:
        return keras.optimizers.Adam(LEARNING_RATE, beta_1=BETAS[0], beta_2=BETAS[1])
    return keras.optimizers.get(given)
