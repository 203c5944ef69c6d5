"""TF-GAN's own StarGANEstimator, unmodified, trains, evaluates, predicts and exports on the small Estimator."""

from __future__ import annotations

import inspect
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tf_ganmex.gan.tfgan import import_tfgan, import_tfgan_module, tf1_scope
from tf_ganmex.gan.tfgan.estimator import Estimator
from tf_ganmex.gan.tfgan.spec import RunConfig, ServingInputReceiver

v1 = tf.compat.v1
CLASSES = 3
IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 1)).astype(np.float32)
LABELS = np.eye(CLASSES, dtype=np.float32)[[0, 1, 2, 0]]


def generator(inputs, targets):
    """TF-GAN's conditioning and padding, one convolution and one transposed one."""
    ops = import_tfgan_module("examples.stargan.ops")
    with v1.variable_scope("generator"):
        net = ops.condition_input_with_pixel_padding(inputs, targets)
        net = v1.layers.conv2d(ops.pad(net, 1), 6, 4, strides=2, use_bias=False, name="conv_0")
        net = tf.nn.relu(import_tfgan().features.instance_norm(net))
        net = v1.layers.conv2d_transpose(net, 1, 4, strides=2, padding="SAME", use_bias=False, name="deconv_0")
        return tf.tanh(net)


def discriminator(inputs, num_domains, mode):
    """A convolution, and the heads of TF-GAN's discriminator; takes the mode, for which TF-GAN asks `getargspec`."""
    assert mode in ("train", "eval")
    layers = import_tfgan_module("examples.stargan.layers")
    with v1.variable_scope("discriminator"):
        net = tf.nn.leaky_relu(v1.layers.conv2d(inputs, 4, 4, strides=2, use_bias=False, name="conv_0"))
        source = tf.reduce_mean(layers.discriminator_output_source(net), axis=[1, 2, 3])
        return source, layers.discriminator_output_class(net, num_domains)


def repeated():
    return tf.data.Dataset.from_tensors((IMAGES, LABELS)).repeat()


def once():
    return tf.data.Dataset.from_tensors((IMAGES, LABELS))


def to_predict():
    # Images and targets are the features of prediction, which has no labels.
    return tf.data.Dataset.from_tensors(((IMAGES, LABELS), np.zeros(len(IMAGES))))


def serving():
    image = v1.placeholder(tf.float32, (None, 8, 8, 1), "image")
    target = v1.placeholder(tf.float32, (None, CLASSES), "target")
    return ServingInputReceiver((image, target), {"image": image, "target": target})


def make(directory, *, config=None, **options):
    tfgan = import_tfgan()
    options = {
        "generator_fn": generator,
        "discriminator_fn": discriminator,
        "loss_fn": tfgan.stargan_loss,
        "generator_optimizer": v1.train.AdamOptimizer(1e-3, 0.5),
        "discriminator_optimizer": lambda: v1.train.AdamOptimizer(1e-3, 0.5),
    } | options
    config = {"save_checkpoints_steps": 2, "save_summary_steps": None} | (config or {})
    return tfgan.estimator.StarGANEstimator(str(directory), config=RunConfig(**config), **options)


def variables(estimator, step):
    reader = tf.train.load_checkpoint(f"{estimator.model_dir}/model.ckpt-{step}")
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return make(tmp_path_factory.mktemp("stargan")).train(repeated, steps=4)


def test_it_is_tfgans_class_over_our_estimator(trained):
    tfgan = import_tfgan()
    assert type(trained) is tfgan.estimator.StarGANEstimator
    assert type(trained).__module__ == "tensorflow_gan.python.estimator.stargan_estimator"
    assert issubclass(tfgan.estimator.StarGANEstimator, Estimator)
    assert issubclass(tfgan.RunTrainOpsHook, v1.train.SessionRunHook)


def test_training_moves_both_networks_and_saves_tfgans_names(trained):
    first, last = variables(trained, 0), variables(trained, 4)
    weights = {
        "Generator/generator/conv_0/kernel",
        "Generator/generator/InstanceNorm/beta",
        "Generator/generator/InstanceNorm/gamma",
        "Generator/generator/deconv_0/kernel",
        "Discriminator/discriminator/conv_0/kernel",
        "Discriminator/discriminator/discriminator_output_source/conv/kernel",
        "Discriminator/discriminator/discriminator_output_class/fully_connected/kernel",
    }
    assert weights <= last.keys()
    assert "global_step" in last
    for name in weights:
        assert np.abs(last[name] - first[name]).max() > 1e-5, name
    assert last["global_step"] == 4


