"""What depends on the process: the Keras backend, and what TensorFlow prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from tf_ganmex._backend import keras

ROOT = Path(__file__).parents[2]
FIRST_USE = """
import tf_ganmex as gx
try:
    gx.load_classifier
except gx.errors.BackendError as error:
    assert isinstance(error, ImportError)
    print(error)
"""


def python(code, *arguments, **environment):
    """Runs code in another process."""
    variables = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    variables |= {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "0"} | environment
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result


@pytest.mark.parametrize("backend", ["jax", "torch", "no such backend"])
def test_another_keras_backend_is_refused(backend):
    result = python(FIRST_USE, KERAS_BACKEND=backend)
    assert f"Received: KERAS_BACKEND={backend!r}. Set KERAS_BACKEND=tensorflow" in result.stdout
    assert "tensorflow" not in result.stderr, "TensorFlow was imported first"


MANY = """
import sys
import numpy as np, tensorflow as tf
from tf_ganmex._backend import keras
import tf_ganmex as gx

folder = sys.argv[1]
x = np.zeros((3, 8, 8, 1), np.float32)
kernel = tf.ones((64, 3))

def asked(clf):
    for count in (1, 2, 3):
        clf.logits(x[:count]), clf.probabilities(x[:count]), clf.score_delta(x[:count], 0, 1)
    gx.attributions.gradient(clf, x, 0, 1)

print("START", file=sys.stderr)
for units in range(2, 12):
    body = [keras.layers.Flatten(), keras.layers.Dense(units, activation="softmax")]
    asked(gx.load_classifier(keras.Sequential([keras.Input((8, 8, 1)), *body])))
for _ in range(6):
    asked(gx.load_classifier(lambda x: tf.reshape(x, (-1, 64)) @ kernel))
    asked(gx.load_classifier(folder + "/model.keras"))
    asked(gx.load_classifier(folder + "/exported"))
    asked(gx.load_classifier(folder + "/fixed"))
    asked(gx.load_classifier(folder + "/v1"))
print("END", file=sys.stderr)
try:
    gx.load_classifier(folder + "/python", trusted=True)
except gx.errors.ModelError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A process that loads many classifiers in a row, and one whose Python function it does not have."""
    folder = tmp_path_factory.mktemp("models")
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.save(folder / "model.keras")
    model.export(folder / "exported", verbose=False)

    def in_python(x):
        return tf.ensure_shape(tf.py_function(lambda x: x[:, 0, :3, 0], [x], tf.float32), (None, 3))

    for name, function, batch in (("fixed", lambda x: x[:, 0, :3, 0], 4), ("python", in_python, None)):
        module = tf.Module()
        module.function = tf.function(function, input_signature=[tf.TensorSpec((batch, 8, 8, 1))])
        tf.saved_model.save(module, str(folder / name), {"serving_default": module.function})
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (None, 8, 8, 1))
        z = tf.reshape(x, (-1, 64)) @ v1.get_variable("kernel", (64, 3), use_resource=False)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder / "v1"), {"x": x}, {"z": z})
    return python(MANY, folder)


def test_many_classifiers_in_a_row_print_no_warning(many):
    """No retracing, no deprecations, no collections that cannot be serialized."""
    printed = many.stderr.partition("START\n")[2].partition("END\n")[0]
    assert "END\n" in many.stderr
    assert not [line for line in printed.splitlines() if "warning" in line.lower() or line.startswith("W")], printed


def test_a_python_function_of_another_process_is_a_clear_error(many):
    assert many.stdout.startswith("ModelError Expected a model that runs on images of shape (8, 8, 1)."), many.stderr
    assert "pyfunc_" in many.stdout
