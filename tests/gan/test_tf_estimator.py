"""The small Estimator trains, evaluates, predicts and exports as tf.estimator did."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from estimator_cases import Count, Raise, X, Y, batches, linear, make, patched, saved, serving, weights

from tf_ganmex.errors import CheckpointError, DatasetError, ModelError, OptionError
from tf_ganmex.gan.tfgan.spec import EstimatorSpec, ModeKeys, PredictOutput, ServingInputReceiver

v1 = tf.compat.v1


def test_training_equals_gradient_descent_by_hand(tmp_path):
    estimator = make(tmp_path, save_checkpoints_steps=1, keep_checkpoint_max=None)
    assert estimator.train(batches, steps=4) is estimator
    assert saved(tmp_path) == [0, 1, 2, 3, 4]
    start = tf.train.load_checkpoint(str(tmp_path / "model.ckpt-0"))
    w, b = start.get_tensor("linear/w"), start.get_tensor("linear/b")
    for step in range(4):
        rows = slice(8 * (step % 3), 8 * (step % 3) + 8)
        error = X[rows] @ w + b - Y[rows]
        w, b = w - 0.1 * 2 * X[rows].T @ error / 8, b - 0.1 * 2 * error.mean(0)
    np.testing.assert_allclose(weights(estimator), [*w[:, 0], *b], rtol=1e-5)


def test_steps_are_further_steps_and_max_steps_is_where_to_stop(tmp_path):
    estimator = make(tmp_path)
    estimator.train(batches, steps=3)
    estimator.train(batches, steps=2)
    assert estimator.get_variable_value("global_step") == 5
    estimator.train(batches, max_steps=7)
    assert estimator.get_variable_value("global_step") == 7
    never = Count()
    estimator.train(batches, hooks=[never], max_steps=7)
    assert estimator.get_variable_value("global_step") == 7
    assert never.calls == []


def test_without_steps_it_trains_until_the_input_ends(tmp_path):
    estimator = make(tmp_path)
    estimator.train(lambda: batches(ModeKeys.EVAL))
    assert estimator.get_variable_value("global_step") == 3


def test_tensors_are_input_as_well_as_datasets(tmp_path):
    estimator = make(tmp_path)
    estimator.train(lambda: (tf.constant(X), tf.constant(Y)), steps=60)
    assert estimator.evaluate(lambda: (tf.constant(X), tf.constant(Y)), steps=1)["mae"] < 0.02


def test_input_functions_and_model_functions_get_what_they_name(tmp_path):
    seen = {}

    def input_fn(params, config):
        seen["input"] = (params, config.tf_random_seed)
        return batches(ModeKeys.TRAIN)

    def model_fn(features, labels, mode, config):
        seen["model"] = (mode, config.model_dir, patched())
        return linear(features, labels, mode, {})

    make(tmp_path, model_fn=model_fn, params={"a": 1}, tf_random_seed=7).train(input_fn, steps=1)
    assert seen == {"input": ({"a": 1}, 7), "model": ("train", str(tmp_path), (True, True, True))}


def test_same_seed_same_result_another_seed_another(tmp_path):
    def trained(name, seed):
        estimator = make(tmp_path / name, params={"noise": 1.0}, tf_random_seed=seed)
        return weights(estimator.train(batches, steps=3))

    np.testing.assert_array_equal(trained("a", 3), trained("b", 3))
    assert np.abs(trained("c", 4) - trained("a2", 3)).max() > 1e-3


def test_a_resumed_training_is_the_same_and_draws_further_numbers(tmp_path):
    one = make(tmp_path / "one", params={"noise": 1.0})
    one.train(batches, max_steps=3).train(batches, max_steps=6)
    make(tmp_path / "two", params={"noise": 1.0}).train(batches, max_steps=3)
    two = make(tmp_path / "two", params={"noise": 1.0}).train(batches, max_steps=6)
    np.testing.assert_array_equal(weights(one), weights(two))

    drawn = []

    def noise(features, labels, mode):
        value = v1.get_local_variable("noise", (), initializer=v1.zeros_initializer())
        hook = Raise(1, lambda: None)
        hook.end = lambda session: drawn.append(float(session.run(value)))
        with tf.control_dependencies([value.assign(tf.random.uniform(()))]):
            step = v1.train.get_global_step().assign_add(1)
        return EstimatorSpec(mode, loss=tf.zeros(()), train_op=step, training_hooks=[hook])

    estimator = make(tmp_path / "noise", model_fn=noise)
    estimator.train(batches, steps=1).train(batches, steps=1)
    assert drawn[0] != drawn[1], "a resumed training drew the random numbers of the first one again"


def test_several_estimators_and_eager_code_live_in_one_process(tmp_path):
    one, two = make(tmp_path / "1"), make(tmp_path / "2", params={"noise": 1.0})
    one.train(batches, steps=1)
    two.train(batches, steps=2)
    assert float(tf.constant(2.0) * 2.0) == 4.0
    assert (one.get_variable_value("global_step"), two.get_variable_value("global_step")) == (1, 2)


@pytest.mark.parametrize("arguments", [{"steps": 1, "max_steps": 1}, {"steps": 0}, {"max_steps": -1}, {"steps": 1.5}])
def test_steps_out_of_range_are_refused(tmp_path, arguments):
    with pytest.raises(OptionError, match="steps"):
        make(tmp_path).train(batches, **arguments)


def test_an_empty_input_is_an_error_not_the_end_of_training(tmp_path):
    estimator = make(tmp_path)
    with pytest.raises(DatasetError, match="input_fn"):
        estimator.train(lambda: batches(ModeKeys.TRAIN).take(0), steps=3)
    estimator.train(batches, steps=1)
    with pytest.raises(DatasetError, match="input_fn"):
        estimator.evaluate(lambda: batches(ModeKeys.EVAL).take(0))


def test_evaluation_averages_over_the_input_and_restores_the_checkpoint_asked_for(tmp_path):
    estimator = make(tmp_path, save_checkpoints_steps=1).train(batches, steps=3)
    w, b = estimator.get_variable_value("linear/w"), estimator.get_variable_value("linear/b")
    result = estimator.evaluate(batches)
    error = X @ w + b - Y
    assert result.keys() == {"loss", "mae", "global_step"}
    np.testing.assert_allclose([result["loss"], result["mae"]], [np.mean(error**2), np.mean(np.abs(error))], rtol=1e-5)
    assert result["global_step"] == 3
    first = estimator.evaluate(batches, steps=1)
    np.testing.assert_allclose(first["mae"], np.mean(np.abs(error[:8])), rtol=1e-5)
    before = estimator.evaluate(batches, checkpoint_path=str(tmp_path / "model.ckpt-1"))
    assert before["global_step"] == 1
    assert before["loss"] > result["loss"]


def test_predictions_come_one_by_one_or_by_the_batch(tmp_path):
    estimator = make(tmp_path).train(batches, steps=3)
    expected = X @ estimator.get_variable_value("linear/w") + estimator.get_variable_value("linear/b")
    single = list(estimator.predict(lambda: batches("infer")))
    assert [set(example) for example in single] == [{"x", "y"}] * 24
    np.testing.assert_allclose([example["y"] for example in single], expected, rtol=1e-5)
    whole = list(estimator.predict(lambda: batches("infer"), yield_single_examples=False, predict_keys="y"))
    assert [batch.keys() for batch in whole] == [{"y"}] * 3
    np.testing.assert_allclose(np.concatenate([batch["y"] for batch in whole]), expected, rtol=1e-5)
    with pytest.raises(OptionError, match="predict_keys"):
        estimator.predict(lambda: batches("infer"), predict_keys=["z"])


def test_between_two_predictions_eager_code_runs_and_the_rest_may_be_left(tmp_path):
    estimator = make(tmp_path).train(batches, steps=1)
    examples = estimator.predict(lambda: batches("infer"))
    graph = v1.get_default_graph()
    for _ in range(2):
        next(examples)
        assert tf.executing_eagerly()
        assert v1.get_default_graph() is graph
        assert patched() == (False, False, False)
    examples.close()
    assert list(examples) == []


def test_the_export_predicts_the_same_and_keeps_the_names(tmp_path):
    estimator = make(tmp_path / "model").train(batches, steps=3)
    extra = tmp_path / "classes.txt"
    extra.write_text("a b")
    path = estimator.export_saved_model(tmp_path / "export", serving, assets_extra={"sub/classes.txt": str(extra)})
    again = estimator.export_saved_model(tmp_path / "export", serving)
    assert path != again
    assert sorted(os.listdir(tmp_path / "export")) == sorted(os.path.basename(p) for p in (path, again))
    assert (Path(path) / "assets.extra" / "sub" / "classes.txt").read_text() == "a b"
    loaded = tf.saved_model.load(path)
    outputs = loaded.signatures["serving_default"](x=tf.constant(X))
    assert outputs.keys() == {"x", "y"}
    np.testing.assert_allclose(
        outputs["y"], [example["y"] for example in estimator.predict(lambda: batches("infer"))], rtol=1e-5
    )
    names = {name for name, _ in tf.train.list_variables(path + "/variables/variables")}
    assert names == {"linear/w", "linear/b"}


def test_a_model_may_name_its_export_outputs(tmp_path):
    def model_fn(features, labels, mode):
        made = linear(features, labels, mode, {})
        return made._replace(export_outputs={"line": PredictOutput(made.predictions["y"])}) if mode == "infer" else made

    estimator = make(tmp_path / "model", model_fn=model_fn).train(batches, steps=1)
    loaded = tf.saved_model.load(estimator.export_saved_model(tmp_path / "export", serving))
    assert loaded.signatures["serving_default"](x=tf.constant(X)).keys() == {"output"}


def test_an_export_that_fails_leaves_nothing_behind(tmp_path):
    estimator = make(tmp_path / "model").train(batches, steps=1)
    with pytest.raises(CheckpointError, match="export"):
        estimator.export_saved_model(tmp_path / "export", serving, assets_extra={"a": str(tmp_path / "missing")})
    assert os.listdir(tmp_path / "export") == []
    with pytest.raises(ModelError, match="receiver_tensors"):
        estimator.export_saved_model(tmp_path / "export", lambda: ServingInputReceiver(serving().features, {"x": 1}))
