"""Trainings that a figure needs: kept where they are found again, gone on with, and told about while they run."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tf_ganmex._backend import keras
from tf_ganmex.evaluation.sources import digest
from tf_ganmex.files import write_text
from tf_ganmex.gan import GANMEX
from tf_ganmex.reproduce.problem import Problem
from tf_ganmex.training import Recipe, train_ganmex

_CHECKPOINT_STEPS = 250  # at most


def say(message: str) -> None:
    """One line of progress, on standard error."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def many_generators() -> Iterator[None]:
    """Keeps off the terminal what TensorFlow says of graphs that are made again and again: each generator needs one."""

    def other(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)


class Spent:
    """Processor seconds that trainings took, added up in a file over all interruptions."""

    def __init__(self, path: Path):
        self.path = path

    @property
    def seconds(self) -> dict[str, float]:
        """By training."""
        return json.loads(self.path.read_text(encoding="utf-8")) if self.path.is_file() else {}

    def add(self, training: str, seconds: float) -> None:
        """Counts some more."""
        found = self.seconds
        write_text(self.path, json.dumps(found | {training: found.get(training, 0.0) + seconds}))


class Told(keras.callbacks.Callback):
    """A line an epoch of a GANMEX's training, and its processor time."""

    def __init__(self, spent: Spent):
        super().__init__()
        self.spent = spent
        self._start = 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._start = time.process_time()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Says how far it is; what was trained before and only read again is not counted."""
        steps, measured = self.params["epochs"] * self.params["steps"], logs or {}
        told = [f"  step {int(self.model.step)} of {steps}"]
        if "target_share" in measured:
            told.append(f"{measured['target_share']:.1%} of a batch made the target")
        if "distance" in measured:
            told.append(f"distance {measured['distance']:.2f}")
        say(", ".join(told))
        now = time.process_time()
        self.spent.add(self.model.classifier.fingerprint, now - self._start)
        self._start = now


def checkpoint_steps(steps: int) -> int:
    """Steps between two checkpoints: the most that ``steps`` is a multiple of, up to a limit."""
    return next(n for n in range(min(_CHECKPOINT_STEPS, steps), 0, -1) if steps % n == 0)


def kept_folder(problem: Problem, kind: str, *facts: Any) -> Path:
    """Where trainings of a kind are kept: another folder for other data, options or numbers of steps."""
    data = problem.data
    return problem.setup.keep / kind / digest(data.x_train, data.y_train, problem.setup.seed, *facts)


def options_of(problem: Problem, **changed: Any) -> dict[str, Any]:
    """Those of the GANMEX at hand, for another that is trained with the seed of the setup."""
    options = problem.ganmex.options.as_dict() | changed
    options.pop("seed", None)
    return options


def stand_alone(problem: Problem, steps: int) -> tuple[GANMEX, float]:
    """The GAN of the ablation, whose class discriminator is trained with it and is not the classifier.

    Args:
        problem: gives the data and all other options.
        steps: of its training.

    Returns:
        The GAN, and the processor seconds that its training took.

    Reference:
        Shih et al., "GANMEX", arXiv:2011.06015, section 5.
    """
    options = options_of(problem, class_discriminator="joint")
    folder = kept_folder(problem, "stand_alone", sorted(options.items()), steps)
    spent = Spent(folder / "seconds.json")
    say(f"stand-alone GAN, {steps} steps, kept in {folder}")
    gan = train_ganmex(
        problem.clf,
        problem.data,
        folder,
        recipe=Recipe(steps=steps),
        every=checkpoint_steps(steps),
        seed=problem.setup.seed,
        callbacks=[Told(spent)],
        verbose=0,
        **options,
    )
    return gan, sum(spent.seconds.values())
