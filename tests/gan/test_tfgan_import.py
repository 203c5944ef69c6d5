"""TF-GAN is imported late, in a scope that leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import types

import pytest
import tensorflow as tf

from tf_ganmex.gan.tfgan import import_tfgan, stand_ins


def places():
    import tensorflow.compat.v1 as v1

    return [tf, tf.compat.v1, v1, v1._tfmw_wrapped_module]


def test_a_fresh_process_imports_it_once_and_finds_tensorflow_as_it_was():
    script = """
        import os, sys, threading
        environment = dict(os.environ)
        import tf_ganmex.gan
        assert "tensorflow_gan" not in sys.modules, "the package must not import TF-GAN"
        import tensorflow as tf
        import tensorflow.compat.v1 as v1
        from tf_ganmex.gan.tfgan import import_tfgan
        found = []
        threads = [threading.Thread(target=lambda: found.append(import_tfgan())) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert len(found) == 4 and len(set(map(id, found))) == 1
        assert found[0].losses.wargs.wasserstein_generator_loss and found[0].estimator.StarGANEstimator
        for place in (tf, tf.compat.v1, v1):
            assert not hasattr(place, "estimator"), place
            assert "estimator" not in dir(place)
        assert "tensorflow.estimator" not in sys.modules
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
