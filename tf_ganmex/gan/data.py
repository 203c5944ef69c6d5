"""Training batches that are a pure function of the training step, so that an interrupted run resumes exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_ganmex.errors import OptionError

# Far beyond any run, far below overflow when multiplied by a batch size.
_LAST_STEP = 2**40
# TensorFlow's own number for this op.
SHUFFLE_ROUNDS = 4


def step_keyed_dataset(
    x: np.ndarray, y: np.ndarray, *, batch_size: int, seed: int, current_step: Callable[[], int]
) -> tf.data.Dataset:
    """Make an endless dataset whose batch number k depends on `seed` and k alone.

    Args:
        x: images (n, h, w, c) float32.
        y: labels (n,) int32.
        batch_size: images per batch; batches run on over the end of an epoch, so every one is full.
        seed: key of the shuffles, one per epoch.
        current_step: number of the first batch; asked when an iterator starts, not when the dataset is made,
            because `BackupAndRestore` restores the model in between.

    Returns:
        A `tf.data.Dataset` of (images, labels).

    Raises:
        OptionError: for a negative seed.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise OptionError(f"Expected seed to be an integer >= 0. Received: seed={seed!r}. Take 0, for example.")
    # On the host, where the input pipeline runs.
    with tf.device("CPU:0"):
        images, labels = tf.convert_to_tensor(x), tf.convert_to_tensor(y)

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = batch_rows(step, len(y), batch_size=batch_size, seed=seed)
        return tf.gather(images, rows), tf.gather(labels, rows)

    def start(_: tf.Tensor) -> tf.Tensor:
        # A Python call, for a tf.data function cannot read a variable that lives on an accelerator.
        step = tf.numpy_function(lambda: np.int64(current_step()), [], tf.int64, stateful=True)
        return tf.ensure_shape(step, ())

    steps = tf.data.Dataset.from_tensors(0).map(start).flat_map(lambda s: tf.data.Dataset.range(s, _LAST_STEP))
    batches = steps.map(batch, num_parallel_calls=1, deterministic=True)
    batches = batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return batches.prefetch(2)


def batch_rows(step: tf.Tensor, n: int, *, batch_size: int, seed: int) -> tf.Tensor:
    """Return the rows (batch_size,) of batch number `step`: each epoch is a permutation of range(n) keyed by seed."""
    positions = tf.cast(step, tf.int64) * batch_size + tf.range(batch_size, dtype=tf.int64)
    first = positions[0] // n
    # A key per epoch that the batch can touch. Hashed, because the kernel uses only a few low bits of each word.
    keys = [_epoch_key(first + index, seed) for index in range((batch_size - 1) // n + 2)]
    keys = tf.gather(tf.stack(keys), positions // n - first)
    # The raw op, for tf.random.experimental.index_shuffle pads a vector of seeds along the wrong axis (TF 2.21).
    return tf.raw_ops.RandomIndexShuffle(
        index=positions % n, seed=keys, max_index=tf.constant(n - 1, tf.int64), rounds=SHUFFLE_ROUNDS
    )


def _epoch_key(epoch: tf.Tensor, seed: int) -> tf.Tensor:
    return tf.random.stateless_uniform(
        (3,), seed=tf.stack([tf.constant(seed, tf.int64), epoch]), minval=None, maxval=None, dtype=tf.uint32
    )
