"""Checkpoints of the small Estimator: which are kept and used, what fails, and what an interruption saves."""

from __future__ import annotations

import os
import re
import signal
import warnings

import numpy as np
import pytest
import tensorflow as tf
from estimator_cases import Count, Raise, batches, damage, interrupted, largest_file, make, saved, serving, weights

from tf_ganmex.errors import CheckpointError
from tf_ganmex.gan.tfgan.spec import EstimatorSpec

v1 = tf.compat.v1


def test_checkpoints_are_kept_up_to_a_number_across_restarts(tmp_path):
    for last in (4, 7):
        make(tmp_path, save_checkpoints_steps=2, keep_checkpoint_max=2).train(batches, max_steps=last)
    assert saved(tmp_path) == [6, 7]
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".meta")]
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-7")


def test_checkpoints_are_saved_by_the_clock(tmp_path):
    estimator = make(tmp_path, save_checkpoints_steps=None, save_checkpoints_secs=1e-6, keep_checkpoint_max=None)
    estimator.train(batches, steps=3)
    assert saved(tmp_path) == [0, 1, 2, 3]
    neither = make(tmp_path / "neither", save_checkpoints_steps=None, save_checkpoints_secs=None)
    neither.train(batches, steps=3)
    assert saved(tmp_path / "neither") == [0, 3]


