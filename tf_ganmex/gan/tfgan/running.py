"""Graphs and sessions: the loops under an Estimator's train, evaluate and predict."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex.errors import CheckpointError, DatasetError, ModelError
from tf_ganmex.gan.tfgan import stored
from tf_ganmex.gan.tfgan.hooks import SaveCheckpoints, WholeSteps, event_file, interrupts_wait, reports
from tf_ganmex.gan.tfgan.spec import EstimatorSpec, RunConfig

v1: Any = tf.compat.v1


@contextlib.contextmanager
def graph(config: RunConfig, step: int | None = 0) -> Iterator[tf.Graph]:
    """A new graph, its random seed a function of the config's and of `step`; with a global step unless that is None."""
    with tf.Graph().as_default() as new:
        if config.tf_random_seed is not None:
            v1.set_random_seed((config.tf_random_seed + (step or 0)) % 2**31)
        if step is not None:
            v1.train.create_global_step()
        yield new


def named(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that the function names among its parameters."""
    parameters = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in parameters}


def inputs(input_fn: Callable[..., Any], options: dict[str, Any]) -> tuple[Any, Any]:
    """Return (features, labels) of an input function, as tensors; labels None where it gives features alone."""
    result = input_fn(**named(input_fn, options))
    if isinstance(result, tf.data.Dataset):
        iterator = v1.data.make_initializable_iterator(result)
        # Initialized with the tables, in every new session.
        v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
        result = iterator.get_next()
    if not isinstance(result, tuple | list):
        return result, None
    if len(result) != 2:
        raise DatasetError(
            f"Expected input_fn to give features or (features, labels). Received: {len(result)} parts. Several "
            "features go into one part, as a tuple or a dictionary."
        )
    return result[0], result[1]


def session_config(config: RunConfig) -> Any:
    """The ConfigProto of a RunConfig."""
    return config.session_config or v1.ConfigProto(allow_soft_placement=True)


def use_saver(scaffold: Any, config: RunConfig, path: str | None) -> None:
    """Have all variables saved and restored, unless the model function brought a saver; `path` must hold them."""
    savers = v1.GraphKeys.SAVERS
    if scaffold.saver is not None or v1.get_collection(savers):
        return
    if path is not None:
        stored.check_holds(path, v1.global_variables())
    # None and 0 both keep everything; relative paths, so that the directory can be moved.
    saver = v1.train.Saver(max_to_keep=config.keep_checkpoint_max, save_relative_paths=True, allow_empty=True)
    v1.add_to_collection(savers, saver)


def open_session(made: EstimatorSpec, config: RunConfig, path: str | None, hooks: list[Any]) -> Any:
    """Open a session with hooks; its variables come from `path`, or else from their initializers."""
    # One that, after an error, does not go back to the last checkpoint silently.
    return v1.train.SingularMonitoredSession(
        hooks=hooks, scaffold=made.scaffold, config=session_config(config), checkpoint_filename_with_path=path
    )


def train(
    made: EstimatorSpec,
    config: RunConfig,
    path: str | None,
    writer: Any,
    hooks: list[Any],
    listeners: Sequence[Any],
) -> None:
    """Train until a hook asks to stop or the input ends."""
    if not v1.get_collection(v1.GraphKeys.SUMMARIES):
        v1.summary.scalar("loss", made.loss)
    use_saver(made.scaffold, config, path)
    whole = WholeSteps()
    save = SaveCheckpoints(str(config.model_dir), made.scaffold, _timer(config), path, listeners)
    reporting = reports(config, writer, made.scaffold)
    # Saving comes last: what another hook raises, such as a loss that is not a number, keeps the step from being saved.
    hooks = [whole, *made.training_hooks, *made.training_chief_hooks, *hooks, *reporting, save]
    with open_session(made, config, path, hooks) as session:
        try:
            _train_steps(session, made.train_op)
        except KeyboardInterrupt:
            if whole.between:
                save.save(session.raw_session())
            else:
                tf.get_logger().warning("Interrupted within a step, which is not saved; the last checkpoint is kept.")
            raise


def _timer(config: RunConfig) -> Any:
    if config.save_checkpoints_steps is None and config.save_checkpoints_secs is None:
        return None
    return v1.train.SecondOrStepTimer(
        every_secs=config.save_checkpoints_secs, every_steps=config.save_checkpoints_steps
    )


def _train_steps(session: Any, train_op: Any) -> None:
    steps = 0
    with interrupts_wait() as interrupted:
        while not session.should_stop() and not interrupted.is_set():
            try:
                # The loss is not fetched, as tf.estimator did: TF-GAN's hooks train in runs of their own, and its value
                # here would take a further batch from the input at every step.
                session.run(train_op)
            except tf.errors.OutOfRangeError as end:
                if not steps:
                    raise _too_few(end) from end
                break
            steps += 1
        if interrupted.is_set():
            raise KeyboardInterrupt


def evaluate(made: EstimatorSpec, config: RunConfig, path: str, hooks: list[Any], steps: int | None) -> dict[str, Any]:
    """Return the metrics, the mean loss and the global step."""
    metrics = {"loss": v1.metrics.mean(made.loss)} | made.eval_metric_ops
    values = {name: metric[0] for name, metric in metrics.items()} | {"global_step": v1.train.get_global_step()}
    update = tf.group(*(metric[1] for metric in metrics.values()))
    use_saver(made.scaffold, config, path)
    with open_session(made, config, path, [*hooks, *made.evaluation_hooks]) as session:
        done = 0
        while not session.should_stop() and done != steps:
            try:
                session.run(update)
            except tf.errors.OutOfRangeError as end:
                if not done:
                    raise _too_few(end) from end
                break
            done += 1
        return session.raw_session().run(values)


def predictions(
    graph: tf.Graph, made: EstimatorSpec, config: RunConfig, path: str, hooks: list[Any], single: bool
) -> Iterator[Any]:
    """Yield predictions of one example, or of one batch, at a time."""
    # The graph is the default one during runs only: between them, the caller's code is running.
    with graph.as_default():
        session = open_session(made, config, path, [*hooks, *made.prediction_hooks])
    try:
        while not session.should_stop():
            try:
                with graph.as_default():
                    values = session.run(made.predictions)
            except tf.errors.OutOfRangeError:
                break
            yield from _examples(values) if single else [values]
    finally:
        with graph.as_default():
            session.close()


def _examples(values: Any) -> Iterator[Any]:
    if not isinstance(values, dict):
        yield from values
        return
    lengths = {name: len(value) for name, value in values.items()}
    if len(set(lengths.values())) > 1:
        raise ModelError(
            f"Expected predictions of as many examples each. Received: {lengths}. Set yield_single_examples=False."
        )
    for example in zip(*values.values(), strict=True):
        yield dict(zip(values, example, strict=True))


def _too_few(end: Exception) -> DatasetError:
    return DatasetError(
        "Expected input_fn to give the batches of one step at least. Received: an input that ended before. Give it "
        "more images, a smaller batch, or have it repeat."
    )


def write_scalars(directory: str, values: dict[str, Any]) -> None:
    """Write the values that are one number as summaries of their step; warn where that is not possible."""
    numbers = {name: value for name, value in values.items() if name != "global_step" and np.size(value) == 1}
    summary = v1.Summary(value=[v1.Summary.Value(tag=name, simple_value=float(n)) for name, n in numbers.items()])
    try:
        with event_file(directory) as writer:
            writer.add_summary(summary, values["global_step"])
    except CheckpointError as error:
        # The values themselves are there.
        warnings.warn(str(error), UserWarning, stacklevel=3)
