"""How a training with TF-GAN's estimator goes: its measures, and that nothing diverged is saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_ganmex.errors import TrainingDivergedError
from tf_ganmex.gan.tfgan import measures

v1: Any = tf.compat.v1
Report = Callable[[int, dict[str, float], Any], None]


class MeasuresHook(v1.train.SessionRunHook):
    """Reports the means of the measures every so many steps and at the end, and stops a training that diverges.

    Args:
        every: steps between two reports, counted from step 0.
        report: called with the step, the means by name, and the session.
    """

    def __init__(self, every: int, report: Report) -> None:
        self._every = every
        self._report = report
        self._step = 0
        self._reported = 0

    def begin(self) -> None:
        """Find the sums in the graph, which is complete by now."""
        self._sums, self._counts = measures.collected()
        self._reset = v1.group(*[v1.assign(v, 0.0) for v in (*self._sums.values(), *self._counts.values())])
        self._global_step = v1.train.get_global_step()

    def after_create_session(self, session: Any, coord: object) -> None:
        """Start from the restored step."""
        self._step = self._reported = int(session.run(self._global_step))

    def after_run(self, run_context: Any, run_values: object) -> None:
        """Count a step, and report where one is due."""
        self._step += 1
        if self._step % self._every == 0:
            self._tell(run_context.session)

    def end(self, session: Any) -> None:
        """Report the steps since the last report."""
        if self._step > self._reported:
            self._tell(session)

    def _tell(self, session: Any) -> None:
        means = measures.read(session, self._sums, self._counts)
        session.run(self._reset)
        self._reported = self._step
        check_finite(self._step, means)
        self._report(self._step, means, session)


class FiniteOnly(v1.train.CheckpointSaverListener):
    """Lets no checkpoint be written of weights that are not finite: it would replace the last good one."""

    def begin(self) -> None:
        """Build the check."""
        finite = [tf.reduce_all(tf.math.is_finite(variable)) for variable in v1.trainable_variables()]
        self._finite = tf.reduce_all(tf.stack(finite))

    def before_save(self, session: Any, global_step_value: int) -> None:
        """Raise TrainingDivergedError where a weight is NaN or infinite."""
        if not session.run(self._finite):
            raise TrainingDivergedError(
                f"Expected finite weights. Received: NaN or infinite ones at step {global_step_value}, which is not "
                "saved. Lower the learning rates or the loss weights, and go on from the last checkpoint."
            )


def check_finite(step: int, means: dict[str, float]) -> None:
    """Raise TrainingDivergedError unless every mean is finite."""
    if not all(np.isfinite(value) for value in means.values()):
        shown = ", ".join(f"{name}={value:.4g}" for name, value in means.items())
        raise TrainingDivergedError(
            f"Expected finite losses. Received: at step {step} {shown}. Lower the learning rates or the loss weights; "
            "the last checkpoint before this step is still good."
        )
