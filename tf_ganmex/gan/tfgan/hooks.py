"""What happens between the steps of training: checkpoints, summaries, and Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from tf_ganmex.gan.tfgan import stored

v1: Any = tf.compat.v1


class SaveCheckpoints(v1.train.SessionRunHook):
    """Saves at the beginning, every so many steps or seconds, and at the end.

    Not TensorFlow's own, for which a full disk is the end of the input: there it is an OutOfRangeError.

    Args:
        directory: where to.
        scaffold: its saver writes.
        timer: a `SecondOrStepTimer`; None for none between the beginning and the end.
        restored: the checkpoint that training goes on from.
        listeners: `CheckpointSaverListener`s.
    """

    def __init__(self, directory: str, scaffold: Any, timer: Any, restored: str | None, listeners: Sequence[Any] = ()):
        self._directory, self._scaffold, self._timer = directory, scaffold, timer
        self._restored, self._listeners = restored, listeners
        self._saved_step: int | None = None

    def begin(self) -> None:
        self._step = v1.train.get_global_step()
        for listener in self._listeners:
            listener.begin()

    def after_create_session(self, session: Any, coord: Any) -> None:
        step = int(session.run(self._step))
        if self._restored is None:
            # Now, so that a directory that cannot be written to shows before an hour of training.
            self.save(session)
        else:
            self._saved_step = step
            self._scaffold.saver.recover_last_checkpoints(self._deleted_in_this_order())
        if self._timer is not None:
            self._timer.update_last_triggered_step(step)

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(self._step)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        # What was fetched may be from before the step or after it.
        if self._timer is None or not self._timer.should_trigger_for_step(run_values.results + 1):
            return
        step = int(run_context.session.run(self._step))
        if self._timer.should_trigger_for_step(step):
            self._timer.update_last_triggered_step(step)
            if self.save(run_context.session):
                run_context.request_stop()

    def end(self, session: Any) -> None:
        self.save(session)
        for listener in self._listeners:
            listener.end(session, self._saved_step)

    def save(self, session: Any) -> bool:
        """Save a checkpoint of this step, unless it is there; tell whether a listener asked to stop."""
        step = int(session.run(self._step))
        if step == self._saved_step:
            return False
        for listener in self._listeners:
            listener.before_save(session, step)
        with stored.writing(self._directory):
            prefix = os.path.join(self._directory, stored.PREFIX)
            self._scaffold.saver.save(session, prefix, global_step=step, write_meta_graph=False)
        self._saved_step = step
        # All of them are told, whatever the first one answers.
        answers = [bool(listener.after_save(session, step)) for listener in self._listeners]
        return any(answers)

    def _deleted_in_this_order(self) -> list[str]:
        # Damaged ones that are newer than the one restored go first.
        oldest_first = stored.newest_first(self._directory)[::-1]
        restored = stored.step_of(str(self._restored))
        return sorted(oldest_first, key=lambda path: (stored.step_of(path) <= restored, stored.step_of(path)))


class WholeSteps(v1.train.SessionRunHook):
    """Knows whether a step is under way; the first of the hooks, for TF-GAN's train in their `before_run`."""

    between = True

    def before_run(self, run_context: Any) -> None:
        self.between = False

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.between = True


@contextlib.contextmanager
def interrupts_wait() -> Iterator[threading.Event]:
    """Let Ctrl-C wait for the end of the step; a second one does not wait.

    Yields:
        The event that is set by Ctrl-C.
    """
    asked = threading.Event()
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield asked
        return

    def wait(*_: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        asked.set()

    signal.signal(signal.SIGINT, wait)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Rate(v1.train.SessionRunHook):
    """Not TensorFlow's own, which warns of steps that it read too early."""

    def __init__(self, every: int, writer: Any) -> None:
        self._every, self._writer = every, writer

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._steps, self._since = 0, time.perf_counter()
        self._first = int(session.run(v1.train.get_global_step()))

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self._steps += 1
        if self._steps % self._every:
            return
        now = time.perf_counter()
        rate, self._since = self._every / (now - self._since), now
        tf.get_logger().info("Step %d: %.4g steps per second", self._first + self._steps, rate)
        summary = v1.Summary(value=[v1.Summary.Value(tag="global_step/sec", simple_value=rate)])
        with stored.writing(self._writer.get_logdir()):
            self._writer.add_summary(summary, self._first + self._steps)


class _Summaries(v1.train.SummarySaverHook):
    def after_run(self, run_context: Any, run_values: Any) -> None:
        for summary in run_values.results.get("summary", ()):
            values = v1.Summary.FromString(summary).value
            numbers = [f"{value.tag} {value.simple_value:.6g}" for value in values if value.HasField("simple_value")]
            tf.get_logger().info("Step %d: %s", run_values.results["global_step"] + 1, ", ".join(numbers))
        with stored.writing(self._summary_writer.get_logdir()):
            super().after_run(run_context, run_values)

    def end(self, session: Any = None) -> None:
        """Leave it to `event_file` to flush, after the last checkpoint is saved: it may fail."""


def reports(config: Any, writer: Any, scaffold: Any) -> list[Any]:
    """Return hooks that write and log summaries and the steps per second.

    Args:
        config: a RunConfig.
        writer: a `tf.compat.v1.summary.FileWriter`.
        scaffold: its merged summaries, evaluated in the run of `train_op`. In TF-GAN, whose hooks train in runs of
            their own, those that depend on the input take a further batch from it.
    """
    hooks: list[Any] = []
    if config.log_step_count_steps:
        hooks.append(_Rate(config.log_step_count_steps, writer))
    if config.save_summary_steps:
        hooks.append(_Summaries(save_steps=config.save_summary_steps, summary_writer=writer, scaffold=scaffold))
    return hooks


@contextlib.contextmanager
def event_file(directory: str) -> Iterator[Any]:
    """A file of summaries, closed at the end; its errors are CheckpointErrors."""
    with stored.writing(directory):
        writer = v1.summary.FileWriter(directory)
    try:
        yield writer
    except BaseException:
        # The first error is the one to report.
        with contextlib.suppress(Exception):
            writer.close()
        raise
    with stored.writing(directory):
        writer.close()
