"""The layers that save work compute what the plain ones do, in values and in derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_ganmex._backend import keras
from tf_ganmex.gan import losses
from tf_ganmex.gan.convolutions import BlockConv, ConditionedConv, Crop, LeakyReLU, pads_evenly
from tf_ganmex.gan.layers import LEAKY_SLOPE
from tf_ganmex.gan.networks import build_discriminator, build_generator


def drawn(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def with_gradients(compute, *inputs):
    """What is computed, and the gradients of a random combination of it; all in float64, so that equal is equal."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        found = compute(*inputs)
        combined = tf.reduce_sum(found * drawn(*found.shape, seed=9))
    return found, *tape.gradient(combined, inputs)


def assert_same(ours, plain):
    for one, two in zip(ours, plain, strict=True):
        assert one.shape == two.shape
        np.testing.assert_allclose(one, two, atol=1e-10)


def layer_as_function(layer, *inputs):
    """The layer as a function of its inputs and its kernel."""
    layer(inputs if len(inputs) > 1 else inputs[0])

    def compute(*values):
        *given, kernel = values
        return layer.stateless_call([kernel], [], given if len(given) > 1 else given[0])[0]

    return compute


def padded(net, kernel, stride, pad):
    return tf.nn.conv2d(tf.pad(net, [(0, 0), (pad, pad), (pad, pad), (0, 0)]), kernel, stride, "VALID")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [3, 7])
def test_conditioned_conv_is_a_convolution_of_image_and_constant_planes(channels, size):
    image, kernel = drawn(3, 8, 5, channels), drawn(size, size, channels + 4, 6)
    target = drawn(3, 4)  # any mixture, not one class alone

    def plain(image, target, kernel):
        planes = tf.tile(target[:, None, None, :], [1, 8, 5, 1])
        return padded(tf.concat([image, planes], -1), kernel, 1, size // 2)

    layer = ConditionedConv(6, size, kernel_initializer="glorot_uniform", dtype="float64")
    ours = layer_as_function(layer, image, target)
    assert_same(with_gradients(ours, image, target, kernel), with_gradients(plain, image, target, kernel))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [3, 5, 7])
def test_block_conv_is_a_convolution(channels, size):
    net, kernel = drawn(2, 8, 12, 5), drawn(size, size, 5, channels)
    layer = BlockConv(channels, size, padding="same", use_bias=False, dtype="float64")
    ours = layer_as_function(layer, net)
    plain = with_gradients(lambda net, kernel: padded(net, kernel, 1, size // 2), net, kernel)
    assert_same(with_gradients(ours, net, kernel), plain)


def test_an_even_padding_is_the_same_convolution():
    found = set()
    for side in range(1, 13):
        for size, stride, pad in ((3, 1, 1), (4, 2, 1), (5, 1, 2), (7, 1, 2), (7, 1, 3)):
            net, kernel = drawn(1, side, side + 4, 2), drawn(size, size, 2, 3)
            even = pads_evenly((side, side + 4), size, stride, pad)
            found.add((size, even))
            if even:
                same = tf.nn.conv2d(net, kernel, stride, "SAME")
                np.testing.assert_allclose(same, padded(net, kernel, stride, pad), atol=1e-10)
    assert found == {(3, True), (4, True), (4, False), (5, True), (7, True), (7, False)}


def test_crop_takes_the_border_away_and_gives_it_no_gradient():
    net = drawn(2, 5, 4, 3)
    ours = with_gradients(Crop(dtype="float64"), net)
    assert_same(ours, with_gradients(lambda net: net[:, 1:-1, 1:-1, :], net))


def test_leaky_relu_has_no_second_derivative():
    net = tf.concat([drawn(4, 3), tf.zeros((1, 3), tf.float64)], 0)
    layer = LeakyReLU(LEAKY_SLOPE, dtype="float64")
    plain = with_gradients(lambda net: tf.nn.leaky_relu(net, LEAKY_SLOPE), net)
    assert_same(with_gradients(layer, net), plain)
    with tf.GradientTape() as outer:
        outer.watch(net)
        with tf.GradientTape() as inner:
            inner.watch(net)
            value = tf.reduce_sum(layer(net))
        slopes = inner.gradient(value, net)
    # None, and not zeros that would go back through all layers before.
    assert outer.gradient(slopes, net) is None


def test_the_penaltys_gradient_is_that_of_tensorflows_leaky_relu():
    network = build_discriminator((28, 28, 1), filters=4, dtype="float64")
    real, fake, alpha = drawn(3, 28, 28, 1), drawn(3, 28, 28, 1, seed=1), tf.constant(0.3, tf.float64)

    def chain(images):
        net = images
        for layer in network.layers[1:]:
            net = tf.nn.leaky_relu(net, LEAKY_SLOPE) if isinstance(layer, LeakyReLU) else layer(net)
        return net

    def gradients(discriminator):
        with tf.GradientTape() as tape:
            penalty = losses.gradient_penalty(discriminator, real, fake, alpha)
        variables = [variable.value for variable in network.trainable_variables]
        return penalty, *tape.gradient(penalty, variables)

    ours, plain = gradients(network), gradients(chain)
    for one, two in zip(ours, plain, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)  # the mean over the score map is in float32
    assert max(float(tf.reduce_max(tf.abs(g))) for g in ours) > 1e-3


@pytest.mark.parametrize(("shape", "narrow"), [((8, 8, 1), BlockConv), ((8, 8, 3), BlockConv), ((8, 8, 4), None)])
def test_only_convolutions_to_few_channels_go_block_by_block(shape, narrow):
    network = build_generator(shape, 2, filters=4, blocks=1)
    blockwise = [layer.name for layer in network.layers if isinstance(layer, BlockConv)]
    assert blockwise == (["image_out"] if narrow else [])
    assert isinstance(network.get_layer("image_out"), narrow or keras.layers.Conv2D)
    free = build_generator((7, 5, 1), 2, filters=4, blocks=1, down_sampling=False)
    assert not any(isinstance(layer, BlockConv) for layer in free.layers)


def test_the_discriminator_judges_generated_images_once_for_both_networks(make_gan, images, labels):
    gan = make_gan()
    gan.compile(run_eagerly=True)
    judged = []
    judge = gan._judge
    object.__setattr__(gan, "_judge", lambda images: judged.append(len(images)) or judge(images))
    gan.train_step((images, labels))
    # Generated, real, and those between them.
    assert judged == [20, 20, 20]


def test_networks_can_be_saved_by_keras(tmp_path):
    for network in (build_generator((8, 8, 1), 2, filters=4, blocks=1), build_discriminator((8, 8, 1), filters=4)):
        network.save(tmp_path / "network.keras")
        again = keras.saving.load_model(tmp_path / "network.keras")
        inputs = [tf.random.stateless_uniform((2, *i.shape[1:]), (0, 1)) for i in network.inputs]
        np.testing.assert_array_equal(again(inputs), network(inputs))
