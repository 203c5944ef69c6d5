"""TF-GAN's own StarGANEstimator as a trainer of GANMEX: the published stack, on today's TensorFlow.

`gx.gan.estimator.StarGANEstimator` is TF-GAN's class, unmodified, over a small Estimator that stands in for the
`tf.estimator` that TensorFlow no longer has. `stargan(gan)` makes one for a GANMEX; `train(gan, ...)` trains with it.

```python
gan = gx.GANMEX(clf, schedule=(1, 1))
estimator = gx.gan.estimator.stargan(gan, "run")
estimator.train(gx.gan.estimator.input_fn(gan, x_train, y_train), steps=1000)
gan = gx.load_ganmex("run", classifier=clf)
```
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex._backend import keras
from tf_ganmex.errors import CheckpointError, ModelError, OptionError, TrainingDivergedError
from tf_ganmex.gan.checks import check_images, check_targets
from tf_ganmex.gan.classifiers import check_trainable, image_shape
from tf_ganmex.gan.ganmex import BETAS, GANMEX, LEARNING_RATE
from tf_ganmex.gan.options import JOINT
from tf_ganmex.gan.tfgan.checkpoint import read_tfgan, write_tfgan

v1 = tf.compat.v1
# What TF-GAN's examples and the published code call by these names.
_OF_TFGAN = ("StarGANEstimator", "SummaryType", "stargan_prediction_input_fn_wrapper")
_OF_ESTIMATOR = ("Estimator", "EstimatorSpec", "ModeKeys", "RunConfig", "ServingInputReceiver")

__all__ = [
    *_OF_TFGAN,
    *_OF_ESTIMATOR,
    "adam",
    "input_fn",
    "load",
    "prediction_input_fn",
    "serving_input_receiver_fn",
    "stargan",
    "train",
    "write_tfgan",
]


def __getattr__(name: str) -> Any:
    # At the first use: TF-GAN takes a second to import.
    if name in _OF_TFGAN:
        from tf_ganmex.gan.tfgan import import_tfgan

        return getattr(import_tfgan().estimator, name)
    if name in _OF_ESTIMATOR:
        from tf_ganmex.gan.tfgan.estimator import MODULE

        return getattr(MODULE.export if name == "ServingInputReceiver" else MODULE, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def stargan(
    gan: GANMEX,
    model_dir: str | Path | None = None,
    *,
    generator_optimizer: Any = None,
    discriminator_optimizer: Any = None,
    get_hooks_fn: Callable[[Any], list[Any]] | None = None,
    add_summaries: Any = None,
    config: Any = None,
) -> Any:
    """Make TF-GAN's StarGANEstimator of a GANMEX: its networks, weights, losses and schedule, its frozen classifier.

    Args:
        gan: the GANMEX, with `schedule=(g, d)`; an empty `model_dir` starts from its present weights, at step 0.
        model_dir: where checkpoints, summaries and the graph go; a temporary directory where None.
        generator_optimizer: a `tf.compat.v1.train` optimizer, or a function that makes one in the estimator's graph;
            by default Adam with learning rate 2e-4 and betas (0.5, 0.999).
        discriminator_optimizer: the same.
        get_hooks_fn: TF-GAN's; by default its sequential hooks with the GANMEX's schedule. Others have to make as many
            updates a step, for the batches follow from their number.
        add_summaries: TF-GAN's; `SummaryType.IMAGES` needs an `input_fn` of plain images.
        config: a `RunConfig`.

    Returns:
        A `tfgan.estimator.StarGANEstimator` with `train`, `evaluate`, `predict` and `export_saved_model`. Its images
        are in [-1, 1] and its targets one-hot; `input_fn`, `prediction_input_fn` and `serving_input_receiver_fn` see
        to that. A later `train` goes on from the newest checkpoint that can be read.

    Raises:
        OptionError: for the schedule "joint" or a mixed-precision GANMEX, neither of which TF-GAN has, or for an
            optimizer that is not TensorFlow 1's.
        ModelError: for a classifier without a graph, or a GANMEX without its classifier.

    Reference:
        GANMEX, section 4 and the published code, which trains in this way.
    """
    from tf_ganmex.gan.tfgan import import_tfgan
    from tf_ganmex.gan.tfgan.stargan import StarGANFunctions

    check(gan)
    _check_optimizers(generator_optimizer, discriminator_optimizer)
    if gan.has_new_discriminator:
        warnings.warn("This GANMEX was saved without its discriminator: training starts with a new one.", stacklevel=2)
    tfgan = import_tfgan()
    functions = StarGANFunctions(gan, tfgan)
    return tfgan.estimator.StarGANEstimator(
        model_dir=None if model_dir is None else str(model_dir),
        generator_fn=functions.generator,
        discriminator_fn=functions.discriminator,
        loss_fn=functions.loss,
        generator_optimizer=generator_optimizer or adam(),
        discriminator_optimizer=discriminator_optimizer or adam(),
        get_hooks_fn=functools.partial(functions.hooks, get_hooks_fn=get_hooks_fn),
        add_summaries=add_summaries,
        config=config,
    )


def input_fn(
    gan: GANMEX,
    x_train: np.ndarray,
    y_train: np.ndarray,
    *,
    batch_size: int | None = None,
    per_class: int | None = None,
    seed: int = 0,
) -> Callable[[str], Any]:
    """Make the estimator's `input_fn` with the very batches of `gan.dataset`; see there for arguments and errors.

    Returns:
        A function for `estimator.train`, where batch, targets and interpolations follow from the step, so that a
        resumed training goes on exactly; and for `estimator.evaluate`, where the images are gone through once.
    """
    from tf_ganmex.gan.tfgan.stargan import step_keyed_input

    return step_keyed_input(gan.batches(x_train, y_train, batch_size=batch_size, per_class=per_class, seed=seed), gan)


def prediction_input_fn(gan: GANMEX, x: np.ndarray, target: Any, *, batch_size: int = 256) -> Callable[[], Any]:
    """Make the `input_fn` of `estimator.predict`.

    Args:
        gan: gives value range and classes.
        x: images (n, h, w, c) in the classifier's value range.
        target: one class, or one for each image (n,).
        batch_size: images per pass.

    Returns:
        A function that makes a dataset of ((images in [-1, 1], one-hot targets), nothing).

    Raises:
        ImageError: for images of another shape or value range than the classifier's.
        LabelError: for targets that are no classes, or not one per image.
    """
    clf = gan.classifier
    images = check_images(x, image_shape(clf), clf.value_range)
    targets = np.eye(clf.num_classes, dtype=np.float32)[check_targets(target, len(images), clf.num_classes)]

    def make() -> tf.data.Dataset:
        pairs = tf.data.Dataset.from_tensor_slices((gan.to_tanh_range(images), targets)).batch(batch_size)
        return pairs.map(lambda image, hot: ((image, hot), tf.zeros(())))

    return make


def serving_input_receiver_fn(gan: GANMEX) -> Callable[[], Any]:
    """Make the function that `estimator.export_saved_model` needs: inputs "image" (n, h, w, c) in [-1, 1] and "target".

    Args:
        gan: gives the size of images and the number of classes; "target" is one-hot (n, classes).

    Returns:
        A function that builds the inputs of the exported model.
    """

    def make() -> Any:
        image = v1.placeholder(tf.float32, (None, *image_shape(gan.classifier)), "image")
        target = v1.placeholder(tf.float32, (None, gan.classifier.num_classes), "target")
        return __getattr__("ServingInputReceiver")((image, target), {"image": image, "target": target})

    return make


def train(
    gan: GANMEX,
    x_train: np.ndarray,
    y_train: np.ndarray,
    model_dir: str | Path,
    *,
    steps: int,
    batch_size: int | None = None,
    per_class: int | None = None,
    seed: int = 0,
    every: int = 1000,
    keep: int = 2,
    generator_optimizer: Any = None,
    discriminator_optimizer: Any = None,
    on_report: Callable[[int, dict[str, float]], None] | None = None,
    hooks: Sequence[Any] = (),
    verbose: int | str = "auto",
) -> dict[str, list[float]]:
    """Train a GANMEX with TF-GAN's estimator up to a number of steps, or go on where a stopped training left.

    Args:
        gan: the GANMEX, with `schedule=(g, d)`; it has the trained weights afterwards, and at every report.
        x_train: images (n, h, w, c) in the classifier's value range.
        y_train: integer labels (n,).
        model_dir: where the estimator's checkpoints go; one GANMEX a directory.
        steps: the step to end at.
        batch_size: images per batch (32).
        per_class: instead, images of every class per batch, as published (6).
        seed: key of the shuffle.
        every: steps between two checkpoints and reports.
        keep: how many of the newest checkpoints are kept.
        generator_optimizer: see `stargan`.
        discriminator_optimizer: see `stargan`.
        on_report: called with the step and the means since the last report.
        hooks: further `SessionRunHook`s.
        verbose: 0 for no progress, 1 for a bar, 2 for a line per report, "auto" for 1.

    Returns:
        For each report of this call the step, and the means since the report before of what the Keras trainer's
        history holds; of several updates of a network in a step all count, where Keras's trainer takes the last.

    Raises:
        CheckpointError: if checkpoints cannot be written, or none that is there can be read.
        TrainingDivergedError: if a loss or a weight becomes NaN or infinite.
        OptionError: for the schedule "joint", a number below 1, or a directory with a longer training.
    """
    from tf_ganmex.gan.tfgan import progress

    for name, value in (("steps", steps), ("every", every), ("keep", keep)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise OptionError(f"Expected {name} >= 1. Received: {name}={value!r}. Take 1000 steps, and keep 2.")
    if verbose not in ("auto", 0, 1, 2):
        raise OptionError(f"Expected verbose 0, 1, 2 or 'auto'. Received: verbose={verbose!r}. Take 0 for silence.")
    run = _Run(gan, every, steps, 1 if verbose == "auto" else int(verbose), on_report)
    config = __getattr__("RunConfig")(
        save_checkpoints_steps=every,
        keep_checkpoint_max=keep,
        save_summary_steps=every,
        tf_random_seed=gan.options.seed,
    )
    estimator = stargan(
        gan,
        model_dir,
        generator_optimizer=generator_optimizer,
        discriminator_optimizer=discriminator_optimizer,
        config=config,
    )
    _check_not_beyond(estimator.latest_checkpoint(), steps)
    with _no_deprecations(), _divergence():
        estimator.train(
            input_fn(gan, x_train, y_train, batch_size=batch_size, per_class=per_class, seed=seed),
            hooks=[progress.MeasuresHook(every, run.report), *hooks],
            max_steps=steps,
            saving_listeners=[progress.FiniteOnly()],
        )
    load(gan, estimator.latest_checkpoint())
    gan.has_new_discriminator = False
    return run.history


def load(gan: GANMEX, prefix: str) -> None:
    """Put a checkpoint of TF-GAN's estimator into a GANMEX of the same options.

    Args:
        gan: the GANMEX; it keeps its discriminator where the checkpoint, of an export, has none.
        prefix: of the checkpoint, such as `estimator.latest_checkpoint()`.

    Raises:
        CheckpointError: if there is none, or it is damaged, or of other networks.
    """
    if prefix is None:
        raise CheckpointError("Expected a checkpoint. Received: prefix=None. Train first, or name one.")
    stored = read_tfgan(os.fspath(prefix), gan.classifier, **gan.options.as_dict())
    gan.generator.set_weights(stored.generator.get_weights())
    if not stored.has_new_discriminator:
        gan.discriminator.set_weights(stored.discriminator.get_weights())
        gan.step.assign(stored.step)


def adam(
    learning_rate: float = LEARNING_RATE,
    betas: tuple[float, float] = BETAS,
    epsilon: float = 1e-7,
    *,
    falling_over: int | None = None,
) -> Callable[[], Any]:
    """Make the function that makes TensorFlow 1's Adam in the estimator's graph.

    Args:
        learning_rate: at the start.
        betas: decay of the two moments.
        epsilon: 1e-7 as in Keras; TensorFlow 1's default was 1e-8.
        falling_over: steps over which the learning rate falls to zero along a cosine; None for a constant one.

    Returns:
        A function for `stargan`.
    """

    def make() -> Any:
        rate: Any = learning_rate
        if falling_over is not None:
            rate = v1.train.cosine_decay(learning_rate, v1.train.get_or_create_global_step(), falling_over)
        return v1.train.AdamOptimizer(rate, *betas, epsilon=epsilon)

    return make


@contextlib.contextmanager
def _no_deprecations() -> Iterator[None]:
    # TensorFlow 1's sessions and TF-GAN call functions that TensorFlow 2 deprecates, and nobody here can change that.
    def other(record: logging.LogRecord) -> bool:
        return "is deprecated and will be removed" not in record.getMessage()

    logger = tf.get_logger()
    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)


@contextlib.contextmanager
def _divergence() -> Iterator[None]:
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        # TF-GAN's own check, of every loss of every update.
        if "LossTensor is inf or nan" not in str(error):
            raise
        raise TrainingDivergedError(
            "Expected finite losses. Received: an infinite or NaN loss. Lower the learning rates or the loss weights; "
            "the last checkpoint before it is still good."
        ) from None


class _Run:
    """What a training tells while it runs."""

    def __init__(
        self,
        gan: GANMEX,
        every: int,
        steps: int,
        verbose: int,
        on_report: Callable[[int, dict[str, float]], None] | None,
    ) -> None:
        self.history: dict[str, list[float]] = {"step": []}
        self._gan = gan
        self._on_report = on_report
        self._verbose = verbose
        self._steps = steps
        self._bar = keras.utils.Progbar(steps, unit_name="step") if verbose == 1 else None

    def report(self, step: int, means: dict[str, float], session: Any) -> None:
        for name, value in {"step": step, **means}.items():
            self.history.setdefault(name, []).append(value)
        if self._bar is not None:
            self._bar.update(step, list(means.items()))
        elif self._verbose:
            shown = " - ".join(f"{name}: {value:.4f}" for name, value in means.items())
            print(f"step {step}/{self._steps} - {shown}", flush=True)
        if self._on_report is not None:
            from tf_ganmex.gan.tfgan.stargan import fetch_weights

            values = fetch_weights(session, self._gan)
            in_eager_mode(lambda: self._show(step, means, values))

    def _show(self, step: int, means: dict[str, float], values: list[list[np.ndarray]]) -> None:
        for network, weights in zip((self._gan.generator, self._gan.discriminator), values, strict=True):
            network.set_weights(weights)
        self._gan.step.assign(step)
        if self._on_report is not None:
            self._on_report(step, means)


def in_eager_mode(function: Callable[[], Any]) -> None:
    """Call a function outside the estimator's graph: which graph is the default is a matter of the thread."""
    failures: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as error:  # raised again by the caller's thread
            failures.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def check(gan: GANMEX) -> None:
    """Raise OptionError or ModelError unless TF-GAN's estimator can train this GANMEX."""
    if not isinstance(gan, GANMEX):
        raise ModelError(f"Expected a GANMEX. Received: {type(gan).__name__}. Pass tf_ganmex.GANMEX(clf).")
    if gan.options.schedule == JOINT:
        raise OptionError(
            "Expected a GANMEX whose networks are updated in turn, as TF-GAN does. Received: schedule='joint'. "
            "Build it with GANMEX(clf, schedule=(1, 1)); on the command line, --schedule 1:1."
        )
    if gan.options.dtype != "float32":
        raise OptionError(
            f"Expected dtype='float32', TF-GAN's. Received: dtype={gan.options.dtype!r}. Leave out mixed precision, "
            "or take the Keras trainer (gan.fit)."
        )
    check_trainable(gan.classifier)
    if not hasattr(gan.classifier, "scores_tensor"):
        raise ModelError(
            f"Expected a classifier from tf_ganmex.load_classifier. Received: {type(gan.classifier).__name__}. "
            "Its weights are variables of the estimator's graph."
        )


def _check_optimizers(generator_optimizer: Any, discriminator_optimizer: Any) -> None:
    for name, given in (("generator", generator_optimizer), ("discriminator", discriminator_optimizer)):
        if given is not None and not hasattr(given, "compute_gradients") and not callable(given):
            raise OptionError(
                f"Expected a tf.compat.v1.train optimizer, or a function that makes one. Received: "
                f"{name}_optimizer={given!r}. tf_ganmex.gan.estimator.adam(learning_rate) makes such a function."
            )
    if generator_optimizer is discriminator_optimizer and hasattr(generator_optimizer, "compute_gradients"):
        raise OptionError(
            "Expected two optimizers, for each keeps the moments of its own network. "
            f"Received: generator_optimizer={generator_optimizer!r} twice. Make a second one."
        )


def _check_not_beyond(checkpoint: str | None, steps: int) -> None:
    from tf_ganmex.gan.tfgan.stored import global_step

    if checkpoint is not None and global_step(checkpoint) > steps:
        raise OptionError(
            f"Expected at least the {global_step(checkpoint)} steps of {checkpoint}. Received: steps={steps}. Give "
            "more steps, or another directory."
        )
