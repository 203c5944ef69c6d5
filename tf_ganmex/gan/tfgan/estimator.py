"""A small ``tf.estimator``, enough for TF-GAN's estimators on one machine.

What it is not: nothing is distributed or warm-started, there is no TPU and no train_and_evaluate, features are not
columns, and a Keras model is not a model function.
"""

from __future__ import annotations

import copy
import inspect
import os
import tempfile
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex.errors import ModelError, OptionError
from tf_ganmex.gan.tfgan import export, running, spec, stored
from tf_ganmex.gan.tfgan.hooks import event_file
from tf_ganmex.gan.tfgan.spec import EstimatorSpec, ModeKeys, RunConfig
from tf_ganmex.gan.tfgan.standins import tf1_scope

v1: Any = tf.compat.v1
_OTHERS_OF_TRAIN = ("CheckpointSaverListener", "NanLossDuringTrainingError", "SecondOrStepTimer")


class Estimator:
    """Trains, evaluates, runs and exports a model function, from and to checkpoints in a directory.

    Every call builds a graph of its own, so that eager mode outside is left alone. What TF-GAN's model functions need
    of `tf.estimator` is there while they build it, and gone afterwards.

    Args:
        model_fn: takes `features` and, of `labels`, `mode`, `params` and `config`, those that it names; returns an
            EstimatorSpec.
        model_dir: for checkpoints and summaries; that of `config` where None, and a temporary one without either.
        config: a RunConfig.
        params: given to `model_fn` and to input functions that name them.
        warm_start_from: None. Put a checkpoint into `model_dir` instead.

    Raises:
        OptionError: for arguments of another kind, or a directory that is not that of `config`.
    """

    def __init__(
        self,
        model_fn: Callable[..., EstimatorSpec],
        model_dir: str | os.PathLike[str] | None = None,
        config: RunConfig | None = None,
        params: dict[str, Any] | None = None,
        warm_start_from: None = None,
    ) -> None:
        if not callable(model_fn) or "features" not in inspect.signature(model_fn).parameters:
            raise OptionError(f"Expected model_fn(features, ...). Received: model_fn={model_fn!r}. Give a function.")
        if not isinstance(config, RunConfig | None):
            raise OptionError(f"Expected config to be a RunConfig. Received: config={config!r}. Make one.")
        if warm_start_from is not None:
            raise OptionError(
                f"Expected warm_start_from=None. Received: warm_start_from={warm_start_from!r}. Put the checkpoint "
                "into model_dir; training goes on from it."
            )
        self._model_fn = model_fn
        self._config = _with_directory(config or RunConfig(), model_dir)
        self._params = copy.deepcopy(params or {})

    @property
    def model_dir(self) -> str:
        """The directory of checkpoints and summaries."""
        return str(self._config.model_dir)

    @property
    def config(self) -> RunConfig:
        """A copy of the RunConfig, with the directory filled in."""
        return copy.deepcopy(self._config)

    @property
    def params(self) -> dict[str, Any]:
        """A copy of the parameters."""
        return copy.deepcopy(self._params)

    @property
    def model_fn(self) -> Callable[..., EstimatorSpec]:
        """The model function, as a function of (features, labels, mode, config)."""

        def model_fn(features: Any, labels: Any, mode: str, config: Any = None) -> EstimatorSpec:
            return self._call_model_fn(features, labels, mode, config or self.config)

        return model_fn

    def train(
        self,
        input_fn: Callable[..., Any],
        hooks: Sequence[Any] | None = None,
        steps: int | None = None,
        max_steps: int | None = None,
        saving_listeners: Sequence[Any] | None = None,
    ) -> Estimator:
        """Train from the newest readable checkpoint, or from the beginning where there is none.

        The result is a function of that checkpoint, the seed and the input alone: where training is cut into the same
        calls, breaking it off between two of them changes nothing. Ctrl-C waits for the end of a step and saves it.

        Args:
            input_fn: returns a `tf.data.Dataset` of (features, labels), or such a pair of tensors; may name
                `mode`, `params` and `config`.
            hooks: `SessionRunHook`s, run after those of the model and before a checkpoint is saved: what they
                raise keeps the step from being saved.
            steps: further steps; until the input ends where None.
            max_steps: the global step to stop at, instead of `steps`.
            saving_listeners: `CheckpointSaverListener`s.

        Returns:
            The Estimator.

        Raises:
            OptionError: for both `steps` and `max_steps`, or numbers below 1.
            DatasetError: if the input has no batch at all.
            CheckpointError: if a checkpoint cannot be written, or there are some and none can be read.
        """
        _check_steps(steps, max_steps)
        stored.prepare(self.model_dir)
        path = stored.newest_readable(self.model_dir)
        start = stored.global_step(path) if path else 0
        if max_steps is not None and start >= max_steps:
            tf.get_logger().info("Step %d is saved already: not training to max_steps=%d.", start, max_steps)
            return self
        given = list(hooks or ())
        if steps is not None or max_steps is not None:
            given.append(v1.train.StopAtStepHook(steps, max_steps))
        # Another seed at another step, or every call would draw the same random numbers again.
        with running.graph(self._config, step=start), event_file(self.model_dir) as writer:
            made = self._built(input_fn, ModeKeys.TRAIN)
            running.train(made, self._config, path, writer, given, saving_listeners or ())
        return self

    def evaluate(
        self,
        input_fn: Callable[..., Any],
        steps: int | None = None,
        hooks: Sequence[Any] | None = None,
        checkpoint_path: str | None = None,
        name: str | None = None,
    ) -> dict[str, Any]:
        """Average the metrics of the model function over the input.

        Args:
            input_fn: as in `train`.
            steps: batches; until the input ends where None.
            hooks: `SessionRunHook`s.
            checkpoint_path: a checkpoint; the newest readable one where None.
            name: the values also go into summaries in "eval", or "eval_NAME", below `model_dir`.

        Returns:
            The metrics by name, "loss" and "global_step".

        Raises:
            OptionError: if `steps` is below 1.
            DatasetError: if the input has no batch at all.
            CheckpointError: if there is no checkpoint, or it cannot be read or is of another model.
        """
        _check_steps(steps, None)
        path = stored.readable(self.model_dir, checkpoint_path)
        with running.graph(self._config):
            made = self._built(input_fn, ModeKeys.EVAL)
            result = running.evaluate(made, self._config, path, list(hooks or ()), steps)
            running.write_scalars(os.path.join(self.model_dir, f"eval_{name}" if name else "eval"), result)
        return result

    def predict(
        self,
        input_fn: Callable[..., Any],
        predict_keys: str | Sequence[str] | None = None,
        hooks: Sequence[Any] | None = None,
        checkpoint_path: str | None = None,
        yield_single_examples: bool = True,
    ) -> Iterator[Any]:
        """Predict until the input ends; tensors that are not of a dataset never do.

        Args:
            input_fn: as in `train`; labels are not used, so a pair of features needs to be one half of a pair.
            predict_keys: which predictions, where they are a dictionary; all where None.
            hooks: `SessionRunHook`s.
            checkpoint_path: a checkpoint; the newest readable one where None.
            yield_single_examples: one example at a time, not one batch.

        Returns:
            A generator of arrays, or of dictionaries of them. The session is open until it ends or is closed.

        Raises:
            OptionError: for `predict_keys` that are not there.
            CheckpointError: if there is no checkpoint, or it cannot be read or is of another model.
        """
        path = stored.readable(self.model_dir, checkpoint_path)
        with running.graph(self._config, step=None) as graph:
            made = self._built(input_fn, ModeKeys.PREDICT)
            made = made._replace(predictions=_chosen(made.predictions, predict_keys))
            running.use_saver(made.scaffold, self._config, path)
        return running.predictions(graph, made, self._config, path, list(hooks or ()), yield_single_examples)

    def export_saved_model(
        self,
        export_dir_base: str | os.PathLike[str],
        serving_input_receiver_fn: Callable[[], Any],
        assets_extra: dict[str, str] | None = None,
        as_text: bool = False,
        checkpoint_path: str | None = None,
    ) -> str:
        """Write a SavedModel that predicts, whole or not at all.

        Args:
            export_dir_base: a new directory, named by the time, is made in it.
            serving_input_receiver_fn: makes placeholders; returns a ServingInputReceiver.
            assets_extra: files to copy, by the name they get in "assets.extra".
            as_text: write the graph as text.
            checkpoint_path: a checkpoint; the newest readable one where None.

        Returns:
            The path of the SavedModel. Its signature is "serving_default"; variables keep their names.

        Raises:
            ModelError: if the inputs or the outputs are not tensors.
            CheckpointError: if there is no checkpoint, it cannot be read, or the SavedModel cannot be written.
        """
        path = stored.readable(self.model_dir, checkpoint_path)
        with running.graph(self._config, step=None):
            receiver = serving_input_receiver_fn()
            made = self._call_model_fn(receiver.features, None, ModeKeys.PREDICT, self.config)
            running.use_saver(made.scaffold, self._config, path)
            signatures = export.signatures(receiver.receiver_tensors, made)
            return export.write(
                os.fspath(export_dir_base),
                made.scaffold,
                signatures,
                checkpoint=path,
                session_config=running.session_config(self._config),
                assets_extra=assets_extra or {},
                as_text=as_text,
            )

    def latest_checkpoint(self) -> str | None:
        """Return the newest readable checkpoint; None where there is none at all."""
        return stored.newest_readable(self.model_dir)

    def get_variable_names(self) -> list[str]:
        """Return the names of the variables in the newest readable checkpoint."""
        return sorted(tf.train.load_checkpoint(stored.readable(self.model_dir)).get_variable_to_shape_map())

    def get_variable_value(self, name: str) -> np.ndarray:
        """Return a variable's value in the newest readable checkpoint."""
        return tf.train.load_checkpoint(stored.readable(self.model_dir)).get_tensor(name)

    def _built(self, input_fn: Callable[..., Any], mode: str) -> EstimatorSpec:
        options = {"mode": mode, "params": self.params, "config": self.config}
        features, labels = running.inputs(input_fn, options)
        return self._call_model_fn(features, None if mode == ModeKeys.PREDICT else labels, mode, self.config)

    def _call_model_fn(self, features: Any, labels: Any, mode: str, config: RunConfig) -> EstimatorSpec:
        options = {"labels": labels, "mode": mode, "params": self.params, "config": config}
        taken = running.named(self._model_fn, options)
        if labels is not None and "labels" not in taken:
            raise ModelError(
                f"Expected model_fn to take labels, which input_fn gives. Received: model_fn={self._model_fn!r}. Name "
                "them there, or return the features alone."
            )
        with tf1_scope():
            made = self._model_fn(features=features, **taken)
        if not isinstance(made, EstimatorSpec) or made.mode != mode:
            raise ModelError(
                f"Expected model_fn to return an EstimatorSpec for {mode!r}. Received: {made!r}. Return it."
            )
        return made._replace(scaffold=made.scaffold or v1.train.Scaffold())


