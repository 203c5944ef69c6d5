"""Training batches and random numbers that are pure functions of a number, so that an interrupted run resumes exactly.

A batch has a number, counted from 0 over the whole of training: its images, its targets and its interpolations follow
from that number and a seed. Both trainers take them from here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from tf_ganmex.errors import LabelError, OptionError

# Far beyond any run, far below overflow when multiplied by a batch size.
_LAST_STEP = 2**40
# TensorFlow's own number for this op.
SHUFFLE_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Batches:
    """Images and labels, and which of them are in a batch.

    Attributes:
        x: images (n, h, w, c) float32.
        y: labels (n,) int32.
        batch_size: images per batch; batches run on over the end of an epoch, so every one is full.
        per_class: instead, how many images of every class a batch has, class by class.
        num_classes: how many classes there are.
        seed: key of the shuffles, one per epoch.
    """

    x: np.ndarray
    y: np.ndarray
    num_classes: int
    batch_size: int | None = None
    per_class: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise OptionError or LabelError for what makes no batch."""
        if (self.batch_size is None) == (self.per_class is None):
            raise OptionError(
                f"Expected one of batch_size and per_class. Received: batch_size={self.batch_size}, "
                f"per_class={self.per_class}. With per_class=6, a batch has 6 images of every class."
            )
        check_seed(self.seed)
        if self.per_class is not None:
            missing = [c for c in range(self.num_classes) if not len(self._groups[c])]
            if missing:
                raise LabelError(
                    f"Expected images of every class, for a batch has as many of each. "
                    f"Received: no image of class {', '.join(map(str, missing))}. Use batch_size instead."
                )

    @property
    def size(self) -> int:
        """Images in a batch."""
        return self.batch_size if self.batch_size is not None else (self.per_class or 0) * self.num_classes

    def rows(self, number: tf.Tensor) -> tf.Tensor:
        """The rows (size,) of batch `number`: each epoch is a permutation of all images, or of those of a class."""
        if self.batch_size is not None:
            return batch_rows(number, len(self.y), batch_size=self.batch_size, seed=self.seed)
        sizes = {"batch_size": self.per_class or 0, "seed": self.seed}
        picked = [
            tf.gather(group, batch_rows(number, len(group), **sizes, label=c)) for c, group in enumerate(self._groups)
        ]
        return tf.concat(picked, axis=0)

    @cached_property
    def _groups(self) -> list[np.ndarray]:
        return [np.flatnonzero(self.y == c) for c in range(self.num_classes)]


def step_keyed_dataset(
    batches: Batches,
    *,
    current_step: Callable[[], int],
    batches_per_step: int = 1,
    change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
) -> tf.data.Dataset:
    """Make an endless dataset whose element k holds the batches of step k.

    Args:
        batches: which images are in a batch.
        current_step: number of the first element; asked when an iterator starts, not when the dataset is made,
            because `BackupAndRestore` restores the model in between.
        batches_per_step: how many batches an element holds, one after the other.
        change: of (images, step), to change the images of an element.

    Returns:
        A `tf.data.Dataset` of (images, labels).
    """
    # On the host, where the input pipeline runs.
    with tf.device("CPU:0"):
        images, labels = tf.convert_to_tensor(batches.x), tf.convert_to_tensor(batches.y)

    def element(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        numbers = [step * batches_per_step + part for part in range(batches_per_step)]
        rows = tf.concat([batches.rows(number) for number in numbers], axis=0)
        shown = tf.gather(images, rows)
        return change(shown, step) if change else shown, tf.gather(labels, rows)

    def start(_: tf.Tensor) -> tf.Tensor:
        # A Python call, for a tf.data function cannot read a variable that lives on an accelerator.
        step = tf.numpy_function(lambda: np.int64(current_step()), [], tf.int64, stateful=True)
        return tf.ensure_shape(step, ())

    steps = tf.data.Dataset.from_tensors(0).map(start).flat_map(lambda s: tf.data.Dataset.range(s, _LAST_STEP))
    elements = steps.map(element, num_parallel_calls=1, deterministic=True)
    elements = elements.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return elements.prefetch(2)


def batch_rows(number: tf.Tensor, n: int, *, batch_size: int, seed: int, label: int | None = None) -> tf.Tensor:
    """Return the rows (batch_size,) of batch `number`: each epoch is a permutation of range(n) keyed by seed.

    With a `label` the permutation is another for each: images of two classes do not meet again in every epoch.
    """
    positions = tf.cast(number, tf.int64) * batch_size + tf.range(batch_size, dtype=tf.int64)
    first = positions[0] // n
    # A key per epoch that the batch can touch. Hashed, because the kernel uses only a few low bits of each word.
    keys = [_epoch_key(first + index, seed, label) for index in range((batch_size - 1) // n + 2)]
    keys = tf.gather(tf.stack(keys), positions // n - first)
    # The raw op, for tf.random.experimental.index_shuffle pads a vector of seeds along the wrong axis (TF 2.21).
    return tf.raw_ops.RandomIndexShuffle(
        index=positions % n, seed=keys, max_index=tf.constant(n - 1, tf.int64), rounds=SHUFFLE_ROUNDS
    )


def draw_targets(number: tf.Tensor, n: tf.Tensor | int, num_classes: int, *, seed: int) -> tf.Tensor:
    """Draw the targets (n,) of batch `number`, uniform over all classes as in the published code."""
    return tf.random.stateless_uniform((n,), seed=_key(number, 0, seed), maxval=num_classes, dtype=tf.int32)


def draw_interpolation(number: tf.Tensor, n: tf.Tensor | int, *, seed: int) -> tf.Tensor:
    """Draw the interpolation weights of the gradient penalty of batch `number`, (n, 1, 1, 1), uniform over [0, 1)."""
    return tf.random.stateless_uniform((n, 1, 1, 1), seed=_key(number, 1, seed))


def check_seed(seed: int) -> None:
    """Raise OptionError unless `seed` is an integer of at least 0."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise OptionError(f"Expected seed to be an integer in [0, 2^63). Received: seed={seed!r}. Take 0, for example.")


def _key(number: tf.Tensor, purpose: int, seed: int) -> tf.Tensor:
    return tf.stack([tf.constant(seed, tf.int64), 2 * tf.cast(number, tf.int64) + purpose])


def _epoch_key(epoch: tf.Tensor, seed: int, label: int | None) -> tf.Tensor:
    key = tf.stack([tf.constant(seed, tf.int64), epoch])
    if label is not None:
        key = tf.random.experimental.stateless_fold_in(key, label)
    return tf.random.stateless_uniform((3,), seed=key, minval=None, maxval=None, dtype=tf.uint32)
