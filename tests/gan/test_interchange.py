"""Checkpoints of TF-GAN's estimator, of the published code and of the Keras trainer, each read by the others."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tf_ganmex as gx
from tf_ganmex.cli.main import main
from tf_ganmex.errors import CheckpointError
from tf_ganmex.gan import GANMEX, Checkpoints
from tf_ganmex.gan.estimator import write_tfgan
from tf_ganmex.gan.tfgan import import_tfgan_module, tf1_scope

v1 = tf.compat.v1
SHAPE, CLASSES = (28, 28, 1), 4


@pytest.fixture(scope="module")
def clf():
    weights = tf.constant(np.random.default_rng(0).normal(size=(784, CLASSES)), tf.float32)
    return gx.load_classifier(lambda x: tf.reshape(x, [-1, 784]) @ weights, input_shape=SHAPE, output="logits")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A TensorFlow 1 checkpoint by the published names, from TF-GAN's own networks, and what they make of images.

    The published trunk has its own scope and, for 28×28 images, three convolutions; a frozen Keras classifier and
    Adam's moments lie beside them.
    """
    network = import_tfgan_module("examples.stargan.network")
    layers = import_tfgan_module("examples.stargan.layers")
    prefix = str(tmp_path_factory.mktemp("published") / "model.ckpt-50000")
    rng = np.random.default_rng(1)
    x = rng.random((3, *SHAPE)).astype(np.float32)
    target = np.array([0, 3, 1])
    with tf.Graph().as_default(), v1.Session() as session, tf1_scope():
        image = tf.constant(2 * x - 1)
        with v1.variable_scope("Generator"):
            made = network.generator(image, tf.one_hot(target, CLASSES))
        with v1.variable_scope("Discriminator"), v1.variable_scope("discriminator"):
            hidden = layers.discriminator_input_hidden(image, hidden_layer=4)
            score = tf.reduce_mean(layers.discriminator_output_source(hidden), axis=[1, 2, 3])
        v1.get_variable("Discriminator/custom_discriminator/conv2d/kernel", (6, 6, 1, 32))
        v1.get_variable("Generator/generator/generator_up_sample/conv_0/kernel/Adam", (7, 7, 64, 1))
        v1.get_variable("beta1_power", ())
        v1.train.get_or_create_global_step()
        session.run(v1.global_variables_initializer())
        for variable in v1.trainable_variables():
            value = session.run(variable)
            variable.load(value + rng.normal(0, 0.05, value.shape).astype(np.float32), session)
        session.run(v1.train.get_global_step().assign(50000))
        names = {
            variable.op.name.replace("discriminator_input_hidden/", "discriminator_input_hidden_source/"): variable
            for variable in v1.global_variables()
        }
        v1.train.Saver(names).save(session, prefix)
        images, scores = session.run((made, score))
        inputs = v1.saved_model.build_tensor_info(image)
        outputs = v1.saved_model.build_tensor_info(made)
        export = tmp_path_factory.mktemp("export") / "1590000000"
        builder = v1.saved_model.Builder(str(export))
        signature = v1.saved_model.build_signature_def({"image": inputs}, {"output": outputs})
        builder.add_meta_graph_and_variables(
            session,
            [v1.saved_model.tag_constants.SERVING],
            {"serving_default": signature},
            saver=v1.train.Saver(v1.global_variables("Generator")),
        )
        builder.save()
    return {"prefix": prefix, "export": export, "x": x, "target": target, "images": (images + 1) / 2, "scores": scores}


@pytest.mark.parametrize("named", ["prefix", "index file", "directory", "moved directory", "here"])
def test_a_published_checkpoint_generates_the_same_images(published, clf, named, tmp_path, monkeypatch):
    prefix = published["prefix"]
    path = {
        "prefix": prefix,
        "index file": f"{prefix}.index",
        "directory": prefix.rsplit("/", 1)[0],
        "moved directory": tmp_path,
        "here": ".",
    }[named]
    if named == "here":
        monkeypatch.chdir(prefix.rsplit("/", 1)[0])
    if named == "moved directory":
        for suffix in (".index", ".data-00000-of-00001"):
            data = tf.io.gfile.GFile(prefix + suffix, "rb").read()
            (tmp_path / f"model.ckpt-50000{suffix}").write_bytes(data)
    gan = gx.load_ganmex(path, clf)
    assert (gan.options.filters, gan.options.blocks, gan.options.discriminator_filters) == (64, 6, 64)
    assert gan.options.class_discriminator == "classifier"
    assert int(gan.step) == 50000
    np.testing.assert_allclose(gan.generate(published["x"], published["target"]), published["images"], atol=1e-5)
    scores = gan.discriminator(2 * published["x"] - 1).numpy()
    np.testing.assert_allclose(scores, published["scores"], rtol=1e-5, atol=1e-6)


def test_an_export_has_a_generator_and_no_discriminator(published, clf):
    gan = gx.load_ganmex(published["export"], clf)
    assert gan.has_new_discriminator
    np.testing.assert_allclose(gan.generate(published["x"], published["target"]), published["images"], atol=1e-5)