def _with_directory(config: RunConfig, directory: str | os.PathLike[str] | None) -> RunConfig:
    given = [os.fspath(name) for name in (directory, config.model_dir) if name is not None]
    if len(set(given)) > 1:
        raise OptionError(
            f"Expected one directory. Received: model_dir={given[0]!r} and config.model_dir={given[1]!r}. Give one."
        )
    return config.replace(model_dir=given[0] if given else tempfile.mkdtemp())


def _check_steps(steps: int | None, max_steps: int | None) -> None:
    if steps is not None and max_steps is not None:
        raise OptionError(f"Expected steps or max_steps. Received: steps={steps!r}, max_steps={max_steps!r}. Give one.")
    spec.check_count("steps", steps, minimum=1)
    spec.check_count("max_steps", max_steps, minimum=1)


def _chosen(predictions: Any, keys: str | Sequence[str] | None) -> Any:
    if not isinstance(predictions, dict):
        if keys is not None:
            raise OptionError(
                f"Expected predict_keys=None for predictions without names. Received: predict_keys={keys!r}. Omit it."
            )
        return predictions
    chosen = list(predictions) if keys is None else [keys] if isinstance(keys, str) else list(keys)
    unknown = [key for key in chosen if key not in predictions]
    if unknown or not chosen:
        raise OptionError(
            f"Expected predict_keys among {', '.join(map(repr, predictions))}. Received: predict_keys={keys!r}. "
            "Choose from these."
        )
    return {key: predictions[key] for key in chosen}


def module() -> types.ModuleType:
    """Return a module to stand for `tf.estimator`, with what TF-GAN names and what its users need beside that."""
    estimator: Any = types.ModuleType("tensorflow.estimator", __doc__)
    estimator.Estimator = Estimator
    for name in ("EstimatorSpec", "ModeKeys", "RunConfig", "WarmStartSettings"):
        setattr(estimator, name, getattr(spec, name))
    for name in dir(v1.train):
        # The hooks were TensorFlow's own all along.
        if name.startswith("SessionRun") or name.endswith("Hook") or name in _OTHERS_OF_TRAIN:
            setattr(estimator, name, getattr(v1.train, name))
    estimator.export = types.ModuleType("tensorflow.estimator.export")
    estimator.export.ServingInputReceiver = spec.ServingInputReceiver
    estimator.export.PredictOutput = spec.PredictOutput
    estimator.tpu = types.ModuleType("tensorflow.estimator.tpu")
    estimator.tpu.TPUEstimator = spec.TPUEstimator
    estimator.tpu.TPUEstimatorSpec = spec.TPUEstimatorSpec
    estimator.tpu.RunConfig = spec.TPURunConfig
    return estimator


MODULE = module()