def test_both_networks_take_as_many_batches_as_tfgans_steps_say(tmp_path):
    tfgan = import_tfgan()
    taken = []

    def counted():
        # Tensors, which are evaluated in every run that needs them; a dataset would fetch ahead.
        with tf.control_dependencies([tf.numpy_function(lambda: taken.append(1) or np.int64(0), [], tf.int64)]):
            return tf.identity(IMAGES), tf.identity(LABELS)

    hooks = tfgan.get_sequential_train_hooks(tfgan.GANTrainSteps(1, 2))
    make(tmp_path, get_hooks_fn=hooks, config={"log_step_count_steps": 2}).train(counted, steps=5)
    assert len(taken) == 5 * 3, "one batch of the generator and two of the discriminator a step, none for the loss"


def test_resuming_equals_going_on_and_another_seed_is_another_training(tmp_path, trained):
    again = make(tmp_path / "again").train(repeated, steps=4)
    for name, value in variables(trained, 4).items():
        np.testing.assert_array_equal(variables(again, 4)[name], value, err_msg=name)
    going_on = again.train(repeated, max_steps=6)
    shutil.copytree(trained.model_dir, tmp_path / "cut")
    cut = make(tmp_path / "cut").train(repeated, max_steps=6)
    for name, value in variables(going_on, 6).items():
        np.testing.assert_array_equal(variables(cut, 6)[name], value, err_msg=name)
    other = make(tmp_path / "other", config={"tf_random_seed": 2}).train(repeated, steps=2)
    kernel = "Generator/generator/conv_0/kernel"
    assert np.abs(variables(other, 2)[kernel] - variables(trained, 2)[kernel]).max() > 1e-3


def test_evaluation_gives_tfgans_losses(trained):
    result = trained.evaluate(repeated, steps=3)
    assert result.keys() == {"generator_loss", "discriminator_loss", "loss", "global_step"}
    assert result["global_step"] == 4
    np.testing.assert_allclose(result["loss"], result["generator_loss"] + result["discriminator_loss"], rtol=1e-4)


def test_predictions_depend_on_the_target_and_equal_the_export(trained, tmp_path):
    predictions = np.stack(list(trained.predict(to_predict)))
    assert predictions.shape == IMAGES.shape
    loaded = tf.saved_model.load(trained.export_saved_model(tmp_path, serving))
    generate = loaded.signatures["serving_default"]
    np.testing.assert_allclose(
        generate(image=tf.constant(IMAGES), target=tf.constant(LABELS))["output"], predictions, atol=1e-6
    )
    others = generate(image=tf.constant(IMAGES), target=tf.constant(np.roll(LABELS, 1, axis=1)))["output"]
    assert np.abs(others - predictions).max() > 1e-4
    wrapped = import_tfgan().estimator.stargan_prediction_input_fn_wrapper(lambda: (IMAGES, LABELS))
    first = next(trained.predict(wrapped))
    np.testing.assert_array_equal(first, predictions[0])


def test_tfgans_summaries_of_losses_and_images_are_written(tmp_path):
    summary = import_tfgan().estimator.SummaryType.IMAGES
    make(tmp_path, add_summaries=summary, config={"save_summary_steps": 2}).train(repeated, steps=3)
    tags = {
        value.tag
        for path in tmp_path.glob("events.*")
        for event in v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert any("image" in tag for tag in tags), tags
    assert any("generator" in tag and "loss" in tag for tag in tags), tags


@pytest.mark.parametrize("fails", ["generator_fn", "loss_fn"])
def test_nothing_is_left_patched_after_an_error_in_the_model(tmp_path, fails):
    layers = tf.compat.v1.__dict__.get("layers")

    def broken(*_):
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        make(tmp_path, **{fails: broken}).train(repeated, steps=1)
    assert not hasattr(tf, "estimator")
    assert not hasattr(inspect, "getargspec")
    assert tf.compat.v1.__dict__.get("layers") is layers
    assert tf.executing_eagerly()


def test_a_checkpoint_of_tfgans_example_generator_predicts_what_it_generated(tmp_path):
    # The published width. Training it as well would take longer than all else here.
    network = import_tfgan_module("examples.stargan.network")
    image = np.random.default_rng(1).uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    target = np.eye(2, dtype=np.float32)[[1]]
    with tf.Graph().as_default(), tf1_scope(), v1.Session() as session:
        with v1.variable_scope("Generator"):
            generated = network.generator(tf.constant(image), tf.constant(target))
        session.run(v1.global_variables_initializer())
        expected = session.run(generated)
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt-7"))
    estimator = make(tmp_path, generator_fn=network.generator, discriminator_fn=network.discriminator)
    assert sum(name.startswith("Generator/generator/") for name in estimator.get_variable_names()) == 52
    (made,) = estimator.predict(lambda: tf.data.Dataset.from_tensors(((image, target), 0)))
    assert made.shape == (64, 64, 3)
    np.testing.assert_allclose(made, expected[0], atol=1e-5)
