"""The plain data of ``tf.estimator``: modes, what a model function returns, how to run, what to export."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tf_ganmex.errors import ModelError, OptionError


class ModeKeys:
    """What a model function is asked for."""

    TRAIN = "train"
    EVAL = "eval"
    PREDICT = "infer"


_NEEDED = {ModeKeys.TRAIN: ("loss", "train_op"), ModeKeys.EVAL: ("loss",), ModeKeys.PREDICT: ("predictions",)}


class _Fields(NamedTuple):
    mode: str
    predictions: Any = None
    loss: Any = None
    train_op: Any = None
    eval_metric_ops: Any = None
    export_outputs: Any = None
    training_chief_hooks: Any = ()
    training_hooks: Any = ()
    scaffold: Any = None
    evaluation_hooks: Any = ()
    prediction_hooks: Any = ()


class EstimatorSpec(_Fields):
    """What a model function returns.

    Args:
        mode: one of ModeKeys.
        predictions: a tensor or a dictionary of tensors, the first axis running over examples; for PREDICT.
        loss: a scalar tensor; for TRAIN and EVAL.
        train_op: what a training step runs; it raises the global step. For TRAIN.
        eval_metric_ops: (value, update) pairs by name, as `tf.compat.v1.metrics` makes them.
        export_outputs: PredictOutput by signature name; the predictions, unless given.
        training_chief_hooks: run in training, after training_hooks: there is one process, the chief.
        training_hooks: run in training.
        scaffold: a `tf.compat.v1.train.Scaffold`.
        evaluation_hooks: run in evaluation.
        prediction_hooks: run in prediction.

    Raises:
        ModelError: for an unknown mode, a missing or unknown field, or metrics and hooks of another kind.
    """

    __slots__ = ()

    def __new__(cls, *values: Any, **fields: Any) -> EstimatorSpec:
        try:
            given = _Fields(*values, **fields)
        except TypeError as error:
            raise ModelError(
                f"Expected EstimatorSpec({', '.join(_Fields._fields)}). Received: {error}. Leave out what is not there."
            ) from error
        _check_mode(given)
        _check_metrics(given)
        hooks: dict[str, Any] = {
            name: _hooks(name, getattr(given, name)) for name in _Fields._fields if name.endswith("_hooks")
        }
        loss = None if given.loss is None else _scalar(given.loss)
        complete = given._replace(loss=loss, eval_metric_ops=dict(given.eval_metric_ops or {}), **hooks)
        return super().__new__(cls, *complete)


def _check_mode(spec: _Fields) -> None:
    if spec.mode not in _NEEDED:
        raise ModelError(
            f"Expected mode to be one of {', '.join(map(repr, _NEEDED))}. Received: mode={spec.mode!r}. Use ModeKeys."
        )
    for name in _NEEDED[spec.mode]:
        if getattr(spec, name) is None:
            raise ModelError(
                f"Expected {name} for mode={spec.mode!r}. Received: {name}=None. Give it to EstimatorSpec."
            )


def _check_metrics(spec: _Fields) -> None:
    for name, metric in (spec.eval_metric_ops or {}).items():
        if not (isinstance(metric, tuple) and len(metric) == 2):
            raise ModelError(
                f"Expected eval_metric_ops of (value, update) pairs. Received: {name}={metric!r}. Make it with "
                "tf.compat.v1.metrics."
            )


def _hooks(name: str, hooks: Any) -> tuple[Any, ...]:
    for hook in hooks or ():
        if not isinstance(hook, tf.compat.v1.train.SessionRunHook):
            raise ModelError(f"Expected {name} of SessionRunHook. Received: {hook!r}. Derive it from that class.")
    return tuple(hooks or ())


def _scalar(loss: Any) -> tf.Tensor:
    loss = tf.convert_to_tensor(loss)
    if loss.shape.num_elements() != 1:
        raise ModelError(f"Expected a scalar loss. Received: loss with shape {loss.shape}. Take its mean.")
    return tf.reshape(loss, []) if loss.shape.rank else loss


class RunConfig:
    """How an Estimator runs, on this machine alone.

    Args:
        model_dir: where checkpoints and summaries go.
        tf_random_seed: seed of the graph; None for another result every time.
        save_summary_steps: steps between two summaries, whose numbers are logged as well; None or 0 for none.
        save_checkpoints_steps: steps between two checkpoints.
        save_checkpoints_secs: seconds between two checkpoints, instead; 600 where neither is given. With both None
            there is one at the beginning and one at the end.
        session_config: a `tf.compat.v1.ConfigProto`.
        keep_checkpoint_max: how many of the newest checkpoints are kept; None or 0 for all.
        log_step_count_steps: steps between two lines with the steps per second; None or 0 for none.
        **unsupported: other arguments of `tf.estimator.RunConfig` may only be None.

    Raises:
        OptionError: for a value out of range, for steps and seconds together, and for what is not supported.
    """

    def __init__(
        self,
        model_dir: str | None = None,
        tf_random_seed: int | None = 1,
        save_summary_steps: int | None = 100,
        save_checkpoints_steps: Any = ...,
        save_checkpoints_secs: Any = ...,
        session_config: Any = None,
        keep_checkpoint_max: int | None = 5,
        log_step_count_steps: int | None = 100,
        **unsupported: Any,
    ) -> None:
        if save_checkpoints_steps is ... and save_checkpoints_secs is ...:
            save_checkpoints_secs = 600
        self.model_dir = model_dir
        self.tf_random_seed = tf_random_seed
        self.save_summary_steps = save_summary_steps
        self.save_checkpoints_steps = None if save_checkpoints_steps is ... else save_checkpoints_steps
        self.save_checkpoints_secs = None if save_checkpoints_secs is ... else save_checkpoints_secs
        self.session_config = session_config
        self.keep_checkpoint_max = keep_checkpoint_max
        self.log_step_count_steps = log_step_count_steps
        self._check(unsupported)

    def replace(self, **changes: Any) -> RunConfig:
        """Return a copy with other values."""
        if "save_checkpoints_steps" in changes or "save_checkpoints_secs" in changes:
            changes = {"save_checkpoints_steps": None, "save_checkpoints_secs": None} | changes
        return type(self)(**(vars(self) | changes))

    def _check(self, unsupported: dict[str, Any]) -> None:
        for name, value in unsupported.items():
            if value is not None:
                raise OptionError(
                    f"Expected RunConfig with {', '.join(vars(self))}. Received: {name}={value!r}. Leave it out: this "
                    "Estimator runs in one process, on the devices that TensorFlow chooses."
                )
        if self.save_checkpoints_steps is not None and self.save_checkpoints_secs is not None:
            raise OptionError(
                f"Expected save_checkpoints_steps or save_checkpoints_secs. Received: save_checkpoints_steps="
                f"{self.save_checkpoints_steps!r}, save_checkpoints_secs={self.save_checkpoints_secs!r}. Give one."
            )
        for name in ("save_summary_steps", "keep_checkpoint_max", "log_step_count_steps"):
            check_count(name, getattr(self, name), minimum=0)
        check_count("save_checkpoints_steps", self.save_checkpoints_steps, minimum=1)


def check_count(name: str, value: Any, *, minimum: int) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if value is not None and (not whole or value < minimum):
        raise OptionError(f"Expected {name} >= {minimum}, or None. Received: {name}={value!r}. Give a whole number.")


class ServingInputReceiver(NamedTuple):
    """What an exported model is fed with.

    Args:
        features: what the model function gets.
        receiver_tensors: the placeholders by name, or one placeholder.
    """

    features: Any
    receiver_tensors: Any


class PredictOutput(NamedTuple):
    """The outputs of one exported signature: tensors by name, or one tensor."""

    outputs: Any


class _Refused:
    def __init__(self, *_: Any, **__: Any) -> None:
        raise OptionError(
            f"Expected training without a TPU and without a warm start. Received: {type(self).__name__}. Use "
            "Estimator, and put a checkpoint into model_dir to go on from it."
        )


class WarmStartSettings(_Refused):
    """Named by TF-GAN; refused."""


class TPUEstimator(_Refused):
    """Named by TF-GAN; refused."""


class TPUEstimatorSpec(_Refused):
    """Named by TF-GAN; refused."""


class TPURunConfig(_Refused):
    """Named by TF-GAN; refused."""
