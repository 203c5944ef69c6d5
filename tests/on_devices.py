"""Computes on another device than the first, or with XLA, and tells where operations were placed and what was found.

All is told on stderr, where TensorFlow tells of operations: those of a call stand between BEGIN and END.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

X, SAMPLES = np.split(np.random.default_rng(0).random((48, 8, 8, 1), np.float32), [8])
ORIGIN, TARGET = np.arange(8) % 4, np.arange(1, 9) % 4


def model() -> keras.Model:
    layers = keras.layers
    stack = (layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten())
    return keras.Sequential([keras.Input((8, 8, 1)), *stack, layers.Dense(4, activation="softmax")])


def maps(clf: Any) -> dict[str, Callable]:
    """Every method, called with a classifier."""
    import tf_ganmex as gx

    asked, zero, methods = (clf, X, ORIGIN, TARGET), gx.baselines.zero(), gx.attributions
    samples = gx.baselines.random_sample(SAMPLES, np.arange(40) % 4)
    return {
        "gradient": lambda: methods.gradient(*asked),
        "integrated_gradients": lambda: methods.integrated_gradients(*asked, zero, steps=8),
        "expected_gradients": lambda: methods.expected_gradients(*asked, samples, steps=8),
        "occlusion": lambda: methods.occlusion(*asked, zero),
        "deeplift": lambda: methods.deeplift(*asked, zero),
        "deepshap": lambda: methods.deepshap(*asked, zero),
    }


def placement() -> None:
    """Everything under CPU:1, and a map under CPU:0 of the classifier that was loaded and compiled under CPU:1."""
    import tf_ganmex as gx

    with tf.device("CPU:1"):
        clf = gx.load_classifier(model())
        gan = gx.GANMEX(clf, filters=4, blocks=1)
        gan.compile()
        told("probabilities", lambda: clf.probabilities(X))
        for name, explain in maps(clf).items():
            told(name, explain)
        told("curve", lambda: gx.metrics.perturbation_curve(clf, X, X, ORIGIN, TARGET))
        told("fid", lambda: gx.metrics.fid(X, 1 - X, gx.metrics.penultimate_features(clf)))
        told("nearest", lambda: gx.baselines.nearest(X, ORIGIN)(X, TARGET))
        told("generate", lambda: gan.generate(X, TARGET))
        told("fit", lambda: gan.fit(X, ORIGIN, batch_size=4, steps_per_epoch=2, verbose=0))
    held = tf.nest.flatten((clf.weight_tensors, [variable.value for variable in gan.variables]))
    print("HELD", *sorted({value.device.rpartition("device:")[2] for value in held}), file=sys.stderr)
    with tf.device("CPU:0"):
        told("elsewhere", maps(clf)["integrated_gradients"])


def told(name: str, call: Callable) -> None:
    print(f"BEGIN {name}", file=sys.stderr, flush=True)
    call()
    print("END", file=sys.stderr, flush=True)


def xla() -> None:
    """The largest difference that XLA makes to a map, as a share of its largest value."""
    import tf_ganmex as gx

    kept = model()
    plain = {name: explain() for name, explain in maps(gx.load_classifier(kept)).items() if name != "occlusion"}
    tf.config.optimizer.set_jit("autoclustering")
    compiled = maps(gx.load_classifier(kept))
    for name, expected in plain.items():
        difference = np.abs(compiled[name]() - expected).max() / np.abs(expected).max()
        print("DIFFERS", name, difference, file=sys.stderr)


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    if sys.argv[1] == "xla":
        xla()
    else:
        tf.debugging.set_log_device_placement(True)
        CPU = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(CPU, [tf.config.LogicalDeviceConfiguration()] * 2)
        tf.config.set_soft_device_placement(False)
        placement()