@pytest.mark.parametrize("how", ["gone", "short", "one bit", "index"])
def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path, how):
    def trained(directory):
        make(directory, save_checkpoints_steps=2).train(batches, max_steps=4)
        return make(directory, save_checkpoints_steps=2)

    good, estimator = trained(tmp_path / "good"), trained(tmp_path / "bad")
    expected = {
        step: dict(good.evaluate(batches, checkpoint_path=good.model_dir + f"/model.ckpt-{step}")) for step in (2, 4)
    }
    damage(tmp_path / "bad", 4, how)
    with pytest.warns(UserWarning, match=r"model\.ckpt-4 .*model\.ckpt-2"):
        assert estimator.latest_checkpoint() == str(tmp_path / "bad" / "model.ckpt-2")
    with pytest.warns(UserWarning, match=r"model\.ckpt-4"):
        assert estimator.evaluate(batches) == expected[2]
    # The third batch is the one that the unbroken training had.
    with pytest.warns(UserWarning, match=r"model\.ckpt-4"):
        estimator.train(lambda: batches("train").skip(2), max_steps=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert estimator.evaluate(batches) == expected[4]
    assert saved(tmp_path / "bad") == [0, 2, 4]


def test_where_none_can_be_read_all_are_named_and_kept(tmp_path):
    estimator = make(tmp_path, save_checkpoints_steps=2).train(batches, steps=2)
    for step in (0, 2):
        damage(tmp_path, step, "short")
    before = sorted(os.listdir(tmp_path))
    for call in (
        estimator.latest_checkpoint,
        lambda: estimator.train(batches, steps=1),
        lambda: estimator.evaluate(batches),
        lambda: estimator.predict(batches),
        lambda: estimator.export_saved_model(tmp_path / "export", serving),
    ):
        with pytest.raises(CheckpointError, match=r"(?s)model\.ckpt-2.*model\.ckpt-0"):
            call()
    assert sorted(os.listdir(tmp_path)) == before


def test_without_a_checkpoint_only_training_goes(tmp_path):
    estimator = make(tmp_path)
    assert estimator.latest_checkpoint() is None
    for call in (
        lambda: estimator.evaluate(batches),
        lambda: estimator.predict(batches),
        lambda: estimator.export_saved_model(tmp_path / "export", serving),
        estimator.get_variable_names,
    ):
        with pytest.raises(CheckpointError, match="holds none"):
            call()
    with pytest.raises(CheckpointError, match="checkpoint_path"):
        estimator.evaluate(batches, checkpoint_path=str(tmp_path / "model.ckpt-9"))


def test_a_checkpoint_of_another_model_is_refused_with_the_variable(tmp_path):
    make(tmp_path).train(batches, steps=1)
    with pytest.raises(CheckpointError, match=r"large.*no such variable"):
        make(tmp_path, params={"size": 3}).train(batches, steps=1)

    def four_wide(features, labels, mode):
        w = v1.get_variable("linear/w", (4, 1))
        loss = tf.reduce_mean(tf.matmul(tf.tile(features, [1, 2]), w) - labels)
        return EstimatorSpec(mode, loss=loss, train_op=v1.train.get_global_step().assign_add(1))

    with pytest.raises(CheckpointError, match=r"linear/w.*\[4, 1\].*shape \[2, 1\]"):
        make(tmp_path, model_fn=four_wide).train(batches, steps=1)
    assert saved(tmp_path) == [0, 1]


def test_what_a_killed_process_left_unfinished_is_removed(tmp_path):
    (tmp_path / "model.ckpt-5.data-00000-of-00001.tempstate123").write_bytes(b"half")
    make(tmp_path).train(batches, steps=1)
    assert not list(tmp_path.glob("*tempstate*"))


@pytest.mark.parametrize("below", [False, True])
def test_a_file_where_the_directory_should_be_is_named(tmp_path, below):
    (tmp_path / "file").write_text("precious")
    directory = tmp_path / "file" / "model" if below else tmp_path / "file"
    with pytest.raises(CheckpointError, match=re.escape(str(directory))):
        make(directory).train(batches, steps=1)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("first", [True, False])
def test_a_full_disk_is_an_error_and_keeps_what_was_there(tmp_path, first):
    # TensorFlow reports it as the end of a range, which is also how an input ends.
    estimator = make(tmp_path, params={"size": 1_000_000}, save_checkpoints_steps=2)
    if not first:
        estimator.train(batches, steps=2)
    count = Count()
    with (
        largest_file(2_000_000),
        pytest.raises(CheckpointError, match=rf"{re.escape(str(tmp_path))}.*File too large.*kept"),
    ):
        estimator.train(batches, hooks=[count], steps=9)
    assert count.calls == ["begin"] + ([] if first else ["run", "run"])
    assert saved(tmp_path) == ([] if first else [0, 2])
    assert not list(tmp_path.glob("*tempstate*"))
    estimator.train(batches, max_steps=4)
    assert saved(tmp_path)[-1] == 4


def test_summaries_that_cannot_be_written_are_an_error_but_the_last_step_is_saved(tmp_path, monkeypatch):
    def full(self):
        raise IndexError("events.out.tfevents; No space left on device")  # as TensorFlow has it

    with monkeypatch.context() as patch, pytest.raises(CheckpointError, match="No space left on device"):
        patch.setattr(v1.summary.FileWriter, "close", full)
        make(tmp_path, save_summary_steps=1).train(batches, steps=3)
    assert saved(tmp_path) == [0, 3]


def test_an_interruption_saves_the_step(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path).train(batches, hooks=[Raise(3, interrupted)], steps=9)
    assert saved(tmp_path) == [0, 3]
    make(tmp_path).train(lambda: batches("train").skip(3), max_steps=6)
    whole = make(tmp_path / "whole").train(batches, max_steps=6)
    np.testing.assert_array_equal(weights(make(tmp_path)), weights(whole))


@pytest.fixture
def ctrl_c_as_on_a_terminal():
    # A job in the background of a shell starts with it ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_as_on_a_terminal")
def test_ctrl_c_waits_for_the_end_of_the_step(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    ctrl_c = Raise(3, lambda: os.kill(os.getpid(), signal.SIGINT), before=True)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path).train(batches, hooks=[ctrl_c], steps=9)
    assert saved(tmp_path) == [0, 3]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("ctrl_c_as_on_a_terminal")
def test_a_second_ctrl_c_does_not_wait_and_half_a_step_is_not_saved(tmp_path):
    def twice():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, save_checkpoints_steps=2).train(batches, hooks=[Raise(4, twice, before=True)], steps=9)
    assert saved(tmp_path) == [0, 2]
    assert signal.getsignal(signal.SIGINT) is before
