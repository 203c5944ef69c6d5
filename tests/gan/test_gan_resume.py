"""Training in two parts ends bitwise where training in one part does."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tensorflow as tf
from estimator_cases import largest_file

from tf_ganmex._backend import keras
from tf_ganmex.errors import CheckpointError, OptionError, TrainingDivergedError
from tf_ganmex.gan import Checkpoints


class Interrupt(keras.callbacks.Callback):
    """Stops training as a user does, after `steps` steps."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.step) == self.steps:
            raise KeyboardInterrupt


class CopyAtEpoch(keras.callbacks.Callback):
    """Copies a directory at the beginning of an epoch: what a power cut would leave."""

    def __init__(self, epoch, source, copy):
        super().__init__()
        self.epoch, self.source, self.copy = epoch, source, copy

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            shutil.copytree(self.source, self.copy)


@pytest.fixture
def train(images, labels):
    def run(gan, steps=3, **options):
        # 8 of 20 images: epochs of the data end within a batch.
        settings = {"steps_per_epoch": steps, "verbose": 0} | options
        return gan.fit(gan.dataset(images, labels, batch_size=8, seed=5), **settings)

    return run


def checkpoint(gan, directory, step, **options):
    """Save a checkpoint as training does, without the time that training takes."""
    if not gan.compiled:
        gan.compile()
    gan.step.assign(step)
    callback = Checkpoints(directory, **options)
    callback.set_model(gan)
    callback.on_train_begin()
    callback.on_train_end()


@pytest.fixture(scope="module")
def runs():
    """One run of six steps without a break for each dtype, and what it left on the disk after three."""
    return {}


@pytest.fixture
def straight(runs, make_gan, train, weights_of, tmp_path_factory):
    def run(dtype):
        if dtype not in runs:
            folder = tmp_path_factory.mktemp(dtype)
            callbacks = [
                Checkpoints(folder / "checkpoints", every=3),
                keras.callbacks.BackupAndRestore(folder / "running", double_checkpoint=True),
                CopyAtEpoch(1, folder / "running", folder / "backup"),
                CopyAtEpoch(1, folder / "checkpoints", folder / "first half"),
            ]
            gan = make_gan(dtype=dtype)
            train(gan, 3, epochs=2, callbacks=callbacks)
            runs[dtype] = folder, weights_of(gan), moments(gan)
        return runs[dtype]

    return run


def moments(gan):
    return [v.numpy() for o in (gan.generator_optimizer, gan.discriminator_optimizer) for v in o.variables]


