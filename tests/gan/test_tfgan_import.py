"""TF-GAN is imported late, in a scope that leaves nothing behind."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest
import tensorflow as tf

from tf_ganmex.gan.tfgan import import_tfgan, import_tfgan_module, stand_ins, tf1_scope
from tf_ganmex.gan.tfgan.estimator import MODULE, Estimator

# Taken before anybody imports it by its name, as a module of a user's may: it is another wrapper then.
EARLY = tf.compat.v1


def places():
    import tensorflow.compat.v1 as v1

    return [tf, tf.compat.v1, v1, v1._tfmw_wrapped_module, EARLY]


def test_a_fresh_process_imports_it_once_and_finds_tensorflow_as_it_was():
    script = """
        import os, sys, threading
        environment = dict(os.environ)
        import tf_ganmex.gan, tf_ganmex.gan.tfgan, tf_ganmex.gan.tfgan.estimator
        import tensorflow as tf
        early = tf.compat.v1
        import tensorflow.compat.v1 as v1
        import inspect
        from tf_ganmex.gan.tfgan import import_tfgan

        def as_it_was():
            for place in (tf, tf.compat.v1, v1, early):
                assert not hasattr(place, "estimator"), place
                assert "estimator" not in dir(place)
            assert "tensorflow.estimator" not in sys.modules
            assert not hasattr(inspect, "getargspec")

        assert not {"tensorflow_gan", "tf_keras"} & sys.modules.keys(), "the package imports neither"
        as_it_was()
        found = []
        threads = [threading.Thread(target=lambda: found.append(import_tfgan())) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert len(found) == 4 and len(set(map(id, found))) == 1
        assert found[0].losses.wargs.wasserstein_generator_loss and found[0].estimator.StarGANEstimator
        as_it_was()
        from tf_ganmex.gan.tfgan import tf1_scope
        with tf1_scope():
            assert early.estimator and early.layers.dense and tf.compat.v1.estimator
        as_it_was()
        # TensorFlow itself sets variables of its own.
        changed = {k for k in os.environ.keys() | environment.keys() if os.environ.get(k) != environment.get(k)}
        assert "TF_USE_LEGACY_KERAS" not in changed
        print("fine")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout.strip() == "fine", done.stderr[-2000:]


def test_repeated_import_is_the_same_module():
    assert import_tfgan() is import_tfgan()


def test_stand_ins_nest_and_go_away_even_after_they_were_read():
    outer, inner = types.ModuleType("outer"), types.ModuleType("inner")
    with stand_ins(estimator=outer):
        assert all(place.estimator is outer for place in places())
        with stand_ins(estimator=inner):
            assert all(place.estimator is inner for place in places())
            assert sys.modules["tensorflow.estimator"] is inner
        assert all(place.estimator is outer for place in places())
    assert not any(hasattr(place, "estimator") for place in places())
    assert "tensorflow.estimator" not in sys.modules


def test_stand_ins_go_away_after_an_error():
    with pytest.raises(RuntimeError, match="inside"), stand_ins(estimator=types.ModuleType("e")):
        raise RuntimeError("inside")
    assert not any(hasattr(place, "estimator") for place in places())


def test_a_module_that_was_there_comes_back():
    before = tf.compat.v1.losses
    with stand_ins(losses=types.ModuleType("other")):
        assert tf.compat.v1.losses is not before
    assert tf.compat.v1.losses is before


def tf1_names():
    """What the scope gives, wherever it is."""
    return [
        *(place.__dict__.get(name) for place in places() for name in ("estimator", "layers")),
        *(sys.modules.get(f"tensorflow.{name}") for name in ("estimator", "layers")),
        getattr(inspect, "getargspec", None),
    ]


def test_the_scope_gives_what_tfgan_needs_and_takes_it_away():
    before = tf1_names()
    with tf1_scope():
        assert all(place.estimator is MODULE for place in places())
        assert all(callable(place.layers.conv2d) for place in places())
        with tf1_scope():
            assert inspect.getargspec(lambda a, b=1, *c, **d: 0) == (["a", "b"], "c", "d", (1,))
        assert callable(inspect.getargspec)
        with pytest.raises(AttributeError, match="conv9d"):
            _ = tf.compat.v1.layers.conv9d
    assert tf1_names() == before
    with pytest.raises(RuntimeError, match="inside"), tf1_scope():
        raise RuntimeError("inside")
    assert tf1_names() == before


def test_a_getargspec_that_is_there_is_left_alone(monkeypatch):
    def given(function):
        return "given"

    monkeypatch.setattr(inspect, "getargspec", given, raising=False)
    with tf1_scope():
        assert inspect.getargspec is given
    assert inspect.getargspec is given


def test_without_tf_keras_the_layers_are_left_alone(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    before = EARLY.__dict__.get("layers")
    with tf1_scope():
        assert EARLY.__dict__.get("layers") is before
        assert EARLY.estimator is MODULE


def test_the_layers_start_from_the_graphs_seed_and_share_their_weights_by_name():
    def kernels(seed):
        v1 = tf.compat.v1
        with tf.Graph().as_default(), tf1_scope(), v1.Session() as session:
            v1.set_random_seed(seed)
            for _ in range(2):
                with v1.variable_scope("net", reuse=v1.AUTO_REUSE):
                    net = v1.layers.conv2d(tf.zeros((1, 8, 8, 3)), 4, 3, name="conv", padding="VALID")
                    net = v1.layers.max_pooling2d(v1.layers.conv2d_transpose(net, 5, 4, name="deconv"), 2, 2)
                    v1.layers.dense(v1.layers.dropout(v1.layers.flatten(net)), 2, name="dense")
            session.run(v1.global_variables_initializer())
            return {v.op.name: session.run(v) for v in v1.trainable_variables()}

    first, again, other = kernels(1), kernels(1), kernels(2)
    assert first.keys() == {
        f"net/{layer}/{part}" for layer in ("conv", "deconv", "dense") for part in ("kernel", "bias")
    }
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
    limit = np.sqrt(6 / (3 * 3 * (3 + 4)))  # Glorot's
    assert 0.8 * limit < np.abs(first["net/conv/kernel"]).max() <= limit
    assert np.abs(first["net/conv/kernel"] - other["net/conv/kernel"]).max() > 0.01


def test_tfgans_estimators_derive_from_the_small_one_and_its_examples_can_be_imported():
    assert issubclass(import_tfgan().estimator.StarGANEstimator, Estimator)
    assert issubclass(import_tfgan().estimator.GANEstimator, Estimator)
    assert import_tfgan_module("examples.stargan.network") is import_tfgan_module("examples.stargan.network")
    with pytest.raises(ModuleNotFoundError, match="missing"):
        import_tfgan_module("examples.missing")