def test_the_classifier_is_needed_and_must_fit(published):
    with pytest.raises(CheckpointError, match=r"Expected the classifier.*classifier="):
        gx.load_ganmex(published["prefix"])
    other = gx.load_classifier(lambda x: tf.zeros((tf.shape(x)[0], 7)), input_shape=SHAPE, output="logits")
    with pytest.raises(CheckpointError, match=r"1 channels and 7 classes.*1 channels and 4 classes"):
        gx.load_ganmex(published["prefix"], other)


def test_damaged_and_foreign_checkpoints_are_refused(published, clf, tmp_path):
    prefix = published["prefix"]
    for suffix in (".index", ".data-00000-of-00001"):
        (tmp_path / f"model.ckpt-1{suffix}").write_bytes(tf.io.gfile.GFile(prefix + suffix, "rb").read()[:20000])
    with pytest.raises(CheckpointError, match=r"readable checkpoint.*model.ckpt-1"):
        gx.load_ganmex(tmp_path / "model.ckpt-1", clf)
    tf.train.Checkpoint(v=tf.Variable(1.0)).write(str(tmp_path / "other"))
    with pytest.raises(CheckpointError, match=r"TF-GAN's StarGAN"):
        gx.load_ganmex(tmp_path / "other", clf)


VARIANTS = {
    "published": {},
    "stand-alone": {"class_discriminator": "joint", "discriminator_filters": 3},
    "no down-sampling": {"down_sampling": False, "filters": 8},
    "resize and convolve": {"up_sampling": "resize"},
    "one convolution more": {"discriminator_smallest_side": 2},
    "last norm used": {"last_down_norm": True},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_written_as_tfgan_and_read_again(clf, name, tmp_path):
    gan = GANMEX(clf, **({"filters": 4, "blocks": 2} | VARIANTS[name]))
    for variable in gan.trainable_variables:
        variable.assign(variable + np.random.default_rng(2).normal(0, 0.1, variable.shape))
    gan.step.assign(7)
    prefix = write_tfgan(gan, tmp_path / "run" / "model.ckpt-7")
    again = gx.load_ganmex(tmp_path / "run", clf)
    for option in ("filters", "blocks", "down_sampling", "up_sampling", "last_down_norm", "class_discriminator",
                   "discriminator_filters"):  # fmt: skip
        assert getattr(again.options, option) == getattr(gan.options, option)
    for one, two in zip(gan.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    names = {name for name, _ in tf.train.list_variables(prefix)}
    unused = "Generator/generator/generator_down_sample/InstanceNorm_2/gamma"
    assert (unused in names) == (name != "no down-sampling")
    if name == "published":
        assert tf.train.load_checkpoint(prefix).get_tensor(unused).shape == (2 * gan.options.filters,), (
            "as TF-GAN has it"
        )
    assert "global_step" in names


def test_a_checkpoint_of_training_goes_to_tfgan_and_back(clf, tmp_path):
    gan = GANMEX(clf, filters=4, blocks=1)
    gan.compile()
    callback = Checkpoints(tmp_path / "keras")
    callback.set_model(gan)
    callback.on_train_begin()
    gan.step.assign(3)
    callback.on_train_end()
    restored = GANMEX(clf, filters=4, blocks=1, seed=1)
    Checkpoints(tmp_path / "keras").restore(restored)
    again = gx.load_ganmex(write_tfgan(restored, tmp_path / "tfgan" / "model.ckpt-3"), clf)
    x = np.random.default_rng(0).random((2, *SHAPE)).astype(np.float32)
    np.testing.assert_allclose(again.generate(x, 2), gan.generate(x, 2), atol=1e-6)


def test_ganmex_convert_there_and_back(published, tmp_path, capsys):
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(CLASSES)])
    model.save(tmp_path / "model.keras")
    source, out = published["prefix"], tmp_path / "ganmex"
    classifier = ["--model", str(tmp_path / "model.keras"), "--output", "logits"]
    assert main(["convert", source, *classifier, "--out", str(out)]) == 0
    images = gx.load_ganmex(out).generate(published["x"], published["target"])
    np.testing.assert_allclose(images, published["images"], atol=1e-5)
    assert main(["convert", str(out), "--to", "tfgan", "--out", str(tmp_path / "back" / "model.ckpt-50000")]) == 0
    back = tf.train.load_checkpoint(str(tmp_path / "back"))
    theirs = tf.train.load_checkpoint(source)
    for name in back.get_variable_to_shape_map():
        assert back.get_tensor(name).shape == theirs.get_tensor(name).shape
        if "InstanceNorm_2" not in name:
            np.testing.assert_array_equal(back.get_tensor(name), theirs.get_tensor(name), err_msg=name)
    capsys.readouterr()
    assert main(["convert", source, "--out", str(out)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("ganmex convert: error: Expected the classifier")
