"""Run by test_kill.py: trains in forked processes and kills them at random moments, until one of them finishes.

    python killed_training.py TRAINER DIRECTORY KILLS

Forked, because each training then has TensorFlow imported already; nothing of it may run before the fork.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

import tf_ganmex as gx
from tf_ganmex._backend import keras
from tf_ganmex.gan import GANMEX, Checkpoints, estimator

STEPS, EVERY = 24, 3


class Slowly(keras.callbacks.Callback):
    """Leaves time to be killed between two steps."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.02)


def train(trainer, directory):
    """Train up to STEPS, from where the last process was killed, and leave the weights in a file."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, y = rng.random((20, 8, 8, 1), np.float32), rng.integers(0, 3, 20)
    weights = tf.constant(rng.normal(size=(64, 3)), tf.float32)
    clf = gx.load_classifier(lambda x: tf.reshape(x, [-1, 64]) @ weights, input_shape=(8, 8, 1), output="logits")
    gan = GANMEX(clf, filters=4, blocks=1, schedule=(1, 2), reconstruction_weight=0.0)
    if trainer == "keras":
        checkpoints = Checkpoints(directory / "run", every=EVERY)
        start = checkpoints.restore(gan)
        data = gan.dataset(x, y, batch_size=8)
        gan.fit(
            data, steps_per_epoch=STEPS - start, callbacks=[checkpoints, Slowly()], verbose=0
        ) if start < STEPS else 0
    else:

        class Wait(tf.compat.v1.train.SessionRunHook):
            def after_run(self, run_context, run_values):
                time.sleep(0.02)

        estimator.train(gan, x, y, directory / "run", steps=STEPS, every=EVERY, batch_size=8, hooks=[Wait()], verbose=0)
    np.savez(directory / "weights.npz", *gan.get_weights(), step=int(gan.step))


def newest(directory):
    """The highest step of a checkpoint so far."""
    steps = [int(path.stem.rsplit("-", 1)[1]) for path in (directory / "run").glob("*-*.index")]
    return max(steps, default=0)


def main(trainer, directory, kills):
    """Kill `kills` trainings, each some time after it wrote a checkpoint, and let the last one finish."""
    directory.mkdir()
    rng = random.Random(0)
    killed_at = []
    while True:
        before = newest(directory)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                train(trainer, directory)
                status = 0
            finally:
                os._exit(status)
        delay = None
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            time.sleep(0.002)
            if len(killed_at) < kills and delay is None and newest(directory) > before:
                delay = rng.uniform(0.0, 0.12)
                time.sleep(delay)
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                killed_at.append(newest(directory))
                break
        else:
            break
    return killed_at


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) / "straight", 0)
    print(main(sys.argv[1], Path(sys.argv[2]) / "killed", int(sys.argv[3])))
