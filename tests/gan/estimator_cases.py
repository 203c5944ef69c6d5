"""Model functions, input and hooks from which the tests of the small Estimator are made."""

from __future__ import annotations

import contextlib
import inspect
import re
import resource
from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_ganmex.gan.tfgan.estimator import Estimator
from tf_ganmex.gan.tfgan.spec import EstimatorSpec, ModeKeys, RunConfig, ServingInputReceiver

v1 = tf.compat.v1
X = np.random.default_rng(0).normal(size=(24, 2)).astype(np.float32)
Y = (X @ np.array([[1.0], [-2.0]]) + 0.5).astype(np.float32)


def linear(features, labels, mode, params):
    """A linear regression; in params: `noise` of the labels, `size` of a further variable, `hooks` of the spec."""
    w = v1.get_variable("linear/w", (2, 1))
    b = v1.get_variable("linear/b", (1,), initializer=v1.zeros_initializer())
    prediction = tf.matmul(features, w) + b
    if mode == ModeKeys.PREDICT:
        return EstimatorSpec(
            mode, predictions={"y": prediction, "x": features}, prediction_hooks=params.get("predict_hooks")
        )
    if params.get("size"):
        v1.get_variable("large", (params["size"],))
    loss = tf.reduce_mean(tf.square(prediction - labels + params.get("noise", 0.0) * tf.random.normal((1,))))
    return EstimatorSpec(
        mode,
        loss=loss,
        train_op=v1.train.GradientDescentOptimizer(0.1).minimize(loss, v1.train.get_global_step()),
        eval_metric_ops={"mae": v1.metrics.mean_absolute_error(labels, prediction)},
        training_hooks=params.get("hooks"),
        evaluation_hooks=params.get("hooks"),
    )


def linear_with(hook):
    def model_fn(features, labels, mode):
        return linear(features, labels, mode, {"hooks": [hook], "predict_hooks": [hook]})

    return model_fn


def batches(mode):
    """Batches of 8, in order, again and again; once where nothing is trained."""
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    return data.repeat() if mode == ModeKeys.TRAIN else data


def make(directory, *, params=None, model_fn=linear, **config):
    config = {"save_checkpoints_steps": 100, "save_summary_steps": None, "log_step_count_steps": None} | config
    return Estimator(model_fn, directory, RunConfig(**config), params)


def saved(directory):
    return sorted(int(re.search(r"\d+$", path.stem)[0]) for path in Path(directory).glob("model.ckpt-*.index"))


def damage(directory, step, how):
    path = Path(directory) / f"model.ckpt-{step}.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    elif how == "short":
        path.write_bytes(content[: len(content) // 2])
    elif how == "one bit":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif how == "index":
        (Path(directory) / f"model.ckpt-{step}.index").write_bytes(b"")


def weights(estimator):
    return np.concatenate([np.ravel(estimator.get_variable_value(name)) for name in ("linear/w", "linear/b")])


def patched():
    """What of TensorFlow 1 is in place."""
    return hasattr(tf, "estimator"), hasattr(v1, "estimator"), hasattr(inspect, "getargspec")


def serving():
    x = v1.placeholder(tf.float32, (None, 2), "x")
    return ServingInputReceiver(x, {"x": x})


class Count(v1.train.SessionRunHook):
    def __init__(self):
        self.calls = []

    def begin(self):
        self.calls.append("begin")

    def after_run(self, run_context, run_values):
        self.calls.append("run")

    def end(self, session):
        self.calls.append("end")


class Raise(v1.train.SessionRunHook):
    """Does something before or after the run of a step, counted from 1."""

    def __init__(self, step, action, *, before=False):
        self.step, self.action, self.before, self.count = step, action, before, 0

    def before_run(self, run_context):
        self.count += 1
        if self.before and self.count == self.step:
            self.action()

    def after_run(self, run_context, run_values):
        if not self.before and self.count == self.step:
            self.action()


def interrupted():
    raise KeyboardInterrupt


@contextlib.contextmanager
def largest_file(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
