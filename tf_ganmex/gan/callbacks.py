"""Keras callbacks for GANMEX: pictures of what it makes, and a stop when it diverges."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex._backend import keras
from tf_ganmex.errors import ImageError, OptionError, TrainingDivergedError
from tf_ganmex.gan.checks import check_images


class EverySteps(keras.callbacks.Callback):
    """Calls `act(step)` whenever `gan.step` passes a multiple of `every`."""

    def __init__(self, every: int) -> None:
        super().__init__()
        if isinstance(every, bool) or int(every) != every or every < 1:
            raise OptionError(f"Expected every >= 1, in steps. Received: every={every!r}. Take 500, for example.")
        self.every = int(every)
        self._last = 0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._last = int(self.model.step)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        step = int(self.model.step)
        # Not step % every: with steps_per_execution a multiple can be stepped over.
        if step // self.every > self._last // self.every:
            self.act(step)
        self._last = step

    def act(self, step: int) -> None:
        """Do what is due at this step; nothing, unless a subclass says so."""


class ImageGrid(EverySteps):
    """Draws input images beside what the generator makes of them for every target, as PNG and for TensorBoard.

    Args:
        x: images (n, h, w, c) in the classifier's value range: one row each; columns are the input and all targets.
        directory: where `step_00001000.png` and the TensorBoard events go.
        every: steps between two pictures.

    Raises:
        OptionError: if `every` is below 1.
        ImageError: if `x` is not a batch of images.
    """

    def __init__(self, x: np.ndarray, directory: str | Path, *, every: int = 500) -> None:
        super().__init__(every)
        self.x = np.asarray(x, np.float32)
        if self.x.ndim != 4 or len(self.x) == 0:
            raise ImageError(
                f"Expected images (n, h, w, c), n >= 1. Received: x of shape {self.x.shape}. For one pass x[None]."
            )
        self.directory = Path(directory)
        self._writer: tf.summary.SummaryWriter | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        # Now, not after the first thousand steps.
        check_images(self.x, self.model.classifier.input_shape, self.model.classifier.value_range)

    def act(self, step: int) -> None:
        """Write the picture of this step."""
        pixels = image_grid(self.model, self.x)
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"step_{step:08d}.png"
        temporary = path.with_suffix(".png.tmp")
        temporary.write_bytes(tf.io.encode_png(pixels).numpy())
        os.replace(temporary, path)
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self.directory))
        with self._writer.as_default():
            tf.summary.image("inputs and targets", pixels[None], step=step)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self._close()

    def on_train_interrupted(self) -> None:
        """Flush the TensorBoard events when `fit` is interrupted."""
        self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class StopWhenDiverged(keras.callbacks.Callback):
    """Raises TrainingDivergedError as soon as a logged value is not finite; `GANMEX.fit` always adds one."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        values = {name: float(value) for name, value in (logs or {}).items()}
        if all(math.isfinite(value) for value in values.values()):
            return
        shown = ", ".join(f"{name}={value:.4g}" for name, value in values.items())
        raise TrainingDivergedError(
            f"Expected finite losses. Received: at step {int(self.model.step)} {shown}. "
            "Lower the learning rates or the loss weights, or try dtype='float32'; the last checkpoint before this "
            "step is still good."
        )


def image_grid(gan: Any, x: np.ndarray) -> np.ndarray:
    """Return uint8 pixels (n·h, (1 + classes)·w, 1 or 3): each input beside its image for every target."""
    low, high = gan.classifier.value_range
    n, height, width, channels = x.shape
    classes = gan.classifier.num_classes
    generated = gan.generate(np.repeat(x, classes, axis=0), np.tile(np.arange(classes), n))
    columns = np.concatenate([x[:, None], generated.reshape(n, classes, height, width, channels)], axis=1)
    if channels not in (1, 3):
        columns = columns.mean(axis=-1, keepdims=True)
    picture = columns.transpose(0, 2, 1, 3, 4).reshape(n * height, (1 + classes) * width, -1)
    return np.clip(np.rint((picture - low) / (high - low) * 255), 0, 255).astype(np.uint8)


def with_divergence_check(callbacks: Any, gan: Any) -> Any:
    """Return the callbacks (None, one, several, or a CallbackList) with a StopWhenDiverged first."""
    # First, so that no later one saves or draws a diverged network.
    if isinstance(callbacks, keras.callbacks.CallbackList):
        if not any(isinstance(callback, StopWhenDiverged) for callback in callbacks.callbacks):
            check = StopWhenDiverged()
            check.set_model(gan)
            callbacks.callbacks.insert(0, check)
        return callbacks
    if callbacks is None:
        callbacks = []
    elif isinstance(callbacks, keras.callbacks.Callback):
        callbacks = [callbacks]
    return [StopWhenDiverged(), *callbacks]


def notify_interrupted(callbacks: Any) -> None:
    """Call `on_train_interrupted` of the callbacks that have it."""
    for callback in getattr(callbacks, "callbacks", callbacks):
        if hasattr(callback, "on_train_interrupted"):
            callback.on_train_interrupted()
