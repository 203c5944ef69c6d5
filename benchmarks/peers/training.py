"""A step of training GANMEX: Keras's fit, and TF-GAN's StarGANEstimator, stopped and let go on between rounds."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import networks
from benchmarks.case import Run, Task

OPTIONS: dict[str, Any] = {
    "filters": 32, "blocks": 3, "classification_weight": 20, "similarity_weight": 60, "reconstruction_weight": 0,
}  # fmt: skip
BATCH = 32
ENDLESS = 100_000  # steps


class Turnstile:
    """Lets a training that runs in a thread of its own make some steps, and waits until they are done.

    It is held after a step, not before: TF-GAN's own hooks update the networks before a step of the session.
    """

    def __init__(self, train: Callable[[Turnstile], None], steps: int):
        self.steps = steps
        self._may, self._did = threading.Semaphore(0), threading.Semaphore(0)
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._train, args=(train,), daemon=True)

    def done(self) -> None:
        """Called by the training after a step; returns when it may go on."""
        self._did.release()
        self._may.acquire()

    def __call__(self) -> np.ndarray:
        """Makes the steps; the first call builds everything as well."""
        for _ in range(self.steps):
            if self._thread.ident is None:
                self._thread.start()
            else:
                self._may.release()
            self._did.acquire()
            if self._failed:
                raise self._failed[0]
        return np.zeros((1, 1))

    def _train(self, train: Callable[[Turnstile], None]) -> None:
        try:
            train(self)
        except BaseException as error:  # raised again where the steps are waited for
            self._failed.append(error)
            self._did.release()


def keras(task: Task, *, schedule: Any = "joint", dtype: str = "float32") -> Run:
    """Ours."""
    gan, x, y = _gan(task, schedule, dtype)

    def train(turnstile: Turnstile) -> None:
        from tf_ganmex._backend import keras as library

        callback = library.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: turnstile.done())
        data = gan.dataset(x, y, batch_size=BATCH, seed=task.seed)
        gan.fit(data, steps_per_epoch=ENDLESS, epochs=1, callbacks=[callback], verbose=0)

    return Turnstile(train, task.steps)


def tfgan(task: Task) -> Run:
    """TF-GAN's StarGANEstimator, without checkpoints and summaries on the way."""
    gan, x, y = _gan(task, (1, 1), "float32")

    def train(turnstile: Turnstile) -> None:
        from tf_ganmex.gan import estimator

        config = estimator.RunConfig(
            tf_random_seed=task.seed, save_checkpoints_steps=ENDLESS, save_summary_steps=0, log_step_count_steps=0
        )
        images = estimator.input_fn(gan, x, y, batch_size=BATCH, seed=task.seed)
        with tempfile.TemporaryDirectory() as folder:
            stargan = estimator.stargan(gan, folder, config=config)
            stargan.train(images, hooks=[_hook(turnstile)], max_steps=ENDLESS)

    return Turnstile(train, task.steps)


def sizes(task: Task) -> Run:
    """(2, 2): operations and bytes of an image forward through generator and discriminator, by their convolutions."""
    gan, _, _ = _gan(task, "joint", "float32")
    found = np.array([_forward(gan.generator), _forward(gan.discriminator)])
    return lambda: found


def _forward(network: Any) -> tuple[float, float]:
    operations = moved = 0.0
    for layer in network.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is None or len(kernel.shape) != 4:
            continue
        transposed = type(layer).__name__ == "Conv2DTranspose"
        # The first convolution takes an image and a target, which counts as so many planes of the image.
        image = layer.input[0] if isinstance(layer.input, list) else layer.input
        before, after = (*image.shape[1:3], kernel.shape[3 if transposed else 2]), layer.output.shape[1:]
        # A transposed convolution multiplies its kernel with each pixel that it takes, another with each that it gives.
        pixels = before if transposed else after
        operations += 2 * float(np.prod(pixels[:2])) * float(np.prod(kernel.shape))
        moved += 4 * float(np.prod(before) + np.prod(after))
    return operations, moved


def _hook(turnstile: Turnstile) -> Any:
    import tensorflow as tf

    class Hook(tf.compat.v1.train.SessionRunHook):
        """Held after every step."""

        def after_run(self, run_context: Any, run_values: Any) -> None:
            turnstile.done()

    return Hook()


def _gan(task: Task, schedule: Any, dtype: str) -> tuple[Any, np.ndarray, np.ndarray]:
    import tf_ganmex as gx

    images, labels = networks.mnist(task.data, task.seed)
    clf = gx.load_classifier(task.folder / f"{task.network}.keras")
    gan = gx.GANMEX(clf, schedule=schedule, dtype=dtype, seed=task.seed, **OPTIONS)
    return gan, images[:5000], labels[:5000]
