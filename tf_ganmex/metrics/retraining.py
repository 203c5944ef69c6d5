"""One network, built and compiled once, trained from scratch as often as images with other features removed come."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex import zoo
from tf_ganmex._backend import keras
from tf_ganmex.attributions.problem import check_count
from tf_ganmex.errors import ModelError, OptionError, TrainingDivergedError
from tf_ganmex.training.classifier import DTYPES, in_half_precision

__all__ = ["Removable", "Retrainer"]

Builder = Callable[..., keras.Model]

_EVALUATED_AT_ONCE = 256
_SMALL_RANKS = 2**16  # features whose ranks fit 16 bits


@dataclass(frozen=True, eq=False)
class Removable:
    """Images of a split, of which the features of the highest ranks can be replaced, as tensors.

    Attributes:
        images: (n, h, w, c) float32.
        labels: (n,) int32, from 0.
        ranks: (n, h, w, c), 0 for the feature to be replaced first.
        fill: (c,), what replaces them.
    """

    images: tf.Tensor
    labels: tf.Tensor
    ranks: tf.Tensor
    fill: tf.Tensor

    def __len__(self) -> int:
        return self.images.shape[0]


class Retrainer:
    """Trains a network from scratch again and again, each time as if it were the first.

    The network is built, and its training step traced, once. Before each training its weights, the state of its
    dropout and its optimizer (Adam, the learning rate falling to zero along a cosine) are set back to those of a fresh
    network of the seed asked for, and the order of images depends on that seed alone.

    Args:
        input_shape: (h, w, c) of the images.
        num_classes: 2 for pairs of classes.
        network: a name of :data:`tf_ganmex.zoo.CLASSIFIERS`, ``"auto"``, or a function
            ``(input_shape, num_classes, *, seed) -> keras.Model`` from images to probabilities (n, num_classes),
            whose initial weights and dropout follow from the seed.
        epochs: passes over the training images. On pairs of MNIST's classes 3 at this learning rate are the fewest with
            the area over the ROAR curve of long training (16 at 0.001); after 2 it is a tenth to a sixth larger.
        batch_size: images a step.
        learning_rate: at the start.
        dtype: ``"mixed_bfloat16"`` computes in half precision; on processors made for it, faster.

    Raises:
        OptionError: for an impossible option.
        ModelError: for a network that does not return probabilities, or does not follow from its seed.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int = 2,
        *,
        network: str | Builder = "auto",
        epochs: int = 3,
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        dtype: str = "float32",
    ):
        if dtype not in DTYPES:
            raise OptionError(f"Expected dtype to be one of {', '.join(DTYPES)}. Received: dtype={dtype!r}.")
        if not 0 < learning_rate < np.inf:
            raise OptionError(f"Expected learning_rate above 0. Received: learning_rate={learning_rate!r}.")
        self.input_shape = tuple(input_shape)
        self.num_classes = check_count(num_classes, "num_classes", 2)
        self.network = network
        self.epochs = check_count(epochs, "epochs")
        self.batch_size = check_count(batch_size, "batch_size")
        self.learning_rate = float(learning_rate)
        self.dtype = dtype
        self.model = self._fresh(0)
        self._starts = {0: _values(self.model.variables)}
        self._check_model()
        self.optimizer = keras.optimizers.Adam(self.learning_rate)
        self.optimizer.build(self.model.trainable_variables)
        self._optimizer_start = _values(self.optimizer.variables)
        split = self._split_signature()
        number = tf.TensorSpec((), tf.int32)
        rows, rate = tf.TensorSpec((self.batch_size,), tf.int32), tf.TensorSpec((), tf.float32)
        self._step = tf.function(self._train_on, input_signature=(*split, number, rows, rate), autograph=False)
        self._hits = tf.function(self._count_hits, input_signature=(*split, number, number), autograph=False)

    def accuracy(self, train: Removable, test: Removable, *, count: int, seed: int = 0) -> float:
        """Trains a fresh network on images without their first ``count`` features, and tests it on such images.

        Args:
            train: the training images.
            test: the test images.
            count: how many features of every image are replaced, those of rank 0 to ``count`` − 1.
            seed: of the initial weights, the dropout and the order of images.

        Returns:
            The share of test images that it classifies right.

        Raises:
            TrainingDivergedError: if a loss was not finite.
        """
        self._reset(seed)
        removed = tf.constant(count, tf.int32)
        data = (train.images, train.labels, train.ranks, train.fill, removed)
        losses = [self._step(*data, rows, rate) for rows, rate in self._schedule(len(train), seed)]
        if not np.isfinite(np.array(losses)).all():
            raise TrainingDivergedError(
                f"Expected finite losses. Received: a loss that is not, of seed {seed} without {count} features. "
                f"Lower learning_rate={self.learning_rate:g}."
            )
        data = (test.images, test.labels, test.ranks, test.fill, removed)
        starts = range(0, len(test), _EVALUATED_AT_ONCE)
        return sum(int(self._hits(*data, tf.constant(start))) for start in starts) / len(test)

    def removable(self, images: np.ndarray, labels: np.ndarray, ranks: np.ndarray, fill: np.ndarray) -> Removable:
        """A split as tensors of the types that the compiled step takes."""
        return Removable(
            tf.constant(images, tf.float32),
            tf.constant(labels, tf.int32),
            tf.constant(ranks.astype(self.rank_dtype, copy=False)),
            tf.constant(fill, tf.float32),
        )

    @property
    def rank_dtype(self) -> np.dtype:
        """The smallest type that holds the rank of every feature."""
        return np.dtype(np.uint16 if np.prod(self.input_shape) <= _SMALL_RANKS else np.int32)

    def fingerprint(self, seed: int) -> str:
        """A hash of all that a retraining follows from but its images: network, initial weights, settings, seed."""
        settings = [_configuration(self.model), self.epochs, self.batch_size, self.learning_rate, self.dtype, seed]
        digest = hashlib.blake2b(json.dumps(settings, default=str).encode(), digest_size=16)
        for value in self._start(seed):
            digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()

    def _fresh(self, seed: int) -> keras.Model:
        build = self.network if callable(self.network) else self._from_zoo
        model = build(self.input_shape, self.num_classes, seed=seed)
        return model if self.dtype == "float32" else in_half_precision(model, self.dtype)

    def _from_zoo(self, input_shape: Any, num_classes: int, *, seed: int) -> keras.Model:
        return zoo.build(str(self.network), input_shape, num_classes, seed=seed)

    def _check_model(self) -> None:
        outputs = self.model(
            np.linspace(0, 1, np.prod(self.input_shape), dtype=np.float32).reshape(1, *self.input_shape)
        )
        values = np.asarray(outputs, np.float32)
        if values.shape != (1, self.num_classes) or values.min() < 0 or abs(values.sum() - 1) > 1e-2:
            raise ModelError(
                f"Expected a network that returns probabilities of {self.num_classes} classes. Received: an output of "
                f"shape {values.shape} and sum {values.sum():g}. End it with a softmax over its logits."
            )
        again = _values(self._fresh(0).variables)
        if not all(np.array_equal(*pair) for pair in zip(self._start(0), again, strict=True)):
            raise ModelError(
                "Expected a network whose initial weights and dropout follow from its seed. Received: two of seed 0 "
                "that differ. Give each initializer and each dropout a seed made of the builder's."
            )

    def _start(self, seed: int) -> list[np.ndarray]:
        if seed not in self._starts:
            self._starts[seed] = _values(self._fresh(seed).variables)
        return self._starts[seed]

    def _reset(self, seed: int) -> None:
        variables = [*self.model.variables, *self.optimizer.variables]
        for variable, value in zip(variables, [*self._start(seed), *self._optimizer_start], strict=True):
            variable.assign(value)

    def _schedule(self, images: int, seed: int) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Rows and learning rate of every step; batches run on over the end of an epoch, so that all are full."""
        rng = np.random.default_rng(seed)
        order = np.concatenate([rng.permutation(images) for _ in range(self.epochs + self.batch_size // images + 1)])
        steps = -(-self.epochs * images // self.batch_size)
        rates = self.learning_rate * (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2
        rows = tf.constant(order[: steps * self.batch_size].reshape(steps, self.batch_size), tf.int32)
        return list(zip(tf.unstack(rows), tf.unstack(tf.constant(rates, tf.float32)), strict=True))

    def _split_signature(self) -> tuple[tf.TensorSpec, ...]:
        shape = (None, *self.input_shape)
        return (
            tf.TensorSpec(shape, tf.float32),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec(shape, self.rank_dtype),
            tf.TensorSpec(self.input_shape[-1:], tf.float32),
        )

    def _train_on(self, images: Any, labels: Any, ranks: Any, fill: Any, count: Any, rows: Any, rate: Any) -> tf.Tensor:
        x = replaced(tf.gather(images, rows), tf.gather(ranks, rows), fill, count)
        self.optimizer.learning_rate.assign(rate)
        with tf.GradientTape() as tape:
            outputs = self.model(x, training=True)
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(tf.gather(labels, rows), outputs))
            total = tf.add_n([loss, *(tf.cast(term, loss.dtype) for term in self.model.losses)])
        gradients = tape.gradient(total, self.model.trainable_variables)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        return total

    def _count_hits(self, images: Any, labels: Any, ranks: Any, fill: Any, count: Any, start: Any) -> tf.Tensor:
        rows = slice(start, start + _EVALUATED_AT_ONCE)
        outputs = self.model(replaced(images[rows], ranks[rows], fill, count), training=False)
        right = tf.argmax(outputs, -1, output_type=tf.int32) == labels[rows]
        return tf.reduce_sum(tf.cast(right, tf.int32))


def replaced(images: tf.Tensor, ranks: tf.Tensor, fill: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Images (n, h, w, c) with the features of rank below ``count`` replaced by the ``fill`` of their channel."""
    return tf.where(tf.cast(ranks, tf.int32) < count, fill, images)


def _values(variables: Sequence[Any]) -> list[np.ndarray]:
    return [np.asarray(variable) for variable in variables]


def _configuration(model: keras.Model) -> Any:
    """The layers and their options, without their names: Keras counts those up over a process (flatten_1, ...)."""
    try:
        config = model.get_config()
    except NotImplementedError:  # a model written as a class: its weights have to tell it apart
        return type(model).__qualname__
    numbers: dict[str, int] = {}
    _number_layers({"config": config}, numbers)
    return _renamed(config, {name: f"layer {number}" for name, number in numbers.items()})


def _number_layers(part: Any, numbers: dict[str, int]) -> None:
    inner = part.get("config") if isinstance(part, dict) else None
    if isinstance(inner, dict) and "name" in inner and part.get("class_name") != "DTypePolicy":
        numbers.setdefault(inner["name"], len(numbers))
    for value in part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ():
        _number_layers(value, numbers)


def _renamed(part: Any, names: dict[str, str]) -> Any:
    if isinstance(part, dict):
        return {key: _renamed(value, names) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_renamed(value, names) for value in part]
    return names.get(part, part) if isinstance(part, str) else part
