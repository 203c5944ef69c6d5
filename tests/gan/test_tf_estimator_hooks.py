"""Hooks and summaries of the small Estimator, what it refuses, and that nothing is left patched."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from estimator_cases import Count, Raise, X, Y, batches, linear, linear_with, make, patched, saved

from tf_ganmex.errors import DatasetError, ModelError, OptionError
from tf_ganmex.gan.tfgan.estimator import MODULE, Estimator
from tf_ganmex.gan.tfgan.spec import EstimatorSpec, ModeKeys, RunConfig

v1 = tf.compat.v1


def test_hooks_are_called_around_every_step(tmp_path):
    of_model, of_caller = Count(), Count()
    make(tmp_path, model_fn=linear_with(of_model)).train(batches, hooks=[of_caller], steps=3)
    assert of_model.calls == of_caller.calls == ["begin", "run", "run", "run", "end"]


@pytest.mark.parametrize("mode", ["evaluate", "predict"])
def test_hooks_of_evaluation_and_prediction_are_called(tmp_path, mode):
    make(tmp_path).train(batches, steps=1)
    of_model, of_caller = Count(), Count()
    estimator = make(tmp_path, model_fn=linear_with(of_model))
    result = getattr(estimator, mode)(lambda: batches(mode), hooks=[of_caller])
    if mode == "predict":
        list(result)
    assert of_model.calls == of_caller.calls == ["begin", "run", "run", "run", "end"]


def test_what_a_hook_raises_keeps_the_step_from_being_saved(tmp_path):
    def diverged():
        raise ArithmeticError("nan")

    with pytest.raises(ArithmeticError, match="nan"):
        make(tmp_path, save_checkpoints_steps=1).train(batches, hooks=[Raise(3, diverged)], steps=9)
    assert saved(tmp_path) == [0, 1, 2]


def test_saving_listeners_are_told_and_may_stop(tmp_path):
    calls = []

    class Listener(v1.train.CheckpointSaverListener):
        def before_save(self, session, step):
            calls.append(("before", step, step in saved(tmp_path)))

        def after_save(self, session, step):
            calls.append(("after", step, step in saved(tmp_path)))
            return step == 4

    make(tmp_path, save_checkpoints_steps=2).train(batches, steps=9, saving_listeners=[Listener()])
    assert calls == [(when, step, when == "after") for step in (0, 2, 4) for when in ("before", "after")]


def scalars(directory):
    found = {}
    for path in sorted(Path(directory).glob("events.*")):
        for event in v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def test_summaries_hold_the_loss_of_the_batch_and_the_speed(tmp_path):
    estimator = make(tmp_path, save_summary_steps=2, log_step_count_steps=2)
    estimator.train(batches, steps=5)
    found = scalars(tmp_path)
    assert sorted(found["loss"]) == [1, 3, 5]
    assert sorted(found["global_step/sec"]) == [2, 4]
    start = tf.train.load_checkpoint(str(tmp_path / "model.ckpt-0"))
    assert found["loss"][1] == pytest.approx(
        np.mean((X[:8] @ start.get_tensor("linear/w") + start.get_tensor("linear/b") - Y[:8]) ** 2), rel=1e-5
    )


def test_summaries_can_be_left_out(tmp_path):
    make(tmp_path).train(batches, steps=2)
    assert scalars(tmp_path) == {}


def test_evaluation_writes_its_values_under_its_name(tmp_path):
    estimator = make(tmp_path).train(batches, steps=2)
    result = estimator.evaluate(batches, name="held_out")
    assert scalars(tmp_path / "eval_held_out") == {
        key: {2: pytest.approx(result[key], rel=1e-6)} for key in ("loss", "mae")
    }
    (tmp_path / "eval").write_text("in the way")
    with pytest.warns(UserWarning, match="eval"):
        assert estimator.evaluate(batches) == result


def test_nothing_is_left_patched_even_after_an_error(tmp_path):
    def fails(features):
        assert patched() == (True, True, True)
        raise RuntimeError("inside")

    make(tmp_path / "a").train(batches, steps=1)
    assert patched() == (False, False, False)
    with pytest.raises(RuntimeError, match="inside"):
        make(tmp_path / "b", model_fn=fails).train(lambda: tf.constant(X), steps=1)
    assert patched() == (False, False, False)
    assert tf.executing_eagerly()


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        (("other",), "mode='other'"),
        ((ModeKeys.TRAIN,), "loss=None"),
        ((ModeKeys.PREDICT,), "predictions=None"),
        ((ModeKeys.EVAL, None, [1.0, 2.0]), "scalar"),
        ((ModeKeys.EVAL, None, 1.0, None, {"a": 1.0}), "a=1.0"),
    ],
)
def test_a_spec_that_does_not_fit_its_mode_is_refused(fields, match):
    with tf.Graph().as_default(), pytest.raises(ModelError, match=match):
        EstimatorSpec(*fields)


def test_unknown_fields_and_hooks_of_another_kind_are_refused():
    with pytest.raises(ModelError, match="lose"):
        EstimatorSpec("eval", lose=1.0)
    with tf.Graph().as_default(), pytest.raises(ModelError, match="training_hooks"):
        EstimatorSpec("eval", loss=tf.zeros(()), training_hooks=[print])
    with tf.Graph().as_default(), pytest.raises(ModelError, match="train_op=None"):
        EstimatorSpec("train", loss=tf.zeros(()))


@pytest.mark.parametrize(
    "options",
    [
        {"train_distribute": "mirrored"},
        {"wrong": 1},
        {"save_checkpoints_steps": 1, "save_checkpoints_secs": 1},
        {"save_checkpoints_steps": 0},
        {"keep_checkpoint_max": -1},
        {"save_summary_steps": "often"},
    ],
)
def test_a_config_that_cannot_be_kept_to_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        RunConfig(**options)


def test_a_config_is_copied_with_changes():
    config = RunConfig(tf_random_seed=5, train_distribute=None)
    changed = config.replace(save_checkpoints_steps=3)
    assert (config.save_checkpoints_steps, config.save_checkpoints_secs) == (None, 600)
    assert (changed.save_checkpoints_steps, changed.save_checkpoints_secs, changed.tf_random_seed) == (3, None, 5)


def test_an_estimator_of_something_else_is_refused(tmp_path):
    with pytest.raises(OptionError, match="model_fn"):
        Estimator(lambda x: x)
    with pytest.raises(OptionError, match="config"):
        Estimator(linear, config={"model_dir": "a"})
    with pytest.raises(OptionError, match="warm_start_from"):
        Estimator(linear, warm_start_from=str(tmp_path))
    with pytest.raises(OptionError, match="model_dir"):
        Estimator(linear, "a", RunConfig(model_dir="b"))
    with pytest.raises(OptionError, match="TPU"):
        MODULE.tpu.TPUEstimator(linear)
    with pytest.raises(ModelError, match="labels"):
        make(tmp_path, model_fn=lambda features: None).train(batches, steps=1)
    with pytest.raises(ModelError, match="EstimatorSpec"):
        make(tmp_path, model_fn=lambda features, labels: None).train(batches, steps=1)
    with pytest.raises(DatasetError, match="3 parts"):
        make(tmp_path).train(lambda: (1, 2, 3), steps=1)


def test_directory_and_parameters_are_what_was_given_and_cannot_be_changed_from_outside(tmp_path):
    params = {"noise": [1]}
    estimator = Estimator(linear, None, RunConfig(model_dir=str(tmp_path)), params)
    params["noise"].append(2)
    estimator.params["noise"].append(3)
    estimator.config.model_dir = "elsewhere"
    assert (estimator.params, estimator.model_dir) == ({"noise": [1]}, str(tmp_path))
    assert os.path.isdir(Estimator(linear).model_dir)