def files(directory):
    return sorted(path.name for path in directory.glob("ganmex-*.index"))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_checkpoints_resume_bitwise(make_gan, train, weights_of, straight, dtype):
    folder, weights, optimizers = straight(dtype)
    gan = make_gan(dtype=dtype)
    assert Checkpoints(folder / "first half").restore(gan) == 3
    train(gan, 3)
    np.testing.assert_array_equal(weights_of(gan), weights)
    for one, two in zip(moments(gan), optimizers, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_backup_and_restore_resumes_bitwise(make_gan, train, weights_of, straight, dtype):
    folder, weights, optimizers = straight(dtype)
    gan = make_gan(dtype=dtype)
    backup = keras.callbacks.BackupAndRestore(folder / "backup", double_checkpoint=True, delete_checkpoint=False)
    history = train(gan, 3, epochs=2, callbacks=[backup])
    assert history.epoch == [1]
    assert int(gan.step) == 6
    np.testing.assert_array_equal(weights_of(gan), weights)
    for one, two in zip(moments(gan), optimizers, strict=True):
        np.testing.assert_array_equal(one, two)


def test_interrupted_training_is_saved(make_gan, train, weights_of, tmp_path):
    gan = make_gan()
    gan.compile(run_eagerly=True)
    with pytest.raises(KeyboardInterrupt):
        train(gan, 6, callbacks=[Checkpoints(tmp_path, every=100), Interrupt(2)])
    second = make_gan(seed=9)
    assert Checkpoints(tmp_path).restore(second) == 2
    np.testing.assert_array_equal(weights_of(second), weights_of(gan))


def test_saved_every_so_many_steps_and_at_the_end_and_only_the_newest_kept(make_gan, train, tmp_path):
    gan = make_gan()
    gan.compile(run_eagerly=True)
    saved = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            saved.append(files(tmp_path))

    train(gan, 5, callbacks=[Checkpoints(tmp_path, every=2, keep=2), Watch()])
    assert saved == [[], ["ganmex-2.index"], ["ganmex-2.index"], *[["ganmex-2.index", "ganmex-4.index"]] * 2]
    assert files(tmp_path) == ["ganmex-4.index", "ganmex-5.index"]


def test_a_multiple_is_not_missed_when_several_steps_run_at_once(make_gan, tmp_path):
    gan = make_gan()
    gan.compile()
    callback = Checkpoints(tmp_path, every=4, keep=9)
    callback.set_model(gan)
    callback.on_train_begin()
    for step in (3, 6, 9):
        gan.step.assign(step)
        callback.on_train_batch_end(0)
    assert files(tmp_path) == ["ganmex-6.index", "ganmex-9.index"]


def test_nothing_to_restore_is_step_zero(make_gan, tmp_path):
    assert Checkpoints(tmp_path / "none").restore(make_gan()) == 0


@pytest.mark.parametrize("damage", ["truncated data", "no data", "garbage index", "flipped byte"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(make_gan, weights_of, tmp_path, damage):
    gan = make_gan()
    checkpoint(gan, tmp_path, 2)
    expected = weights_of(gan)
    for variable in gan.trainable_variables:
        variable.assign(variable + 1)
    checkpoint(gan, tmp_path, 3)
    data = tmp_path / "ganmex-3.data-00000-of-00001"
    if damage == "truncated data":
        data.write_bytes(data.read_bytes()[:1000])
    elif damage == "no data":
        data.unlink()
    elif damage == "garbage index":
        (tmp_path / "ganmex-3.index").write_bytes(b"garbage")
    else:
        content = bytearray(data.read_bytes())
        content[len(content) // 2] ^= 0x10
        data.write_bytes(content)
    second = make_gan(seed=9)
    assert Checkpoints(tmp_path).restore(second) == 2
    np.testing.assert_array_equal(weights_of(second), expected)


def test_a_damaged_list_of_checkpoints_does_not_matter(make_gan, tmp_path):
    gan = make_gan()
    for step in (9, 10):
        checkpoint(gan, tmp_path, step)
    (tmp_path / "checkpoint").write_bytes(b"\x00garbage")
    assert Checkpoints(tmp_path).restore(make_gan()) == 10


def test_all_checkpoints_damaged_is_an_error_and_leaves_the_networks(make_gan, weights_of, tmp_path):
    checkpoint(make_gan(), tmp_path, 2)
    data = tmp_path / "ganmex-2.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-100])
    gan = make_gan(seed=9)
    before = weights_of(gan)
    with pytest.raises(CheckpointError, match=r"ganmex-2: "):
        Checkpoints(tmp_path).restore(gan)
    np.testing.assert_array_equal(weights_of(gan), before)


def test_checkpoints_of_other_networks_are_refused(make_gan, tmp_path):
    checkpoint(make_gan(), tmp_path, 2)
    with pytest.raises(CheckpointError, match="same options"):
        Checkpoints(tmp_path).restore(make_gan(filters=5))
    with pytest.raises(CheckpointError, match="same options"):
        Checkpoints(tmp_path).restore(make_gan(blocks=2))
    gan = make_gan()
    gan.compile("sgd", "sgd")
    with pytest.raises(CheckpointError, match="generator_optimizer"):
        Checkpoints(tmp_path).restore(gan)


def test_forgetting_to_restore_is_warned_of(make_gan, tmp_path):
    checkpoint(make_gan(), tmp_path, 3)
    with pytest.warns(UserWarning, match=r"step 3.*restore\(gan\)"):
        checkpoint(make_gan(), tmp_path, 1)


def test_broken_weights_are_not_saved(make_gan, tmp_path):
    gan = make_gan()
    checkpoint(gan, tmp_path, 2)
    gan.generator.weights[0].assign(gan.generator.weights[0] * np.nan)
    with pytest.raises(TrainingDivergedError, match="Expected finite weights"):
        checkpoint(gan, tmp_path, 3)
    assert files(tmp_path) == ["ganmex-2.index"]


def test_a_full_disk_is_an_error_and_keeps_what_was_there(make_gan, weights_of, tmp_path):
    gan = make_gan()
    checkpoint(gan, tmp_path, 3)
    before = weights_of(gan)
    gan.trainable_variables[0].assign_add(tf.ones_like(gan.trainable_variables[0]))
    with largest_file(10_000), pytest.raises(CheckpointError, match=r"directory=.*File too large.*kept"):
        checkpoint(gan, tmp_path, 6)
    again = make_gan(seed=9)
    assert Checkpoints(tmp_path).restore(again) == 3
    np.testing.assert_array_equal(weights_of(again), before)


def test_a_directory_that_cannot_be_written(make_gan, tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(CheckpointError, match="directory="):
        checkpoint(make_gan(), tmp_path / "file", 1)


@pytest.mark.parametrize("options", [{"every": 0}, {"every": 1.5}, {"keep": 0}])
def test_options_that_cannot_be(tmp_path, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        Checkpoints(tmp_path, **options)


def test_checkpoint_holds_every_variable_that_training_reads(make_gan, tmp_path):
    gan = make_gan()
    checkpoint(gan, tmp_path, 1)
    stored = [name for name, _ in tf.train.list_variables(str(tmp_path)) if name.endswith("VARIABLE_VALUE")]
    owners = [gan.generator, gan.discriminator, gan.generator_optimizer, gan.discriminator_optimizer]
    # And the step, and TensorFlow's own counter.
    assert len(stored) == sum(len(owner.variables) for owner in owners) + 2
