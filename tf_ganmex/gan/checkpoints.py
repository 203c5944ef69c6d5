"""Checkpoints of a GANMEX from which training goes on bitwise as if it had never stopped."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import tensorflow as tf

from tf_ganmex.errors import CheckpointError, OptionError, TrainingDivergedError
from tf_ganmex.gan.callbacks import EverySteps
from tf_ganmex.gan.tfgan.stored import writing

_NAME = "ganmex"
_OWNERS = ("generator", "discriminator", "generator_optimizer", "discriminator_optimizer", "step")
# TensorFlow's reader turns a file that ends early into an IndexError.
_UNREADABLE = (tf.errors.OpError, ValueError, OSError, IndexError)


class Checkpoints(EverySteps):
    """Saves networks, optimizers and step, so that `restore` continues bitwise where training stopped.

    Saved every so many steps, at the end of training, and when it is interrupted from the keyboard.

    Args:
        directory: where the checkpoints are; one GANMEX a directory.
        every: steps between two checkpoints.
        keep: how many of the newest are kept.

    Raises:
        OptionError: if `every` or `keep` is below 1.
    """

    def __init__(self, directory: str | Path, *, every: int = 1000, keep: int = 2) -> None:
        super().__init__(every)
        if isinstance(keep, bool) or int(keep) != keep or keep < 1:
            raise OptionError(f"Expected keep >= 1. Received: keep={keep!r}. 2 survive a damaged newest one.")
        self.directory = Path(directory)
        self.keep = int(keep)
        self._manager: tf.train.CheckpointManager | None = None
        self._saved_step = -1

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        self._saved_step = -1
        self._manager = _manager(self.model, self.directory, self.keep)
        stored, step = _newest_first(self.directory, self._manager), int(self.model.step)
        if stored and _step_of(stored[0]) > step:
            warnings.warn(
                f"{str(self.directory)!r} holds a checkpoint of step {_step_of(stored[0])}, and training starts from "
                f"step {step}: it will be deleted after {self.keep} further ones. To go on from it, call restore(gan).",
                UserWarning,
                stacklevel=2,
            )

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.act(int(self.model.step))

    def on_train_interrupted(self) -> None:
        """Save when `fit` is left by KeyboardInterrupt; called by `GANMEX.fit`."""
        if self._manager is not None:
            self.act(int(self.model.step))

    def act(self, step: int) -> None:
        """Save a checkpoint of this step, unless it is there."""
        if self._manager is None or step == self._saved_step:
            return
        _check_finite(self.model, step)
        with writing(str(self.directory)):
            self._manager.save(checkpoint_number=step)
        self._saved_step = step

    def restore(self, gan: Any) -> int:
        """Put the newest readable checkpoint into `gan`.

        Args:
            gan: a GANMEX built with the same options and, if not with the defaults, compiled with the same kinds
                of optimizers.

        Returns:
            The step that training goes on from; 0 where there is no checkpoint.

        Raises:
            CheckpointError: if there are checkpoints and none can be read, or they are of other networks.
        """
        if not gan.compiled:
            gan.compile()
        manager = _manager(gan, self.directory, self.keep)
        failures = []
        for path in _newest_first(self.directory, manager):
            try:
                _check_same_variables(path, manager.checkpoint)
                manager.checkpoint.restore(path).assert_consumed()
            except CheckpointError:
                raise
            except _UNREADABLE as error:
                failures.append(f"{Path(path).name}: {_first_line(error)}")
                continue
            return int(gan.step)
        if failures:
            raise CheckpointError(
                f"Expected a readable checkpoint. Received: directory={str(self.directory)!r} with "
                f"{'; '.join(failures)}. Remove them to train from the beginning, or restore a copy."
            )
        return 0


def _manager(gan: Any, directory: Path, keep: int) -> tf.train.CheckpointManager:
    checkpoint = tf.train.Checkpoint(**training_state(gan))
    return tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=keep, checkpoint_name=_NAME)


def _newest_first(directory: Path, manager: tf.train.CheckpointManager) -> list[str]:
    """List checkpoints in the order of saving where TensorFlow's list of them can be read, and by step otherwise."""
    found = [str(path.with_suffix("")) for path in directory.glob(f"{_NAME}-*.index") if _step_of(path.stem) >= 0]
    saved = [path for path in manager.checkpoints if path in found]
    return [*reversed(saved), *sorted(set(found) - set(saved), key=_step_of, reverse=True)]


def _step_of(path: str) -> int:
    match = re.search(rf"{_NAME}-(\d+)$", path)
    return int(match[1]) if match else -1


def _check_finite(gan: Any, step: int) -> None:
    # A loss can be finite while its gradient is not: such weights must not replace the last good ones.
    for network in (gan.generator, gan.discriminator):
        for variable in network.variables:
            if not bool(tf.reduce_all(tf.math.is_finite(variable.value))):
                raise TrainingDivergedError(
                    f"Expected finite weights. Received: {network.name} {variable.path} with NaN or infinite values "
                    f"at step {step}, which is not saved. Lower the learning rates or the loss weights, and restore "
                    "the last checkpoint."
                )


def training_state(gan: Any) -> dict[str, list[tf.Variable]]:
    """Return every variable that the next training step depends on, by owner."""
    owners = {
        "generator": gan.generator,
        "discriminator": gan.discriminator,
        "generator_optimizer": gan.generator_optimizer,
        "discriminator_optimizer": gan.discriminator_optimizer,
    }
    state = {name: [variable.value for variable in owner.variables] for name, owner in owners.items()}
    return {**state, "step": [gan.step.value]}


def _check_same_variables(path: str, checkpoint: tf.train.Checkpoint) -> None:
    # Before restoring, which would assign what fits and leave the rest.
    shapes = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    for owner in _OWNERS:
        variables = getattr(checkpoint, owner)
        expected = {
            f"{owner}/{index}/.ATTRIBUTES/VARIABLE_VALUE": variable.shape.as_list()
            for index, variable in enumerate(variables)
        }
        stored = {
            key: list(shape)
            for key, shape in shapes.items()
            if key.startswith(f"{owner}/") and key.endswith("/VARIABLE_VALUE")
        }
        if stored != expected:
            raise CheckpointError(
                f"Expected a checkpoint of these networks and optimizers. Received: {path!r}, whose {owner} has "
                "other variables. Build GANMEX with the same options, compile it with the same optimizers, or "
                "take another directory."
            )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
